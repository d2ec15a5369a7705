"""gRPC Predict: the official stubs against a small in-process server, and against a real one where there is one.

The in-process server is not TensorFlow Serving. It answers `PredictionService.Predict` from the SavedModel, which
proves the messages, the signature names and the tensors on the wire, but nothing about the real server's loading or
batching.
"""

import os
import shutil
import socket
import subprocess
import time
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

reason = "needs the extra `serving` (tensorflow-serving-api)"
grpc = pytest.importorskip("grpc", reason=reason)
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason=reason)
service = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc", reason=reason)


class InProcessServer(service.PredictionServiceServicer):
    """Answers Predict from the signatures of one SavedModel."""

    def __init__(self, folder, name):
        self.signatures = tf.saved_model.load(str(folder)).signatures
        self.name = name

    def Predict(self, request, context):  # noqa: N802 (the name that gRPC calls)
        if request.model_spec.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request.model_spec.name}")
        signature = self.signatures[request.model_spec.signature_name or "serving_default"]
        try:
            outputs = signature(**{key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        answer = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for key, value in outputs.items():
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return answer


@pytest.fixture(scope="module")
def stub(exported):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service.add_PredictionServiceServicer_to_server(InProcessServer(exported.folder, "tiny"), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield service.PredictionServiceStub(channel)
    server.stop(0)


def request_for(name, signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def some_jpegs(num_frames, side=40):
    frames = np.random.default_rng(2).integers(0, 256, (num_frames, side, side, 3)).astype("uint8")
    return np.array([[tf.io.encode_jpeg(frame).numpy() for frame in frames]], dtype=object)


def test_predict_over_grpc_gives_the_scores_of_the_saved_model(exported, stub):
    jpegs = some_jpegs(6)
    answer = stub.Predict(request_for("tiny", "score_jpeg", jpeg_bytes=jpegs), timeout=60)
    local = tf.saved_model.load(str(exported.folder)).signatures["score_jpeg"](jpeg_bytes=tf.constant(jpegs.tolist()))
    np.testing.assert_allclose(tf.make_ndarray(answer.outputs["anomaly_score"]), local["anomaly_score"], atol=1e-6)
    assert tf.make_ndarray(answer.outputs["patch_score"]).shape == (1, 6, 5)


def test_a_broken_jpeg_comes_back_as_an_invalid_argument_that_names_the_frame(stub):
    jpegs = np.append(some_jpegs(1), np.array([[b"no picture"]], dtype=object), axis=1)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request_for("tiny", "", jpeg_bytes=jpegs), timeout=60)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "not a JPEG file: video] [0] [frame] [1]" in caught.value.details()


@pytest.fixture(scope="module")
def real_server(exported):
    """Address, model name and folder (None when unknown) of a real TensorFlow Serving."""
    if os.environ.get("VAD_SERVING_ADDRESS"):
        yield os.environ["VAD_SERVING_ADDRESS"], os.environ.get("VAD_SERVING_MODEL", "vad"), None
        return
    binary = shutil.which("tensorflow_model_server")
    if binary is None:
        pytest.skip("no tensorflow_model_server on the PATH and no VAD_SERVING_ADDRESS (host:port of gRPC)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, f"--port={port}", "--model_name=tiny", f"--model_base_path={exported.folder.parent}"]
    server = subprocess.Popen(command)
    yield f"127.0.0.1:{port}", "tiny", exported.folder
    server.terminate()
    server.wait(30)


def test_a_real_tensorflow_serving_answers_with_the_scores_of_the_saved_model(real_server):
    address, name, folder = real_server
    jpegs = some_jpegs(8)
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        stub = service.PredictionServiceStub(channel)
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = stub.Predict(request_for(name, "score_jpeg", jpeg_bytes=jpegs), timeout=60)
                break
            except grpc.RpcError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
    scores = tf.make_ndarray(answer.outputs["anomaly_score"])
    assert scores.shape == (1, 8) and (scores >= 0).all() and (scores <= 1).all()
    if folder is not None:
        local = tf.saved_model.load(str(folder)).signatures["score_jpeg"](jpeg_bytes=tf.constant(jpegs.tolist()))
        np.testing.assert_allclose(scores, local["anomaly_score"], atol=1e-5)
