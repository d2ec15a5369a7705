"""gRPC Predict: the official stubs against a stand-in for the server, and against a real one where there is one."""

import os
import shutil
import socket
import struct
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.serving import measure
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.engines.tf_serving import TFServingEngine

reason = "needs tensorflow-serving-api: pip install 'vad-keras[dev]'"
grpc = pytest.importorskip("grpc", reason=reason)
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason=reason)
service = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc", reason=reason)
servers = pytest.importorskip("tests.pipelines.serving.in_process_server", reason=reason)


@pytest.fixture(scope="module")
def stub(served):
    with servers.grpc_server(served) as address, grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        yield service.PredictionServiceStub(channel)


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


def huge_jpeg():
    """A small file whose header claims 65,000 × 65,000 pixels."""
    jpeg = tf.io.encode_jpeg(np.zeros((16, 16, 3), np.uint8)).numpy()
    size = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:size] + struct.pack(">HH", 65000, 65000) + jpeg[size + 4 :]


FRAMES, NODES = np.zeros((1, 2, 32, 32, 3), np.uint8), np.zeros((1, 6, 5, 96), np.float32)
BAD_FRAMES = {
    "at least one video and one frame": [FRAMES[:0], FRAMES[:, :0], FRAMES[:, :, :0]],
    "not compatible with expected shape [?,?,?,?,3]": [FRAMES[0], FRAMES[None], FRAMES[..., :1], FRAMES[..., :0]],
    "Type mismatch": [FRAMES.astype(np.float32)],
}
BAD_NODES = {
    "at least one video and one frame": [NODES[:0], NODES[:, :0]],
    "not compatible with expected shape [?,?,5,96]": [NODES[0], NODES[None], NODES[:, :, :3], NODES[..., :95]],
    "must be finite": [np.where(NODES == 0, np.nan, NODES).astype(np.float32), NODES + np.float32(np.inf)],
    "Type mismatch": [NODES.astype(np.float64)],
}


def bad_jpegs():
    one, good = some_jpegs(1), some_jpegs(1)[0, 0]
    files = {
        "not a JPEG file: video] [0] [frame] [1]": b"no picture",
        "Invalid JPEG data": good[: len(good) // 2],
        "more than 67108864 pixels: video] [0] [frame] [1]": huge_jpeg(),
    }
    cases = {text: [np.array([[good, file]], object)] for text, file in files.items()}
    cases["at least one video and one frame"] = [one[:0], one[:, :0]]
    cases["not compatible with expected shape [?,?]"] = [one[0], one[None]]
    return cases | {"Type mismatch": [np.zeros((1, 2), np.float32)]}


@pytest.mark.parametrize(
    ("signature", "name", "cases"),
    [
        ("", "jpeg_bytes", bad_jpegs),
        ("score_jpeg", "jpeg_bytes", bad_jpegs),
        ("score_frames", "frames", lambda: BAD_FRAMES),
        ("extract", "frames", lambda: BAD_FRAMES),
        ("score_nodes", "nodes", lambda: BAD_NODES),
        ("describe", "query", lambda: {"Type mismatch": [np.zeros(1, np.float32)]}),
    ],
)
def test_bad_input_is_an_invalid_argument_with_its_reason(stub, signature, name, cases):
    for text, values in cases().items():
        for value in values:
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(request_for("tiny", signature, **{name: value}), timeout=60)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, caught.value
            assert text in caught.value.details()


@pytest.fixture(scope="module")
def real_server(exported):
    """Address, model name and folder (None when unknown) of a real TensorFlow Serving."""
    if os.environ.get("VAD_SERVING_ADDRESS"):
        address = os.environ["VAD_SERVING_ADDRESS"]
        yield address if "://" in address else f"grpc://{address}", os.environ.get("VAD_SERVING_MODEL", "vad"), None
        return
    binary = shutil.which("tensorflow_model_server")
    if binary is None:
        pytest.skip("no tensorflow_model_server on the PATH and no VAD_SERVING_ADDRESS (such as grpc://host:8500)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, f"--port={port}", "--model_name=tiny", f"--model_base_path={exported.folder.parent}"]
    server = subprocess.Popen(command)
    yield f"grpc://127.0.0.1:{port}", "tiny", exported.folder
    server.terminate()
    server.wait(30)


def test_a_real_tensorflow_serving_gives_the_scores_of_the_saved_model(real_server):
    address, name, folder = real_server
    deadline = time.monotonic() + 60
    while True:
        try:
            engine = TFServingEngine(address, name)
            break
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    side = engine.info.image_size_px
    frames = np.random.default_rng(2).integers(0, 256, (8, side, side, 3)).astype("uint8")
    scores = engine.score_nodes(engine.extract(frames))["anomaly_score"]
    assert scores.shape == (8,) and (scores >= 0).all() and (scores <= 1).all()
    if folder is not None:
        local = SavedModelEngine(folder)
        np.testing.assert_allclose(scores, local.score_nodes(local.extract(frames))["anomaly_score"], atol=1e-5)


def test_under_overload_requests_are_refused_sent_again_and_none_is_lost(served):
    frames = np.random.default_rng(1).integers(0, 256, (6, 4, 32, 32, 3)).astype("uint8")
    served.failures.extend([lambda signature: time.sleep(0.05)] * 3)  # so that the queue is full for a moment
    with servers.grpc_server(served, threads=1, queue=1) as address:
        row = measure(address, "tiny", frames, num_clients=6, num_requests=3)
    assert (row["answered"], row["lost"]) == (18, 0) and row["refused"] > 0
