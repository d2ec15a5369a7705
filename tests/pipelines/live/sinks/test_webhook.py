"""Webhooks against a real HTTP server that hangs, fails and recovers."""

import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.config import UserError
from pipelines.live.sinks.webhook import Webhook, signature

QUICK = (0.005, 0.02)


def event(number, change="new"):
    return {"type": "event", "change": change, "event": {"event_id": f"{number:032x}", "camera": "door"}}


class Receiver:
    """A server on a free port; ``answer(message)`` decides on the status, or hangs."""

    def __init__(self, answer=lambda message: 200, port=0):
        receiver, self.requests, self.answer = self, [], answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                message = json.loads(body)
                status = receiver.answer(message)
                receiver.requests.append((status, message, dict(self.headers), body, self.path))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook?door=1"

    def taken(self):
        taken = [message for status, message, *_ in self.requests if status == 200]
        return [(int(message["event"]["event_id"], 16), message["change"]) for message in taken]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def test_messages_arrive_signed_and_in_order(tmp_path, receiver):
    sink = Webhook(receiver.url, tmp_path / "queue.sqlite", secret="shared")
    for change in ("new", "update", "end"):
        sink.publish(event(1, change))
    sink.publish({"type": "score", "camera": "door", "time": 1.0, "score": 0.5})
    sink.close()
    assert receiver.taken() == [(1, "new"), (1, "update"), (1, "end")] and sink.delivered == 3
    _, _, headers, body, path = receiver.requests[0]
    stamp, digest = (part.partition("=")[2] for part in headers["VAD-Signature"].split(","))
    assert abs(int(stamp) - time.time()) < 60 and path == "/hook?door=1"
    assert digest == hmac.new(b"shared", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert len({headers["VAD-Message-Id"] for _, _, headers, *_ in receiver.requests}) == 3


def test_a_receiver_that_fails_gets_everything_afterwards_and_each_event_in_order(tmp_path):
    receiver, broken = Receiver(lambda message: 500 if broken.is_set() else 200), threading.Event()
    broken.set()
    sink = Webhook(receiver.url, tmp_path / "queue.sqlite", backoff_sec=QUICK)
    for number in range(5):
        for change in ("new", "end"):
            sink.publish(event(number, change))
    until(lambda: len(receiver.requests) > 3)
    assert sink.num_waiting == 10 and sink.problem == "127.0.0.1 answered 500"
    broken.clear()
    until(lambda: sink.num_waiting == 0)
    sink.close()
    assert sorted(receiver.taken()) == sorted((number, change) for number in range(5) for change in ("new", "end"))
    assert all(receiver.taken().index((n, "new")) < receiver.taken().index((n, "end")) for n in range(5))
    receiver.close()


def test_a_message_that_always_fails_holds_back_its_own_event_only(tmp_path):
    receiver = Receiver(lambda message: 503 if int(message["event"]["event_id"], 16) == 0 else 200)
    sink = Webhook(receiver.url, tmp_path / "queue.sqlite", backoff_sec=QUICK)
    for number in range(4):
        sink.publish(event(number))
    until(lambda: sink.num_waiting == 1 and sink.delivered == 3)
    sink.close(0.1)
    assert sorted(receiver.taken()) == [(1, "new"), (2, "new"), (3, "new")]
    receiver.close()


def test_a_refused_message_is_dropped_and_a_busy_receiver_is_asked_again(tmp_path):
    answers = {0: [404], 1: [429, 200]}
    receiver = Receiver(lambda message: answers[int(message["event"]["event_id"], 16)].pop(0))
    sink = Webhook(receiver.url, tmp_path / "queue.sqlite", backoff_sec=QUICK)
    sink.publish(event(0))
    sink.publish(event(1))
    until(lambda: sink.delivered == 1 and sink.num_waiting == 0)
    sink.close()
    assert sink.refused == 1
    receiver.close()


def test_the_queue_survives_a_restart_and_a_receiver_that_is_gone(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = Webhook(f"http://127.0.0.1:{port}/", tmp_path / "queue.sqlite", backoff_sec=QUICK)
    sink.publish(event(1, "new"))
    sink.publish(event(1, "end"))
    until(lambda: "ConnectionRefusedError" in sink.problem)
    sink.close()
    receiver = Receiver(port=port)
    sink = Webhook(receiver.url, tmp_path / "queue.sqlite", backoff_sec=QUICK)
    until(lambda: sink.delivered == 2)
    sink.close()
    assert receiver.taken() == [(1, "new"), (1, "end")]
    receiver.close()


@pytest.mark.parametrize("drips", [False, True])
def test_a_receiver_that_hangs_holds_nothing_back(tmp_path, drips):
    hung = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip():
        while not stop.is_set():
            with contextlib.suppress(OSError), hung.accept()[0] as connection:
                while drips and not stop.wait(0.01):
                    connection.send(b"H")
                stop.wait(0.1)

    threading.Thread(target=drip, daemon=True).start()
    url = f"http://127.0.0.1:{hung.getsockname()[1]}/"
    sink = Webhook(url, tmp_path / "queue.sqlite", timeout_sec=0.1, backoff_sec=QUICK, max_messages=50)
    start = time.perf_counter()
    for number in range(200):
        sink.publish(event(number))
    assert time.perf_counter() - start < 0.5, "publish() waited"
    until(lambda: sink.problem and sink.dropped == 150)
    assert sink.num_waiting == 50 and sink.delivered == 0
    start = time.perf_counter()
    sink.close(1.0)
    assert time.perf_counter() - start < 2.0
    stop.set()
    hung.close()


@pytest.mark.parametrize(
    "url", ["door", "ftp://host/", "http://", "https://user:secret@host/", "http://host:port/?key=secret"]
)
def test_an_address_that_is_none_is_refused_without_its_secrets(tmp_path, url):
    with pytest.raises(UserError, match="must have an address as https://HOST/PATH") as error:
        Webhook(url, tmp_path / "queue.sqlite")
    assert "secret" not in str(error.value)


def test_the_signature_is_that_of_time_and_body():
    expected = hmac.new(b"key", b"12.abc", hashlib.sha256).hexdigest()
    assert signature("key", 12.9, b"abc") == f"t=12,v1={expected}"
