"""What the REST client makes of answers that are no scores."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pipelines.serving.clients import ServedModel, ServerError

rest_client = pytest.importorskip(
    "pipelines.serving.clients.rest_client", reason="needs httpx: pip install 'vad-keras[serving]'"
)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_POST(self):
        self.server.num_bytes = len(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.paths.append(self.path)
        status, body = self.server.answer
        if status is None:  # the connection breaks
            self.close_connection = True
            return
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.paths = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server, status, body, prefix="", inputs=None):
    server.answer = status, body
    client = rest_client.RestClient(f"http://127.0.0.1:{server.server_port}{prefix}")
    try:
        return client.predict(ServedModel("vad", "3"), "describe", inputs or {"query": [""]}, timeout_sec=20)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("answer", "status", "text", "retry"),
    [
        ((400, b'{"error": "Shape"}'), "INVALID_ARGUMENT", "Shape", False),
        ((404, b'{"error": "Servable not found"}'), "NOT_FOUND", "Servable not found", False),
        ((413, b"<html>Too large</html>"), "OUT_OF_RANGE", "use gRPC, or raise its limit", False),
        ((429, b""), "RESOURCE_EXHAUSTED", "Too Many Requests", True),
        ((502, b"<html>"), "UNAVAILABLE", "Bad Gateway", True),
        ((504, b""), "DEADLINE_EXCEEDED", "Gateway Timeout", False),
        ((500, b"{}"), "INTERNAL", "Internal Server Error", False),
        ((200, b"<html>a web page</html>"), "UNKNOWN", "OK", False),
        ((200, b'{"status": "ok"}'), "UNKNOWN", "no `outputs`: this is no TensorFlow Serving", False),
        ((None, b""), "UNAVAILABLE", "", True),
    ],
)
def test_each_answer_has_the_meaning_that_grpc_gives_it(server, answer, status, text, retry):
    with pytest.raises(ServerError) as caught:
        ask(server, *answer)
    assert (caught.value.status, caught.value.retry) == (status, retry) and text in caught.value.text


def test_a_single_output_comes_without_its_name_and_a_path_of_a_proxy_is_kept(server):
    outputs, version = ask(server, 200, json.dumps({"outputs": ["{}"]}).encode(), prefix="/vad")
    assert version == "3" and outputs[""].tolist() == ["{}"]
    assert server.paths[-1] == "/vad/v1/models/vad/versions/3:predict"


def test_the_largest_request_is_smaller_than_the_proxy_allows(server):
    configuration = (Path(__file__).parents[4] / "savedmodels" / "nginx.conf").read_text()
    allowed = int(re.search(r"client_max_body_size (\d+)m;", configuration)[1]) << 20
    longest = np.full((1, 4, 14, 64), -np.finfo(np.float32).tiny), np.full((1, 4, 32, 32, 3), 255)
    for values, dtype in zip(longest, (np.float32, np.uint8), strict=True):
        values = values.astype(dtype)
        ask(server, 200, b'{"outputs": []}', inputs={"values": values})
        assert server.num_bytes / values.nbytes * rest_client.RestClient.max_request_bytes < allowed
