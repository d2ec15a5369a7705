"""One watched camera: frames become scores, scores events, and a bad picture is no event."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.live.cameras import Camera
from pipelines.live.quiet import QuietClips
from pipelines.live.reader import BeginMessage, EndMessage, FrameMessage
from pipelines.live.recorder import Recorder
from pipelines.live.store import EventStore
from pipelines.live.watched import ClipTimes, WatchedCamera
from pipelines.serving.alarms import AlarmRules
from tests.pipelines.live.sources import BrightnessEngine

START = 1_700_000_000.0
FPS = 4.0


class Queue:
    """A source whose items are put in by hand."""

    task, pid, since, dropped, reconnects = None, 1, START, 0, 0

    def __init__(self):
        self.items, self.state, self.reason, self.asked = [], "live", "", []

    num_waiting = property(lambda self: len(self.items))

    def take(self, num_frames):
        marked = next((i for i, item in enumerate(self.items) if not isinstance(item, FrameMessage)), None)
        if marked is None and len(self.items) < num_frames:
            return []
        count = num_frames if marked is None else min(num_frames, marked + 1)
        taken, self.items = self.items[:count], self.items[count:]
        return taken

    def ask_for_clip(self, *arguments):
        self.asked.append(arguments)


@pytest.fixture
def door(tmp_path):
    """Function that makes a watched camera; `run(levels)` gives it frames of a brightness and returns its messages."""
    store = EventStore(tmp_path / "live")

    def make(alignment="causal", on_scored_file=None, quiet=None, min_length_sec=0.0, **camera):
        recorder = Recorder(store)
        messages, source = recorder.subscribe(), Queue()
        camera = Camera("door", "rtsp://h/a", **camera)
        rules = AlarmRules(0.5, camera.notice_threshold, min_length_sec=min_length_sec)
        engine = BrightnessEngine(alignment=alignment)
        clips = ClipTimes(before_sec=1.0, after_sec=2.0, longest_sec=10.0)
        watched = WatchedCamera(camera, engine, source, rules, recorder, None, clips, on_scored_file, quiet)
        clock = SimpleNamespace(frames=0)

        def run(levels, health="ok", usable=None, start=None):
            for level in levels:
                if level is None:
                    source.items.append(BeginMessage())
                    continue
                moment = START + clock.frames / FPS if start is None else start
                clock.frames += 1
                rgb = np.full((16, 16, 3), round(255 * level), np.uint8)
                seen = health == "ok" if usable is None else usable
                picture = f"picture {moment - START}".encode()
                source.items.append(FrameMessage(moment, moment, rgb, health, seen, picture))
            while watched.work():
                pass
            watched.tick()
            return [messages.get() for _ in range(messages.qsize())]

        return SimpleNamespace(watched=watched, source=source, engine=engine, recorder=recorder, run=run, clock=clock)

    yield make
    store.close()


def events(messages):
    return [(message["change"], message["event"]["level"]) for message in messages if message["type"] == "event"]


def scores(messages):
    return [round(message["score"], 2) for message in messages if message["type"] == "score"]


def test_scores_come_in_order_with_their_times_and_the_status_shows_the_newest(door):
    one = door()
    messages = one.run([0.1, 0.2, 0.3, 0.4, 0.5])
    assert scores(messages) == [0.1, 0.2, 0.3, 0.4]  # a snippet has two frames
    times = [message["time"] - START for message in messages if message["type"] == "score"]
    assert times == [0.0, 0.25, 0.5, 0.75]
    status = one.watched.status()
    assert (round(status.score, 2), status.score_time, status.frames_scored) == (0.4, START + 0.75, 4)
    assert one.watched.patches.shape == (5,) and one.watched.picture == b"picture 0.75"
    assert one.engine.num_extracted == 4


def test_an_event_has_its_snapshot_at_the_peak_and_its_clip_when_its_time_has_come(door):
    one = door()
    messages = one.run([0.1] * 8 + [0.6, 0.9, 0.7, 0.6] + [0.1] * 4)
    assert events(messages)[0] == ("new", "alarm") and events(messages)[-1] == ("end", "alarm")
    one.recorder.start()
    assert not one.source.asked
    one.run([0.1] * 8)
    one.recorder.close()
    (event,) = one.recorder.store.events()
    assert (event.start - START, event.end - START, event.peak_time - START) == (2.0, 3.0, 2.25)
    assert one.recorder.store.snapshot_path(event.event_id).read_bytes() == b"picture 2.25"
    (event_id, path, start, end), = one.source.asked
    assert event_id == event.event_id and path == one.recorder.store.clip_path(event_id)
    assert (start - START, end - START) == (1.0, 5.0)


def test_an_event_whose_peak_is_long_ago_has_a_snapshot(door):
    one = door(min_length_sec=20.0)
    one.run([0.1, 0.1, 0.9] + [0.8, 0.7] * 60)
    one.recorder.start()
    one.recorder.close()
    (event,) = one.recorder.store.events()
    assert one.recorder.store.snapshot_path(event.event_id).read_bytes() == b"picture 0.5"


def test_a_long_event_has_a_clip_of_its_first_part_while_it_lasts(door):
    one = door()
    one.run([0.9] * 60)
    one.recorder.start()
    one.recorder.close()
    assert one.watched.tracker.open_event is not None
    assert [(start - START, end - START) for _, _, start, end in one.source.asked] == [(-1.0, 12.0)]


def test_one_black_frame_raises_no_alarm(door):
    one = door()
    bright = one.run([0.1, 0.1, 0.1])
    bad = one.run([1.0], health="ok", usable=False)
    after = one.run([0.1] * 6)
    assert not events(bright + bad + after) and max(scores(bright + bad + after)) < 0.2
    assert one.engine.num_extracted == 8  # it never reaches the model


@pytest.mark.parametrize("health", ["black", "white", "frozen", "blurred", "moved"])
def test_a_camera_that_is_not_well_is_a_state_of_its_own_and_no_event(door, health):
    one = door()
    before = one.run([0.1] * 4 + [0.9] * 4)
    bad = one.run([0.9] * 20, health=health)
    assert events(before) == [("new", "alarm")] and events(bad) == [("end", "alarm")] and not scores(bad)
    states = [(message["state"], message["health"]) for message in bad if message["type"] == "state"]
    assert states == [("live", health)] and one.watched.status().reason
    after = one.run([0.1] * 4)
    assert [message["health"] for message in after if message["type"] == "state"] == ["ok"] and len(scores(after)) == 4


def test_a_new_stream_or_a_gap_shares_no_clique_with_the_frames_before(door):
    one = door(alignment="centered")
    assert scores(one.run([0.3, 0.4])) == []
    assert scores(one.run([None, 0.5, 0.6])) == [0.3, 0.4]
    one.clock.frames += 100
    assert scores(one.run([0.1, 0.2])) == [0.5, 0.6]
    assert one.watched._waiting and not math.isinf(one.watched._frame_time)


def test_a_lost_camera_ends_its_event_and_gets_its_clip(door):
    one = door()
    one.run([0.1, 0.1, 0.9, 0.9])
    one.source.state, one.source.reason = "lost", "connection refused"
    messages = one.run([])
    assert events(messages) == [("end", "alarm")]
    assert [message["reason"] for message in messages if message["type"] == "state"] == ["connection refused"]
    one.run([])
    one.recorder.start()
    one.recorder.close()
    assert len(one.source.asked) == 1


def test_zones_decide_which_patches_count(door):
    one = door(zones=(((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)),))
    nodes = np.array([0.9, 0.2, 0.9, 0.9, 0.9], np.float32)
    one.engine.extract = lambda frames: {"nodes": np.tile(nodes[None, :, None], (len(frames), 1, 1))}
    assert scores(one.run([0.5, 0.5])) == [0.2, 0.2]
    one.watched.set_zones(())
    assert scores(one.run([0.5, 0.5])) == [0.9, 0.9]


def test_a_recording_is_remembered_when_all_its_frames_have_scores(door):
    done = []
    one = door(alignment="centered", on_scored_file=lambda name: done.append((name, one.watched.frames_scored)))
    one.source.items.append(BeginMessage())
    one.run([0.1] * 5)
    one.source.items.append(EndMessage("a.mp4|1|2"))
    one.run([])
    assert done == [("a.mp4|1|2", 5)]


def test_a_file_is_finished_when_its_clips_are_written(door):
    one = door()
    one.run([0.9] * 4)
    one.source.state = "ended"
    assert not one.watched.is_finished
    one.recorder.start()
    one.run([])
    one.run([])
    one.recorder.later(lambda: None)
    one.recorder.close()
    assert not one.watched.is_finished
    one.watched.clip_written(SimpleNamespace(event_id=one.source.asked[0][0], problem=""))
    assert one.watched.is_finished


def test_a_clip_is_cut_after_a_quiet_stretch_and_none_around_an_event(door, tmp_path):
    quiet = QuietClips(tmp_path, every_sec=30, length_sec=5)
    one = door(threshold=0.5, quiet=quiet)
    one.run([0.1] * 16)  # 4 s
    assert not one.source.asked
    one.run([0.1] * 8)
    (asked,) = one.source.asked
    start, end = asked[2:]
    assert asked[:2] == ("quiet", quiet.path("door", start, end)) and end - start == 5 and start >= START
    one.run([0.1] * 80)
    one.run([0.9] * 40 + [0.1] * 16)  # an event, and 4 s: not long enough
    assert [entry[0] for entry in one.source.asked].count("quiet") == 1
    one.run([0.1] * 8)
    assert [entry[0] for entry in one.source.asked].count("quiet") == 2
    messages = one.watched.clip_written(SimpleNamespace(event_id="quiet", problem=""))
    assert messages is None and one.run([], health="ok") == []


def test_a_camera_that_is_not_live_or_not_well_is_not_quiet(door, tmp_path):
    one = door(threshold=0.5, quiet=QuietClips(tmp_path, every_sec=30, length_sec=5))
    one.source.state = "stalled"
    one.run([0.1] * 40)
    one.source.state = "live"
    one.run([0.1] * 8, health="frozen", usable=True)
    assert not one.source.asked
