"""The warm-up file, read with the protos of tensorflow-serving-api and replayed on the exported model."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.serving.warmup import WARMUP_FILE, prediction_log

prediction_log_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.prediction_log_pb2", reason="needs the extra `serving` (tensorflow-serving-api)"
)


def parse(serialized):
    return prediction_log_pb2.PredictionLog.FromString(serialized)


def test_a_request_equals_the_one_made_with_the_official_protos():
    nodes = np.arange(6, dtype=np.float32).reshape(1, 2, 1, 3)
    expected = prediction_log_pb2.PredictionLog()
    request = expected.predict_log.request
    request.model_spec.name = "vad"
    request.model_spec.signature_name = "score_nodes"
    request.inputs["nodes"].CopyFrom(tf.make_tensor_proto(nodes))
    assert parse(prediction_log("vad", "score_nodes", {"nodes": nodes})) == expected


def test_a_long_message_gets_a_length_of_several_bytes():
    nodes = np.zeros((1, 300, 14, 64), np.float32)
    request = parse(prediction_log("vad", "score_nodes", {"nodes": nodes})).predict_log.request
    assert tf.make_ndarray(request.inputs["nodes"]).shape == nodes.shape


def test_the_warm_up_file_replays_on_every_signature(exported):
    signatures = tf.saved_model.load(str(exported.folder)).signatures
    replayed = []
    for record in tf.data.TFRecordDataset(str(exported.folder / WARMUP_FILE)):
        request = parse(record.numpy()).predict_log.request
        assert request.model_spec.name == "tiny"
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        outputs = signatures[request.model_spec.signature_name](**inputs)
        assert "model_json" in outputs or np.isfinite(outputs["anomaly_score"]).all()
        replayed.append(request.model_spec.signature_name)
    assert sorted(replayed) == sorted(signatures)
