import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.live import CameraStatus
from pipelines.live.web.monitoring import GRACE_SEC, problem_of
from tests.pipelines.live.web.conftest import TOKEN

ODD_NAME = 'a"b\\c\n<script>'


def samples(client, **headers):
    families = text_string_to_metric_families(client.get("/metrics", headers=headers).text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_metrics_are_those_of_the_view(client, view):
    view.add("gate", state="lost", health="black", score=None, score_time=None, frames_dropped=7, reconnects=3)
    found = samples(client)
    assert found["vad_frames_scored_total", "door"] == 120 and found["vad_score", "door"] == 0.25
    assert (found["vad_frames_dropped_total", "gate"], found["vad_reconnects_total", "gate"]) == (7, 3)
    assert ("vad_score", "gate") not in found and found["vad_latency_seconds", "gate"] == 0.2
    states = {key[2]: value for key, value in found.items() if key[:2] == ("vad_state", "gate")}
    assert states == {"connecting": 0, "live": 0, "stalled": 0, "lost": 1, "paused": 0, "ended": 0}
    assert found["vad_health", "gate", "black"] == 1 and found["vad_health", "door", "ok"] == 1


def test_a_name_with_quotes_and_breaks_is_one_label(client, view):
    view.add(ODD_NAME, score=0.5)
    assert samples(client)["vad_score", ODD_NAME] == 0.5


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"state": "live", "since": 0.0}, ""),
        ({"state": "live", "health": "black"}, ""),
        ({"state": "lost", "since": 990.0, "reason": "refused"}, "lost for 10 s: refused"),
        ({"state": "stalled", "since": 990.0}, "stalled for 10 s"),
        ({"state": "connecting", "since": 1000.0 - GRACE_SEC}, ""),
        ({"state": "connecting", "since": 900.0}, "connecting for 100 s"),
        ({"state": "paused"}, ""),
        ({"state": "ended"}, ""),
    ],
)
def test_what_is_wrong_with_a_camera(values, problem):
    assert problem_of(CameraStatus("door", **values), now=1000.0) == problem


def test_the_health_names_failing_cameras(client, view):
    assert client.get("/healthz").json() == {"status": "ok", "cameras": {}}
    view.change("yard", state="lost", reason="refused", since=time.time() - 5)
    answer = client.get("/healthz")
    assert answer.status_code == 503 and answer.json()["cameras"]["yard"].startswith("lost for 5 s: refused")


def test_without_the_token_the_health_gives_no_reasons(guarded, view):
    view.change("yard", state="lost", reason="refused")
    assert (guarded.get("/healthz").status_code, guarded.get("/healthz").json()) == (503, {"status": "failing"})
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert "yard" in guarded.get("/healthz", headers=bearer).json()["cameras"]
    assert samples(guarded, **bearer)["vad_score", "door"] == 0.25
