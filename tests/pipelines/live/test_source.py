"""The watching side of a reader: its process is started, heard, replaced, and its frames are handed on."""

import os
import signal
import threading

import numpy as np
import pytest

from pipelines.live import source as watching
from pipelines.live.reader import BeginMessage, ClipMessage, EndMessage, FrameMessage, ReaderTask, StateMessage
from pipelines.live.source import Source
from tests.pipelines.live.sources import free_port, wait_until, write_video

PICTURE = np.zeros((2, 2, 3), np.uint8)


def task_of(source, kind="file", **values):
    facts = {"shown": "a", "transport": "tcp", "frames_per_sec": 0.0, "size_px": 32, "pace": False, "timeout_sec": 1.0}
    return ReaderTask(source=str(source), kind=kind, **facts | values)


def frame(number):
    return FrameMessage(float(number), float(number), PICTURE, "ok", True, b"")


def idle(drops=True, capacity=4, kind="network"):
    """A source without a process."""
    return Source(task_of("rtsp://h/a", kind), capacity, drops, lambda: None, lambda message: None)


def test_the_newest_frames_win_and_the_dropped_ones_are_counted():
    source = idle()
    for number in range(10):
        source._handle(frame(number))
    assert source.dropped == 6 and source.num_waiting == 4
    assert [item.unix_time for item in source.take(4)] == [6.0, 7.0, 8.0, 9.0]
    assert source.take(1) == []


def test_marks_are_never_dropped_and_end_a_block():
    source = idle()
    for number in range(3):
        source._handle(frame(number))
    assert source.take(4) == []
    source._handle(EndMessage(None))
    source._handle(BeginMessage())
    for number in range(3, 9):
        source._handle(frame(number))
    assert source.take(4) == [EndMessage(None)] and source.take(4) == [BeginMessage()]
    assert [item.unix_time for item in source.take(4)] == [5.0, 6.0, 7.0, 8.0]


def test_a_reader_that_may_not_drop_waits():
    source = idle(drops=False)
    thread = threading.Thread(target=lambda: [source._handle(frame(number)) for number in range(6)], daemon=True)
    thread.start()
    wait_until(lambda: source.num_waiting == 4)
    assert [item.unix_time for item in source.take(2)] == [0.0, 1.0]
    thread.join(5)
    assert [item.unix_time for item in source.take(4)] == [2.0, 3.0, 4.0, 5.0] and source.dropped == 0


def test_states_follow_the_reader_and_reconnects_are_counted():
    source = idle()
    for state in ("connecting", "live", "lost", "connecting", "lost", "connecting", "live", "live"):
        source._handle(StateMessage(state, ""))
    assert (source.state, source.reconnects) == ("live", 1)
    source._last_frame -= 60
    source._check_frames()
    assert (source.state, source.reason) == ("stalled", "no picture for 5 s")
    source._handle(frame(0))
    assert source.state == "live" and source.reconnects == 1


def test_frames_that_wait_when_a_camera_is_lost_are_handed_on_at_once():
    source = idle()
    source._handle(frame(0))
    assert source.take(4) == []
    source._handle(StateMessage("lost", "gone"))
    assert [type(item) for item in source.take(4)] == [FrameMessage, BeginMessage]


def test_a_pause_hides_the_state_and_stops_the_frames():
    source = idle()
    source._handle(StateMessage("live", ""))
    source.pause(True)
    source._handle(frame(0))
    source._handle(StateMessage("lost", "gone"))
    assert source.state == "paused" and source.take(1) == [BeginMessage()] and source.take(1) == []
    source.pause(False)
    assert (source.state, source.reason) == ("lost", "gone")


def test_a_clip_of_a_camera_without_a_reader_is_refused_with_the_reason():
    clips = []
    source = Source(task_of("a"), 4, True, lambda: None, clips.append)
    source.ask_for_clip("7", "clip.mp4", 0.0, 1.0)
    assert clips == [ClipMessage("7", "the camera is not connected")]


def test_frames_of_a_source_that_is_to_end_are_not_kept_and_hold_up_no_reader():
    source = idle(drops=False)
    source.discard()
    for number in range(9):
        source._handle(frame(number))
    assert source.num_waiting == 0


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("source") / "a.mp4")


def test_a_file_is_read_in_a_process_of_its_own_to_its_end(video):
    source = Source(task_of(video), 8, False, lambda: None, lambda message: None)
    source.start()
    items = []
    wait_until(lambda: items.extend(source.take(1)) or source.state == "ended")
    assert sum(isinstance(item, FrameMessage) for item in [*items, *source.take(99)]) == 25
    pid = source.pid
    assert pid and pid != os.getpid()
    source.stop()
    source.join()
    assert source.pid is None and source.state == "ended"


def test_a_killed_reader_is_replaced(monkeypatch):
    monkeypatch.setattr(watching.Backoff, "next", lambda self: 0.05)
    reasons, clips = [], []
    task = task_of(f"rtsp://127.0.0.1:{free_port()}/a", "network")
    source = Source(task, 8, True, lambda: reasons.append(source.reason), clips.append)
    source.start()
    wait_until(lambda: source.state == "lost")
    first = source.pid
    os.kill(first, signal.SIGSTOP)
    os.waitpid(first, os.WUNTRACED)  # now it has stopped
    source.ask_for_clip("7", "clip.mp4", 0.0, 1.0)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: any("signal 9 (SIGKILL)" in reason for reason in reasons) and source.pid not in (None, first))
    assert clips == [ClipMessage("7", "the reader ended before the clip was written")]
    source.stop()
    source.join()


def test_a_reader_that_says_nothing_is_replaced(monkeypatch):
    monkeypatch.setattr(watching, "SILENT_SEC", 0.1)
    monkeypatch.setattr(watching, "run_reader", sleep_for_ever)
    monkeypatch.setattr(watching, "POLL_SEC", 0.05)
    source = Source(task_of("a", timeout_sec=0.1), 8, True, lambda: None, lambda message: None)
    source.start()
    wait_until(lambda: source.state == "lost")
    assert source.reason == "the reader said nothing for 0.3 s and was replaced"
    source.stop()
    source.join()


def sleep_for_ever(connection, task):
    signal.pause()
