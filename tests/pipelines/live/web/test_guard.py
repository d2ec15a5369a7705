import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from pipelines.live.web import create_app
from pipelines.live.web.guard import HEADERS, MAX_BODY_BYTES
from tests.pipelines.live.web.conftest import CHANGING, TOKEN

PAUSE = "/api/cameras/door/paused"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8008", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b", "192.0.2.7"],
)
def test_a_foreign_host_is_refused(client, host):
    answer = client.get("/api/cameras", headers={"Host": host})
    assert answer.status_code in (400, 421) and "cameras" not in answer.json()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9", "localhost:8008", "LOCALHOST", "[::1]:8008", "localhost."]
)
def test_this_machine_is_no_foreign_host(client, host):
    assert client.get("/api/cameras", headers={"Host": host}).status_code == 200


def test_with_a_token_any_address_and_named_hosts_are_known(guarded):
    for host, status in (("192.0.2.7", 200), ("10.1.2.3:8008", 200), ("cameras.example", 200), ("evil.example", 421)):
        assert guarded.get("/api/cameras", headers={**BEARER, "Host": host}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:8008.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8008"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
)
def test_a_foreign_page_changes_nothing(client, view, headers):
    assert client.put(PAUSE, json={"paused": True}, headers=headers).status_code == 403
    assert view.cameras["door"].state == "live"


def test_a_change_needs_the_header_that_no_form_can_send(client, view):
    del client.headers["x-vad"]
    assert client.put(PAUSE, json={"paused": True}).status_code == 403
    own = {**CHANGING, "Origin": "http://127.0.0.1:8008"}
    assert client.put(PAUSE, json={"paused": True}, headers=own).status_code == 200
    assert view.cameras["door"].state == "paused"


def test_a_foreign_page_shows_no_picture_but_links_to_the_page(client):
    picture = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert client.get("/api/cameras/door/picture.jpg", headers=picture).status_code == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/", headers={**link, "Sec-Fetch-Dest": "iframe"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/", "/events", "/cameras/door", "/api/cameras", "/api/messages", "/metrics", "/api/openapi.json", "/none"],
)
def test_without_the_token_nothing_is_given(guarded, path):
    answer = guarded.get(path)
    assert answer.status_code == 401 and "door" not in answer.text and answer.headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", f"Bearer {TOKEN.upper()}"):
        assert guarded.get(path, headers={"Authorization": wrong}).status_code == 401
    assert guarded.get(f"{path}?token={TOKEN}").status_code == 401


def test_a_program_needs_the_token_alone(guarded, view):
    assert guarded.get("/api/cameras", headers=BEARER).json()["session"] is False
    assert guarded.put(PAUSE, json={"paused": True}, headers=BEARER).status_code == 200
    assert view.cameras["door"].state == "paused"


def test_a_browser_without_a_session_is_sent_to_the_login(guarded):
    answer = guarded.get("/cameras/door", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/cameras/door")


def test_a_long_body_is_refused(client):
    stated = client.put(PAUSE, content=b"", headers={"Content-Length": str(100_000_000)})
    assert stated.status_code == 413 and stated.headers["connection"] == "close"
    assert client.put(PAUSE, content=b"", headers={"Content-Length": "9" * 4000}).status_code == 413
    assert client.put(PAUSE, content=bytes(MAX_BODY_BYTES + 1)).status_code == 413
    assert client.put(PAUSE, content=iter([bytes(MAX_BODY_BYTES)] * 3)).status_code == 413


def test_every_answer_carries_the_headers(client, guarded, monkeypatch, view):
    monkeypatch.setattr(view, "patch_scores", lambda name: 1 / 0)
    answers = [client.get(path) for path in ("/", "/none", "/static/main.js", "/api/cameras/x", "/api/events?limit=x")]
    answers += [guarded.get("/"), guarded.get("/login"), client.get("/", headers={"Host": "evil.example"})]
    failed = client.get("/api/cameras/door/patches")
    assert failed.status_code == 500 and "ZeroDivisionError" not in failed.text
    for answer in (*answers, failed):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "server" not in answer.headers
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy and "default-src 'none'" in policy


def test_the_token_and_the_session_are_in_no_log(guarded, caplog):
    caplog.set_level("DEBUG")
    session = guarded.post("/login", data={"token": TOKEN}).cookies["vad_session"]
    guarded.get("/api/cameras", headers=BEARER)
    assert TOKEN not in caplog.text and session not in caplog.text


def test_a_websocket_is_closed(view, store):
    client = TestClient(create_app(view, store), base_url="http://127.0.0.1")
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/api/messages"):
        pass
    assert closed.value.code == 1008
