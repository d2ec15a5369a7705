import json

import numpy as np
import pytest

from pipelines.live.web.api import MAX_ZONES
from tests.pipelines.live.conftest import NOON, an_event

ODD_NAME = "\"><img src=x onerror=alert('1')>"
TRIANGLE = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]


def test_cameras_come_in_order_with_their_open_event(client, store):
    store.save(an_event(1, camera="yard", level="notice"))
    store.save(an_event(2, camera="door", end=NOON + 500))
    cameras = client.get("/api/cameras").json()["cameras"]
    assert [(camera["name"], camera["open_event"]) for camera in cameras] == [("door", None), ("yard", "notice")]
    assert client.get("/api/cameras/yard").json()["open_event"] == "notice"


def test_what_json_cannot_hold_becomes_null(client, view):
    view.add("odd", score=float("nan"), latency_sec=float("inf"))
    view.patches["odd"] = (np.array([np.nan]), (1,))
    camera = client.get("/api/cameras/odd").json()
    assert camera["score"] is None and camera["latency_sec"] is None
    assert client.get("/api/cameras/odd/patches").json() == {"scales": [1], "scores": [0.0]}


def test_an_odd_name_is_a_name(client, view):
    view.add(ODD_NAME)
    assert client.get("/api/cameras").json()["cameras"][2]["name"] == ODD_NAME
    assert client.get(f"/api/cameras/{ODD_NAME.replace(' ', '%20')}").headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "name", ["none", "..", "%2e%2e%2f%2e%2e%2fetc", "door%00", "door%0d%0aX-Evil:%201", "%ff", "d" * 9000]
)
def test_an_unknown_camera_is_not_found(client, name):
    for path in ("", "/picture.jpg", "/scores", "/states", "/patches", "/stream.mjpg"):
        answer = client.get(f"/api/cameras/{name}{path}")
        assert answer.status_code in (404, 405) and "x-evil" not in answer.headers


def test_a_picture_is_sent_once(client, view):
    answer = client.get("/api/cameras/door/picture.jpg")
    assert answer.content == view.pictures["door"] and answer.headers["content-type"] == "image/jpeg"
    again = client.get("/api/cameras/door/picture.jpg", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    view.pictures["door"] = None
    assert client.get("/api/cameras/door/picture.jpg").status_code == 204


def test_patches_of_a_camera_without_scores_are_empty(client, view):
    assert len(client.get("/api/cameras/door/patches").json()["scores"]) == 14
    view.patches["door"] = None
    assert client.get("/api/cameras/door/patches").json() == {"scales": [], "scores": []}


def test_scores_and_states_are_those_of_the_store(client, store):
    store.add_scores("door", [(NOON, 0.25), (NOON + 1, 0.75), (NOON + 50, 0.5)])
    store.add_state("door", NOON, "lost", "ok", "<b>gone</b>")
    answer = client.get(f"/api/cameras/door/scores?since={NOON}&until={NOON + 100}&points=10").json()
    assert answer["scores"] == [[NOON, 0.25, 0.5, 0.75], [NOON + 50, 0.5, 0.5, 0.5]]
    answer = client.get(f"/api/cameras/door/states?since={NOON}&until={NOON + 100}").json()
    assert answer["states"] == [[NOON, "lost", "ok", "<b>gone</b>"]]
    assert client.get(f"/api/cameras/door/scores?since={NOON}&until={NOON}").json()["scores"] == []


@pytest.mark.parametrize(
    "values", ["since=nan", "until=inf", "since=-1", "points=0", "points=99999", "since=1e300", "since=x"]
)
def test_numbers_that_cannot_be_are_refused(client, values):
    answer = client.get(f"/api/cameras/door/scores?{values}")
    assert answer.status_code == 422 and values.partition("=")[0] in answer.json()["detail"]


def test_pause_and_resume(client, view):
    for paused, state in ((True, "paused"), (False, "live")):
        assert client.put("/api/cameras/door/paused", json={"paused": paused}).json()["state"] == state
    assert view.cameras["yard"].state == "live"


def test_zones_are_set_and_none_are_the_whole_picture(client, view):
    assert client.put("/api/cameras/door/zones", json={"zones": [TRIANGLE]}).json()["zones"] == [TRIANGLE]
    assert view.cameras["door"].zones == (tuple(map(tuple, TRIANGLE)),)
    assert client.put("/api/cameras/door/zones", json={"zones": []}).json()["zones"] == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"zones": [[[0, 0], [1, 1]]]}', "at least 3 points"),
        ('{"zones": [[[0, 0], [2, 0], [1, 1]]]}', "must lie in 0..1"),
        ('{"zones": [[[0, 0], [0.5, 0.5], [1, 1]]]}', "has no area"),
        ('{"zones": [[[NaN, 0], [1, 0], [1, 1]]]}', "must lie in 0..1"),
        ('{"zones": [[[1e999, 0], [1, 0], [1, 1]]]}', "must lie in 0..1"),
        ('{"zones": [[["<script>", 0], [1, 0], [1, 1]]]}', "valid number"),
        (json.dumps({"zones": [TRIANGLE] * (MAX_ZONES + 1)}), "20 zones"),
        (json.dumps({"zones": [TRIANGLE * 40]}), "100 points"),
        ('{"zones": 5}', "valid list"),
        ('{"zones": [], "more": 1}', "Extra inputs"),
        ("{}", "Field required"),
        ("[" * 60_000, ""),
        ("not JSON", "JSON"),
    ],
)
def test_wrong_zones_are_refused_with_the_reason(client, view, body, problem):
    answer = client.put("/api/cameras/door/zones", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and problem in answer.json()["detail"] and "<script>" not in answer.text
    assert view.cameras["door"].zones == ()


@pytest.mark.parametrize("body", [{"paused": "yes"}, {"paused": 1}, {"paused": None}, {}, []])
def test_only_true_and_false_pause(client, body):
    assert client.put("/api/cameras/door/paused", json=body).status_code == 422
