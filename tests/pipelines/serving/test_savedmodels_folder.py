"""The files under `savedmodels/`: each is read as the server would read it."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from pipelines.config.sections import ExportConfig

FOLDER = Path(__file__).resolve().parents[3] / "savedmodels"
REQUESTS = sorted((FOLDER / "requests").glob("*.json"))

# The Python package ships neither proto. Field numbers and types are those of the server's monitoring_config.proto and
# session_bundle_config.proto.
MONITORING = {
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, ".PrometheusConfig")},
}
BATCHING = {
    "Int64Value": {"value": (1, "int64")},
    "BatchingParameters": {
        "max_batch_size": (1, ".Int64Value"),
        "batch_timeout_micros": (2, ".Int64Value"),
        "max_enqueued_batches": (3, ".Int64Value"),
        "num_batch_threads": (4, ".Int64Value"),
        "pad_variable_length_inputs": (7, "bool"),
    },
}


def parse(text, messages, name):
    """`text` as message `name` of a schema that is given as nested dicts."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=name.lower(), syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in messages.items():
        target = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            added = target.field.add(name=field, number=number, label=kinds.LABEL_OPTIONAL)
            if kind.startswith("."):
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".{file.package}{kind}"
            else:
                added.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
    return text_format.Parse(text, kind())


def test_models_config_serves_the_newest_version_of_the_exported_model():
    pb2 = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2", reason="needs the extra `serving` (tensorflow-serving-api)"
    )
    config = text_format.Parse((FOLDER / "models.config").read_text(), pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert model.name == ExportConfig().name and model.base_path == f"/models/{model.name}"
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.latest.num_versions == 1


def test_monitoring_config_switches_prometheus_on():
    config = parse((FOLDER / "monitoring.config").read_text(), MONITORING, "MonitoringConfig")
    assert config.prometheus_config.enable and config.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_batching_config_never_pads_frames_that_the_model_would_take_for_real():
    config = parse((FOLDER / "batching.config").read_text(), BATCHING, "BatchingParameters")
    assert config.max_batch_size.value > 1 and config.num_batch_threads.value >= 1
    assert not config.pad_variable_length_inputs


def test_docker_compose_pins_the_official_image_and_mounts_the_files_it_names():
    lines = [line.split(" #")[0].strip() for line in (FOLDER / "docker-compose.yml").read_text().splitlines()]
    assert "image: tensorflow/serving:2.21.0" in lines and "- .:/models:ro" in lines
    flags = dict(line.removeprefix("- --").split("=") for line in lines if line.startswith("- --"))
    for flag in ("model_config_file", "monitoring_config_file"):
        assert (FOLDER / Path(flags[flag]).relative_to("/models")).is_file()


def rest_inputs(body):
    """The tensors that the server's REST API makes of a `:predict` body in row format."""

    def plain(value):
        if isinstance(value, list):
            return [plain(entry) for entry in value]
        return base64.b64decode(value["b64"], validate=True) if isinstance(value, dict) else value

    assert set(body) <= {"signature_name", "instances"}
    names = body["instances"][0]
    return {name: [plain(instance[name]) for instance in body["instances"]] for name in names}


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_each_request_is_answered_with_one_score_for_each_frame(exported, path):
    body = json.loads(path.read_text())
    signature = tf.saved_model.load(str(exported.folder)).signatures[body.get("signature_name", "serving_default")]
    expected = signature.structured_input_signature[1]
    inputs = {name: tf.constant(value, expected[name].dtype) for name, value in rest_inputs(body).items()}
    outputs = signature(**inputs)
    shape = next(iter(inputs.values())).shape[:2]
    assert outputs["anomaly_score"].shape == shape and np.isfinite(outputs["anomaly_score"]).all()


def test_there_is_a_request_for_the_default_signature_and_one_for_raw_frames():
    assert [path.stem for path in REQUESTS] == ["score_frames", "score_jpeg"]
