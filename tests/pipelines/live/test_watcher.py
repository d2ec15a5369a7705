"""The whole watcher with real reader processes: files, a real RTSP server, and what a page asks for."""

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.data.video import VideoReader
from pipelines.live import CameraStatus, source
from pipelines.live.cameras import Camera, read_cameras
from pipelines.live.recorder import Recorder
from pipelines.live.store import EventStore
from pipelines.live.watched import ClipTimes
from pipelines.live.watcher import Watcher, WatchOptions
from pipelines.serving.scorer import Scorer
from tests.pipelines.live.sources import BrightnessEngine, free_port, wait_until, write_video


@pytest.fixture
def watching(tmp_path):
    """Function that starts a watcher; it is stopped at the end."""
    started = []

    def start(*cameras, engine=None, engines=None, cameras_file=None, **options):
        store = EventStore(tmp_path / "live")
        engines = engines or {camera.name: engine or BrightnessEngine() for camera in cameras}
        options = WatchOptions(pace=False, timeout_sec=2.0, **options)
        watcher = Watcher(cameras, engines, Recorder(store), options=options, cameras_file=cameras_file)
        messages = watcher.subscribe()
        watcher.start()
        started.append((watcher, store))
        return SimpleNamespace(watcher=watcher, store=store, messages=messages)

    yield start
    for watcher, store in started:
        watcher.stop()
        store.close()


def scores_of(messages, camera):
    found = list(messages.queue)
    return [message["score"] for message in found if message["type"] == "score" and message["camera"] == camera]


def test_files_at_several_rates_have_the_scores_of_vad_score_and_their_events_clips_and_snapshots(watching, tmp_path):
    video = write_video(tmp_path / "a.mp4", num_frames=60)
    rates = {"all": 0.0, "half": 2.5, "odd": 1.7}
    engines = {name: BrightnessEngine(clip_frames=4, fps=rate, alignment="centered") for name, rate in rates.items()}
    cameras = [Camera(name, str(video), threshold=0.55) for name in rates]
    one = watching(*cameras, engines=engines, clips=ClipTimes(1.0, 1.0, 5.0))
    assert one.watcher.wait(timeout=120)
    for name, rate in rates.items():
        frames = np.stack([frame.rgb for frame in VideoReader(video, rate, 16)])
        scorer = Scorer(engines[name])
        expected = np.concatenate([scorer.push(frames).anomaly_score, scorer.finish().anomaly_score])
        np.testing.assert_allclose(scores_of(one.messages, name), expected, atol=1e-5)
    one.watcher.recorder.close()
    events = one.store.events()
    assert events and all(event.has_snapshot and event.has_clip for event in events)
    assert one.watcher.picture("all").startswith(b"\xff\xd8")
    patches, scales = one.watcher.patch_scores("all")
    assert patches.shape == (5,) and scales == (1, 2)
    assert {status.state for status in one.watcher.statuses()} == {"ended"}
    assert sum(status.frames_dropped for status in one.watcher.statuses()) == 0


def test_a_real_stream_is_scored_and_comes_back_after_its_server_died(watching, rtsp_server, monkeypatch):
    monkeypatch.setattr(source, "STALLED_SEC", 0.5)
    port = free_port()
    server = rtsp_server(port)
    one = watching(Camera("door", f"rtsp://user:secret@127.0.0.1:{port}/a"))

    def status():
        return one.watcher.statuses()[0]

    wait_until(lambda: status().frames_scored > 20)
    server.kill()
    server.wait()
    wait_until(lambda: status().state in ("lost", "connecting"))
    scored = status().frames_scored
    rtsp_server(port)
    wait_until(lambda: status().frames_scored > scored + 20)
    assert (status().state, status().reconnects) == ("live", 1) and status().latency_sec < 30
    reasons = [message["reason"] for message in list(one.messages.queue) if message["type"] == "state"]
    assert any("trying again" in reason for reason in reasons) and "secret" not in "".join(reasons)
    one.watcher.pause("door", True)
    wait_until(lambda: status().state == "paused" and not one.watcher._named("door").source.num_waiting)
    pid, scored = one.watcher._named("door").source.pid, status().frames_scored
    time.sleep(0.3)
    assert status().frames_scored <= scored + 2
    one.watcher.pause("door", False)
    wait_until(lambda: status().frames_scored > scored + 10)
    assert one.watcher._named("door").source.pid == pid


def test_an_event_that_is_open_at_the_end_has_its_clip(watching, tmp_path):
    video = write_video(tmp_path / "a.mp4", num_frames=3000)
    camera = Camera("door", str(video), threshold=0.0)
    one = watching(camera, engine=BrightnessEngine(clip_frames=1))
    wait_until(lambda: one.store.open_events())
    one.watcher.stop()
    (event,) = one.store.events()
    assert event.end is not None and event.has_snapshot and event.has_clip


def test_zones_are_used_and_written_into_the_list_of_cameras(watching, tmp_path):
    video = write_video(tmp_path / "a.mp4")
    path = tmp_path / "cameras.toml"
    path.write_text(f'[[cameras]]  # mine\nname = "door"\nsource = "{video}"\n')
    one = watching(*read_cameras(path), cameras_file=path)
    zone = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0))
    one.watcher.set_zones("door", [list(map(list, zone))])
    assert one.watcher.statuses()[0].zones == (zone,) == read_cameras(path)[0].zones and "# mine" in path.read_text()
    with pytest.raises(UserError, match="zone"):
        one.watcher.set_zones("door", [[[0, 0], [2, 2], [1, 0]]])
    with pytest.raises(KeyError, match="no camera"):
        one.watcher.pause("../door", True)
    assert one.watcher.wait(timeout=60)


def test_a_recording_dropped_into_a_folder_is_scored_once(watching, tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    write_video(folder / "a.mp4")
    one = watching(Camera("door", str(folder)))
    remembered = tmp_path / "live" / "scored" / "door.json"
    wait_until(remembered.exists)
    assert "a.mp4|" in remembered.read_text() and len(scores_of(one.messages, "door")) == 25
    assert not one.watcher.wait(timeout=0)


def test_a_threshold_of_a_camera_replaces_that_of_the_model(tmp_path):
    recorder = SimpleNamespace(subscribe=None, store=SimpleNamespace(folder=tmp_path))
    cameras = [Camera("a", "a.mp4", threshold=0.75, notice_threshold=0.25), Camera("b", "b.mp4")]
    cameras.append(Camera("c", "c.mp4", enabled=False))
    watcher = Watcher(cameras, dict.fromkeys("abc", BrightnessEngine()), recorder)
    assert [(status.name, status.threshold) for status in watcher.statuses()] == [("a", 0.75), ("b", 0.5)]
    assert watcher.statuses()[1] == dataclasses.replace(CameraStatus("b"), since=watcher.statuses()[1].since)
    with pytest.raises(UserError, match="`notice_threshold` of camera `a` must be at most"):
        Watcher([Camera("a", "a.mp4", notice_threshold=0.75)], {"a": BrightnessEngine()}, recorder)


def test_an_error_of_the_model_ends_watching_and_is_raised(watching, tmp_path):
    engine = BrightnessEngine()
    extract = engine.extract
    engine.extract = lambda frames: 1 / 0 if frames.any() else extract(frames)  # black frames warm it up
    one = watching(Camera("door", str(write_video(tmp_path / "a.mp4"))), engine=engine)
    assert engine.num_extracted > 0
    with pytest.raises(ZeroDivisionError):
        one.watcher.wait(timeout=60)
