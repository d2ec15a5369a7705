"""The files under `savedmodels/`: each is read as the server would read it."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from pipelines.config.sections import ExportConfig
from pipelines.serving.clients.messages import message_classes

FOLDER = Path(__file__).resolve().parents[3] / "savedmodels"
REQUESTS = sorted((FOLDER / "requests").glob("*.json"))

# The Python package ships neither proto. Field numbers and types are those of the server's monitoring_config.proto and
# session_bundle_config.proto.
MONITORING = {
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig")},
}
BATCHING = {
    "Int64Value": {"value": (1, "int64")},
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
        "pad_variable_length_inputs": (7, "bool"),
    },
}


def parse(text, messages, name):
    """`text` as message `name` of a schema."""
    return text_format.Parse(text, message_classes(f"settings.{name.lower()}", messages)[name]())


@pytest.fixture(scope="module")
def model():
    """The only entry of models.config."""
    pb2 = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2", reason="needs tensorflow-serving-api: vad-keras[dev]"
    )
    config = text_format.Parse((FOLDER / "models.config").read_text(), pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    return model


def test_models_config_serves_the_exported_model_and_labels_only_versions_that_it_loads(model):
    assert model.name == ExportConfig().name and model.base_path == f"/models/{model.name}"
    assert model.model_platform == "tensorflow"
    assert dict(model.version_labels) == {"stable": 1}
    assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)


def test_monitoring_config_switches_prometheus_on():
    config = parse((FOLDER / "monitoring.config").read_text(), MONITORING, "MonitoringConfig")
    assert config.prometheus_config.enable and config.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_batching_config_never_pads_frames_that_the_model_would_take_for_real():
    config = parse((FOLDER / "batching.config").read_text(), BATCHING, "BatchingParameters")
    assert config.max_batch_size.value > 1 and config.num_batch_threads.value >= 1
    assert not config.pad_variable_length_inputs


@pytest.fixture(scope="module")
def services():
    """The services of docker-compose.yml."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install 'vad-keras[dev]'")
    return yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]


def test_docker_compose_starts_the_pinned_official_image_with_files_that_exist(services):
    serving = services["serving"]
    assert serving["image"] == "tensorflow/serving:2.21.0" and serving["volumes"] == [".:/models:ro"]
    flags = dict(flag.removeprefix("--").split("=") for flag in serving["command"])
    for flag in ("model_config_file", "monitoring_config_file"):
        assert (FOLDER / Path(flags[flag]).relative_to("/models")).is_file()


def test_a_server_with_labels_starts_although_no_version_is_loaded_yet(services, model):
    assert model.version_labels
    assert "--allow_version_labels_for_unavailable_models=true" in services["serving"]["command"]


def test_the_server_is_healthy_when_a_version_is_loaded(services, model):
    servers = pytest.importorskip("tests.pipelines.serving.in_process_server")
    command, *arguments, script = services["serving"]["healthcheck"]["test"]
    assert (command, arguments) == ("CMD", ["bash", "-c"])
    models = servers.Models(model.name, {1: None})
    with servers.rest_server(models) as address:
        script = script.replace("8501", address.rpartition(":")[2])
        statuses = [subprocess.run(["bash", "-c", script], timeout=20, check=False).returncode]
        models.versions.clear()
        statuses.append(subprocess.run(["bash", "-c", script], timeout=20, check=False).returncode)
    assert statuses[0] == 0 and statuses[1] != 0


def test_every_mounted_file_exists(services):
    mounts = [mount.split(":")[0] for service in services.values() for mount in service["volumes"]]
    paths = [mount for mount in mounts if mount.startswith(".")]
    assert len(paths) >= 5 and all((FOLDER / path).exists() for path in paths), paths


def test_every_port_is_open_on_this_machine_only_and_rest_is_behind_the_proxy(services):
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert all(port.startswith("127.0.0.1:") for published in ports.values() for port in published)
    assert ports["serving"] == ["127.0.0.1:8500:8500"] and services["rest"]["profiles"] == ["rest"]


def test_prometheus_takes_its_configuration_and_its_alerts():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    command = [promtool, "check", "config", str(FOLDER / "monitoring/prometheus.yml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and "3 rules found" in checked.stdout, checked.stdout + checked.stderr


def test_prometheus_reads_the_path_that_the_server_answers(services):
    yaml = pytest.importorskip("yaml")
    (job,) = yaml.safe_load((FOLDER / "monitoring/prometheus.yml").read_text())["scrape_configs"]
    monitoring = parse((FOLDER / "monitoring.config").read_text(), MONITORING, "MonitoringConfig")
    assert job["metrics_path"] == monitoring.prometheus_config.path
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert port in services[host]["expose"]


def test_every_panel_of_the_board_asks_the_provisioned_source_for_a_metric_of_the_server():
    yaml = pytest.importorskip("yaml")
    grafana = FOLDER / "monitoring/grafana"
    (source,) = yaml.safe_load((grafana / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((grafana / "provisioning/dashboards/boards.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    board = json.loads((grafana / "boards/serving.json").read_text())
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]
        for target in panel["targets"]:
            assert re.search(r":tensorflow:serving:request_(count|latency_bucket)\b|^up\{", target["expr"]), target


def test_nginx_takes_its_configuration(tmp_path):
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    text = (FOLDER / "nginx.conf").read_text().replace("server serving:8501", "server 127.0.0.1:8501")
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/nginx.pid;\n{text}")
    checked = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_proxy_limits_body_rate_and_connections():
    lines = [line.strip() for line in (FOLDER / "nginx.conf").read_text().splitlines()]
    for directive in ("client_max_body_size ", "limit_req zone=", "limit_conn ", "limit_req_status 429", "return 404"):
        assert any(line.startswith(directive) for line in lines), directive


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
