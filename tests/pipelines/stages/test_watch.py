"""The watch stage: what is watched and how, and the scores of `vad score`."""

import dataclasses
import json
import os
import signal
import threading

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.live.cameras import find_cameras
from pipelines.live.store import EventStore
from pipelines.run.lock import run_lock
from pipelines.stages import score, watch
from tests.pipelines.live.sources import wait_until, write_video

CORNER = [[[0.0, 0.0], [0.4, 0.0], [0.4, 0.4]]]


def config_of(exported, tmp_path, *sources, **settings):
    config, settings = exported.config, {"web": "", "pace": False, "sources": tuple(map(str, sources)), **settings}
    inputs = tuple(map(str, sources))
    scoring = dataclasses.replace(config.score, model=str(exported.folder), inputs=inputs, top_frames=0)
    section = dataclasses.replace(config.watch, **settings)
    return dataclasses.replace(config, work_dir=str(tmp_path / "run"), watch=section, score=scoring)


def test_a_watched_file_has_the_scores_of_vad_score(exported, tmp_path, capsys):
    video = write_video(tmp_path / "door.mp4", num_frames=31)
    config = config_of(exported, tmp_path, video)
    folder = watch.run(config)
    assert folder == tmp_path / "run" / "live"
    output = capsys.readouterr().out
    assert "door  live" in output and "door  ended" in output and "1 camera, 31 frames scored" in output
    expected = json.loads((score.run(config) / "door.json").read_text())["scores"]
    store = EventStore(folder)
    start = video.stat().st_mtime - 31 / 5 - 0.01
    found = [mean for _, _, mean, _ in store.scores("door", start, start + 9, max_points=10_000)]
    store.close()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_zones_count_alike_in_vad_watch_and_vad_score(exported, tmp_path):
    video, cameras, zone = write_video(tmp_path / "door.mp4", num_frames=16), tmp_path / "cameras.toml", CORNER
    cameras.write_text(f'[[cameras]]\nname = "door"\nsource = "{video}"\nzones = {zone}\n')
    config = config_of(exported, tmp_path, cameras=str(cameras))
    folder = watch.run(config)
    scored = []
    for zones in ((), zone):
        section = dataclasses.replace(config.score, inputs=(str(video),), zones=zones)
        result = json.loads((score.run(dataclasses.replace(config, score=section)) / "door.json").read_text())
        assert result.get("zones") == (zones or None)
        scored.append(result["scores"])
    store = EventStore(folder)
    start = video.stat().st_mtime - 16 / 5 - 0.01
    found = [mean for _, _, mean, _ in store.scores("door", start, start + 9, max_points=10_000)]
    store.close()
    assert found == pytest.approx(scored[1], abs=1e-5) and np.max(np.subtract(*scored)) > 1e-4


def test_a_signal_ends_watching_and_everything_is_written(exported, tmp_path):
    config = config_of(exported, tmp_path, write_video(tmp_path / "door.mp4", num_frames=600), pace=True)

    def stop():
        wait_until(lambda: (tmp_path / "run" / "live" / "events.sqlite").exists())
        threading.Event().wait(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=stop, daemon=True).start()
    watch.run(config)
    assert signal.getsignal(signal.SIGTERM) is before
    store = EventStore(tmp_path / "run" / "live")
    assert not store.open_events()
    store.close()


def test_two_processes_do_not_watch_into_one_folder(exported, tmp_path):
    config = config_of(exported, tmp_path, write_video(tmp_path / "door.mp4"))
    with run_lock(tmp_path / "run" / "live"), pytest.raises(UserError, match="is using"):
        watch.run(config)


def test_a_model_is_loaded_once_for_all_its_cameras(exported, tmp_path):
    video = write_video(tmp_path / "a.mp4", num_frames=2)
    config = config_of(exported, tmp_path, video, video)
    cameras = find_cameras(config.watch)
    engines = watch.load_engines(config, cameras)
    assert list(engines) == ["a", "a_2"] and engines["a"] is engines["a_2"]


def test_the_page_is_served_while_cameras_are_watched(exported, tmp_path, capsys):
    token = tmp_path / "token"
    token.write_text("a token of the tests\n")
    video = write_video(tmp_path / "door.mp4", num_frames=10)
    watch.run(config_of(exported, tmp_path, video, web="0.0.0.0:0", web_token_file=str(token)))
    assert "web page: http://0.0.0.0:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"web": "0.0.0.0:0"}, "needs a token"),
        ({"web": "8090"}, "must be HOST:PORT"),
        ({"web": "0.0.0.0:0", "web_token_file": "none"}, "none cannot be read"),
    ],
)
def test_a_page_that_cannot_be_served_starts_no_camera(exported, tmp_path, settings, problem):
    with pytest.raises(UserError, match=problem):
        watch.run(config_of(exported, tmp_path, write_video(tmp_path / "door.mp4"), **settings))
