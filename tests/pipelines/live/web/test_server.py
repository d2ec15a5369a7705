import socket
import threading
import time

import httpx
import pytest

from pipelines.config import UserError
from pipelines.live.web import create_app, serve
from tests.pipelines.live.fake_view import FakeView
from tests.pipelines.live.web.conftest import TOKEN


@pytest.fixture
def server(view, store):
    server = serve(create_app(view, store), port=0)
    yield server
    server.stop()


def exchange(server, request):
    """Send bytes and return the answer up to the end of the connection."""
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def head(server, *lines):
    first = ("PUT /api/cameras/door/zones HTTP/1.1", f"Host: {server.host}:{server.port}", "X-Vad: 1")
    return "\r\n".join((*first, *lines, "", "")).encode()


def test_100_mb_are_refused_before_they_are_sent(server):
    answer = exchange(server, head(server, "Content-Length: 100000000"))  # no byte of it follows
    assert answer.startswith(b"HTTP/1.1 413 ") and b"\r\nconnection: close\r\n" in answer.lower()


def test_a_body_without_a_stated_length_is_cut_off(server):
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        connection.sendall(head(server, "Transfer-Encoding: chunked", "Content-Type: application/json"))
        with pytest.raises(ConnectionError):
            for _ in range(1600):  # 100 MB
                connection.sendall(chunk)


def test_a_line_break_in_a_request_starts_no_header(server):
    target = "/api/cameras/door%0d%0aX-Evil:%201/picture.jpg"
    answer = exchange(server, f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ") and b"x-evil" not in answer.lower().partition(b"\r\n\r\n")[0]


def test_stopping_ends_streams_that_are_open(view, store):
    server = serve(create_app(view, store), port=0)
    first = {}

    def listen(path):
        with httpx.stream("GET", f"{server.address}{path}", timeout=20) as answer:
            for chunk in answer.iter_raw():
                first.setdefault(path, chunk)

    paths = ("/api/messages", "/api/cameras/door/stream.mjpg")
    threads = [threading.Thread(target=listen, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    while len(first) < 2:
        time.sleep(0.01)
    start = time.monotonic()
    server.stop()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads) and time.monotonic() - start < 8
    assert b"hello" in first["/api/messages"] and view.picture("door") in first["/api/cameras/door/stream.mjpg"]
    assert not view.queues
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.address}/healthz")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "cameras.example"])
def test_other_addresses_need_a_token(store, host):
    with pytest.raises(UserError, match="needs a token"):
        serve(create_app(FakeView(), store), host, 0)


def test_an_address_that_cannot_be_served_is_named(store, server):
    with pytest.raises(UserError, match=f"127.0.0.1:{server.port} cannot be served"):
        serve(create_app(FakeView(), store), port=server.port)
    with pytest.raises(UserError, match=r"192\.0\.2\.1:8008 cannot be served"):
        serve(create_app(FakeView(), store, TOKEN), "192.0.2.1", 8008)


def test_the_address_is_that_of_the_page(server):
    assert httpx.get(server.address).text.startswith("<!doctype html>")
