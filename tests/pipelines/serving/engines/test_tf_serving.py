"""The engine that asks a server, against stand-ins for TensorFlow Serving over gRPC and REST."""

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.serving.clients import ServedModel, ServerError, retries
from pipelines.serving.engines import tf_serving
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.engines.tf_serving import TFServingEngine
from pipelines.serving.scorer import FrameScores, Scorer

servers = pytest.importorskip(
    "tests.pipelines.serving.in_process_server", reason="needs tensorflow-serving-api: pip install 'vad-keras[dev]'"
)
Models, grpc_server, rest_server = servers.Models, servers.grpc_server, servers.rest_server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """A retry comes at once."""
    monkeypatch.setattr(retries, "FIRST_PAUSE_SEC", 0.001)
    monkeypatch.setattr(retries, "MAX_PAUSE_SEC", 0.002)


@pytest.fixture(scope="module")
def local(exported):
    return SavedModelEngine(exported.folder)


@pytest.fixture(scope="module", params=["grpc", "http"])
def address(request, served):
    with {"grpc": grpc_server, "http": rest_server}[request.param](served) as address:
        yield address


@contextmanager
def connected(address, **options):
    engine = TFServingEngine(address, **{"name": "tiny", **options})
    try:
        yield engine
    finally:
        engine.close()


def some_frames(num_frames):
    return np.random.default_rng(0).integers(0, 256, (num_frames, 32, 32, 3)).astype("uint8")


def fail(status, text="", times=1):
    def raise_error(signature):
        raise servers.RefusedError(status, text)

    return [raise_error] * times


def test_nodes_and_scores_are_those_of_the_local_engine(local, address):
    frames = some_frames(11)
    with connected(address) as engine:
        nodes, expected = engine.extract(frames), local.extract(frames)
        assert nodes.keys() == {"nodes"} and nodes["nodes"].dtype == np.float32
        np.testing.assert_allclose(nodes["nodes"], expected["nodes"], atol=1e-5)
        outputs, expected = engine.score_nodes(nodes), local.score_nodes(expected)
    assert outputs.keys() == expected.keys()
    for name, values in outputs.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5, err_msg=name)


def test_the_address_is_enough_to_know_the_model(local, address):
    with connected(address) as engine, connected(address, version="1") as other:
        assert engine.info == local.info and engine.version == "3"
        assert len(engine.sha256) == 64 and engine.sha256 == other.sha256


def test_a_version_by_number_or_label_answers_every_request(served, address):
    for options, number in (({}, 3), ({"version": "1"}, 1), ({"label": "stable"}, 1)):
        served.requests.clear()
        with connected(address, **options) as engine:
            assert engine.version == str(number)
            engine.score_nodes(engine.extract(some_frames(2)))
        assert [request[:2] for request in served.requests] == [
            (number, "describe"),
            (number, "extract"),
            (number, "score_nodes"),
        ]


def test_a_request_holds_several_snippets_and_the_last_one_what_is_left(served, address, local):
    frames = some_frames(35)
    with connected(address, max_in_flight=3) as engine:
        served.requests.clear()
        nodes = engine.extract(frames)["nodes"]
    shapes = sorted(inputs["frames"][:2] for _, _, inputs in served.requests)
    assert shapes == [(1, 3), (1, 16), (1, 16)]
    np.testing.assert_allclose(nodes, local.extract(frames)["nodes"], atol=1e-5)


def test_a_request_holds_fewer_snippets_of_large_frames(served, address, monkeypatch):
    for snippets, expected in ((2.5, 2), (0.5, 1)):
        monkeypatch.setattr(tf_serving, "MAX_FRAMES_BYTES", int(snippets * 4 * 32 * 32 * 3))
        with connected(address) as engine:
            served.requests.clear()
            engine.extract(some_frames(11))
        assert max(inputs["frames"][1] for _, _, inputs in served.requests) == 4 * expected


def test_a_scorer_fills_all_requests_that_are_sent_at_the_same_time(served, address, local):
    frames = some_frames(70)
    with connected(address, max_in_flight=2) as engine:
        served.requests.clear()
        scorer, expected = Scorer(engine), Scorer(local)
        scores = FrameScores.join([scorer.push(frames), scorer.finish()])
    shapes = [inputs["frames"][1] for _, signature, inputs in served.requests if signature == "extract"]
    assert sorted(shapes) == [6, 16, 16, 16, 16]
    expected = FrameScores.join([expected.push(frames), expected.finish()])
    np.testing.assert_allclose(scores.anomaly_score, expected.anomaly_score, atol=2e-5)


def test_never_more_requests_are_in_flight_than_allowed(served, address):
    running, most, lock = 0, [0], threading.Lock()

    def count(signature):
        nonlocal running
        with lock:
            running += 1
            most[0] = max(most[0], running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1

    with connected(address, max_in_flight=1) as engine:
        served.failures.extend([count] * 6)
        threads = [threading.Thread(target=engine.extract, args=(some_frames(4),)) for _ in range(6)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert most == [1] and not served.failures


def test_a_busy_server_is_asked_again_and_nothing_is_lost(served, address, local):
    frames = some_frames(8)
    with connected(address) as engine:
        served.failures.extend([*fail("RESOURCE_EXHAUSTED", "queue is full"), *fail("UNAVAILABLE", "loading")])
        nodes = engine.extract(frames)["nodes"]
    assert not served.failures
    np.testing.assert_allclose(nodes, local.extract(frames)["nodes"], atol=1e-5)


def test_a_request_that_can_never_succeed_is_sent_once(served, address):
    with connected(address) as engine:
        served.failures.extend(fail("INVALID_ARGUMENT", "Shape of tensor", times=2))
        with pytest.raises(ServerError, match="the server answered INVALID_ARGUMENT: Shape of tensor"):
            engine.extract(some_frames(2))
    assert len(served.failures) == 1
    served.failures.clear()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "other"}, r"has not loaded `other` \(Servable not found .*--server-model"),
        ({"version": "7"}, r"has not loaded `tiny` version 7 .*Specific\(tiny, 7\).*--server-version"),
        ({"label": "canary"}, r"knows no label canary of `tiny` .*See models\.config"),
        ({"label": "gone"}, r"has not loaded `tiny` label gone"),
        ({"version": "new"}, r"`--server-version` must be the number of a version, such as 3\. Received: new"),
        ({"version": "1", "label": "stable"}, "either --server-version or --server-label"),
    ],
)
def test_a_model_that_is_not_served_is_answered_with_the_way_out(address, options, message):
    with pytest.raises(UserError, match=message):
        TFServingEngine(address, **{"name": "tiny", **options})


def test_an_export_of_an_earlier_release_is_answered_with_the_way_out(served, address):
    served.failures.extend(fail("FAILED_PRECONDITION", 'Serving signature key "describe" not found.'))
    with pytest.raises(UserError, match=r"`tiny` at .* does not describe itself .*`vad export` again"):
        TFServingEngine(address, "tiny")


def test_an_address_where_no_server_answers_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for scheme in ("grpc", "http"):
        with pytest.raises(UserError, match=rf"no TensorFlow Serving answers at {scheme}://127.0.0.1:{port} .*8500 is"):
            TFServingEngine(f"{scheme}://127.0.0.1:{port}", "tiny", timeout_sec=5)


def test_the_port_of_the_other_protocol_is_answered_with_the_way_out(served):
    with grpc_server(served) as grpc_address, rest_server(served) as rest_address:
        for address in (grpc_address.replace("grpc", "http"), rest_address.replace("http", "grpc")):
            with pytest.raises(UserError, match="8500 is grpc://, 8501 is http://"):
                TFServingEngine(address, "tiny", timeout_sec=5)


def test_a_version_that_is_unloaded_meanwhile_mixes_no_scores(served):
    models = Models("tiny", dict(served.versions))
    with grpc_server(models) as address, connected(address) as engine:
        del models.versions[3]
        with pytest.raises(ServerError, match=r"NOT_FOUND: .*Specific\(tiny, 3\)"):
            engine.extract(some_frames(2))


def test_a_server_that_is_back_is_used_again_by_the_same_engine(served, local, monkeypatch):
    with grpc_server(served) as address:
        engine = TFServingEngine(address, "tiny")
    with pytest.raises(ServerError, match=r"the server is not available: .*onnect"):
        engine.extract(some_frames(4))
    monkeypatch.setattr(retries, "FIRST_PAUSE_SEC", 0.1)
    monkeypatch.setattr(retries, "MAX_PAUSE_SEC", 1.0)
    with grpc_server(served, port=int(address.rpartition(":")[2])):
        nodes = engine.extract(some_frames(4))["nodes"]
    engine.close()
    np.testing.assert_allclose(nodes, local.extract(some_frames(4))["nodes"], atol=1e-5)


def test_a_message_of_more_than_four_megabytes_comes_through(served):
    with grpc_server(served) as address, connected(address) as engine:
        nodes = np.zeros((2600, 5, 96), np.float32)
        assert nodes.nbytes > 4 << 20
        answer = engine._client.predict(ServedModel("tiny"), "score_nodes", {"nodes": nodes[None]})[0]
        assert answer["anomaly_score"].shape == (1, 2600)
        frames = engine._client.predict(ServedModel("tiny"), "extract", {"frames": some_frames(2600)[None]}, ("nodes",))
        assert frames[0]["nodes"].nbytes > 4 << 20


def test_a_remote_server_needs_no_tensorflow_here(served, tmp_path):
    with grpc_server(served) as grpc_address, rest_server(served) as rest_address:
        program = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # an import of it fails from here on
import numpy as np
import pipelines.stages.score
from pipelines.serving import score_video
from pipelines.serving.engines import open_engine
from pipelines.serving.scorer import Scorer
for address in ({grpc_address!r}, {rest_address!r}):
    scorer = Scorer(open_engine(server=address, name="tiny"))
    scorer.push(np.zeros((3, 32, 32, 3), "uint8"))
    print(scorer.finish().anomaly_score.shape)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["(3,)"] * 2
