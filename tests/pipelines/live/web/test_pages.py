import pytest

from tests.pipelines.live.web.conftest import CHANGING, TOKEN


@pytest.mark.parametrize("path", ["/", "/events", "/events/" + "a" * 32, "/cameras/door", "/cameras/%3Cscript%3E"])
def test_every_view_is_the_same_document(client, path):
    answer = client.get(path)
    assert answer.status_code == 200 and "<title>vad watch</title>" in answer.text and "<script>" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/%2e%2e%2f%2e%2e%2fstore.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/vendor",
    ],
)
def test_no_path_leaves_the_static_folder(client, path):
    assert client.get(path).status_code == 404


def test_the_login_starts_a_session_that_the_logout_ends(guarded):
    answer = guarded.post("/login", data={"token": f" {TOKEN}\n", "next": "/cameras/door"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/cameras/door")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie and "Secure" not in cookie
    assert guarded.get("/api/cameras").json()["session"] is True
    session = guarded.cookies["vad_session"]
    assert guarded.post("/logout").status_code == 403
    assert guarded.post("/logout", headers=CHANGING).status_code == 204
    assert guarded.get("/api/cameras", headers={"Cookie": f"vad_session={session}"}).status_code == 401


def test_over_https_the_cookie_is_secure(guarded):
    answer = guarded.post("https://192.0.2.7:8008/login", data={"token": TOKEN})
    assert "Secure" in answer.headers["set-cookie"]


def test_a_wrong_token_is_told_and_nothing_of_it_is_shown(guarded):
    answer = guarded.post("/login", data={"token": "<script>alert(1)</script>", "next": '"><script>'})
    assert answer.status_code == 403 and "This is not the token." in answer.text and "<script>" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/api/cameras", "/cameras/x\r\nSet-Cookie: a=b"],
)
def test_the_login_leads_to_pages_of_its_own_only(guarded, target):
    assert guarded.post("/login", data={"token": TOKEN, "next": target}).headers["location"] == "/"


def test_a_foreign_page_logs_nobody_in(guarded):
    headers = {"Origin": "http://evil.example"}
    assert guarded.post("/login", data={"token": TOKEN}, headers=headers).status_code == 403


def test_without_a_token_there_is_no_login(client):
    assert client.get("/login", follow_redirects=False).headers["location"] == "/"
