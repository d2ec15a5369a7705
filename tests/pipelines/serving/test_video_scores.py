"""Scores of a file for programs: locally and from a server, by the code of `vad score`."""

import subprocess
import sys

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.config.sections import AlarmsConfig
from pipelines.data.video import VideoError
from pipelines.serving import score_video
from pipelines.serving.alarms import AlarmRules, find_alarms
from pipelines.serving.engines import open_engine
from pipelines.serving.video_scores import score_with
from tests.videos import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "door.mp4")


def test_a_server_gives_the_scores_of_the_model_in_this_process(exported, served, video):
    servers = pytest.importorskip("tests.pipelines.serving.in_process_server")
    local = score_video(video, model=exported.folder)
    assert local.scores.shape == local.times_sec.shape == (22,) and local.scores.std() > 0
    np.testing.assert_allclose(local.times_sec, np.arange(22) / 10, atol=1e-3)
    for serve in (servers.grpc_server, servers.rest_server):
        with serve(served) as address:
            remote = score_video(video, server=address, name="tiny", label="stable")
        np.testing.assert_allclose(remote.scores, local.scores, atol=1e-5)
        # The server computes all snippets at once, so nodes have other last digits before they are rounded to 16 bits.
        for ours, expected in zip(remote.sampled, local.sampled, strict=True):
            np.testing.assert_allclose(ours, expected, atol=3e-4)


def test_alarms_follow_the_threshold(exported, video):
    scores = score_video(video, model=exported.folder).scores
    found = score_video(video, model=exported.folder, threshold=float(np.median(scores)))
    assert found.threshold == np.median(scores)
    rules = AlarmRules.of_recording(AlarmsConfig(), found.threshold)
    assert found.alarms == find_alarms(scores, found.times_sec, rules, 1 / found.fps) and found.alarms


def test_one_of_a_model_and_a_server_must_be_chosen(video):
    with pytest.raises(UserError, match=r"choose a model folder or a server, .* Received: neither"):
        score_video(video)
    with pytest.raises(UserError, match="Received: both"):
        score_video(video, model="savedmodels/vad", server="grpc://localhost:8500")


def test_a_file_that_is_no_video_is_named(exported, tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"notes\.mp4: "):
        score_video(tmp_path / "notes.mp4", model=exported.folder)


def test_the_package_loads_nothing_until_a_name_is_used():
    program = """
import sys
import pipelines.serving
loaded = [name for name in ("tensorflow", "keras", "av", "grpc", "numpy") if name in sys.modules]
assert not loaded, loaded
assert {"score_video", "VideoScores"} <= set(dir(pipelines.serving))
try:
    pipelines.serving.score_videos
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "module 'pipelines.serving' has no attribute 'score_videos'"


def test_the_progress_counts_snippets(exported, video):
    engine, counted = open_engine(exported.folder), []

    def progress(snippets):
        for snippet in snippets:
            counted.append(int(snippet.mask.sum()))
            yield snippet

    assert len(score_with(engine, video, progress=progress).scores) == 22
    assert counted == [4, 4, 4, 4, 4, 2]
