"""The process that reads a camera; here it runs in a thread."""

import contextlib
import dataclasses
import multiprocessing
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from pipelines.data.video import VideoReader
from pipelines.live import reader as reading
from pipelines.live.reader import (
    AliveMessage,
    BeginMessage,
    ClipMessage,
    EndMessage,
    FrameMessage,
    Reader,
    ReaderTask,
    StateMessage,
)
from pipelines.live.recordings import Recordings
from tests.pipelines.live.sources import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("reader") / "a.mp4")


class Far:
    """The parent's end of a reader that runs in a thread."""

    def __init__(self, task):
        self.near, far = multiprocessing.Pipe()
        self.reader = Reader(far, task)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):  # the test is over
            self.reader.run()

    def next(self, kind=None):
        """The next message that is not `AliveMessage`, or the next one of a kind."""
        while True:
            assert self.near.poll(30), "the reader says nothing"
            message = self.near.recv()
            if isinstance(message, kind) if kind else not isinstance(message, AliveMessage):
                return message

    def until(self, last):
        """All messages up to one that fits."""
        messages = [self.next()]
        while not last(messages[-1]):
            messages.append(self.next())
        return messages


@pytest.fixture
def far():
    """Function that starts a reader."""
    started = []

    def start(path, **values):
        facts = {"kind": "file", "shown": "a", "transport": "tcp", "frames_per_sec": 2.5, "size_px": 32, "pace": False}
        started.append(Far(ReaderTask(source=str(path), **facts | values)))
        return started[-1]

    yield start
    for one in started:
        one.near.close()


def frames_of(messages):
    return [message for message in messages if isinstance(message, FrameMessage)]


@pytest.mark.parametrize("crop", [False, True])
def test_a_file_gives_the_frames_that_vad_score_takes(far, video, crop):
    messages = far(video, crop=crop).until(lambda message: message == StateMessage("ended", ""))
    assert messages[:2] == [BeginMessage(), StateMessage("live", "")] and messages[-2] == EndMessage(None)
    expected = list(VideoReader(video, 2.5, 32, crop=crop))
    frames = frames_of(messages)
    np.testing.assert_array_equal([frame.rgb for frame in frames], [frame.rgb for frame in expected])
    times = np.array([frame.unix_time for frame in frames])
    np.testing.assert_allclose(times - times[0], [frame.time_sec for frame in expected], atol=1e-6)
    assert times[0] == pytest.approx(video.stat().st_mtime - 5.0, abs=0.3)
    assert all(frame.picture.startswith(b"\xff\xd8") and frame.usable for frame in frames)


def test_a_paced_file_takes_as_long_as_its_time_stamps(far, tmp_path):
    video = write_video(tmp_path / "short.mp4", num_frames=10, fps=10)
    frames = frames_of(far(video, pace=True, frames_per_sec=0.0).until(lambda message: isinstance(message, EndMessage)))
    read = [frame.decoded_time for frame in frames]
    assert read[-1] - read[0] >= 0.85
    assert all(frame.unix_time <= frame.decoded_time + 0.02 for frame in frames)


def test_clips_are_written_after_the_end_of_a_file(far, video, tmp_path):
    one = far(video)
    start = frames_of(one.until(lambda message: isinstance(message, EndMessage)))[0].unix_time
    one.near.send(("clip", "7", str(tmp_path / "clip.mp4"), start + 1, start + 3))
    assert one.next(ClipMessage) == ClipMessage("7", "") and (tmp_path / "clip.mp4").stat().st_size


def test_a_paused_file_goes_on_where_it_stood(far, video):
    one = far(video, paused=True, frames_per_sec=0.0)
    one.next(BeginMessage)
    assert not one.near.poll(0.3) or isinstance(one.near.recv(), (StateMessage, AliveMessage))
    one.near.send(("pause", False))
    assert len(frames_of(one.until(lambda message: isinstance(message, EndMessage)))) == 25


def test_a_file_that_is_no_video_ends_with_the_reason(far, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"garbage" * 99)
    messages = far(tmp_path / "a.mp4").until(lambda message: isinstance(message, StateMessage))
    assert messages[-1].state == "ended" and "not a video" in messages[-1].reason


def test_recordings_of_a_folder_are_read_one_after_the_other(far, video, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "FOLDER_SEC", 0.05)
    monkeypatch.setattr(reading, "Recordings", lambda *args: Recordings(*args, settled_sec=0.2))
    one = far(tmp_path, kind="folder")
    assert one.next() == StateMessage("live", "waits for recordings")
    (tmp_path / "bad.mp4").write_bytes(b"garbage")
    bad = one.until(lambda message: isinstance(message, EndMessage))
    shutil.copy(video, tmp_path / "good.mp4")
    good = one.until(lambda message: isinstance(message, EndMessage))
    assert "bad.mp4|7|" in bad[-1].identity and not frames_of(bad)
    assert len(frames_of(good)) == 13 and StateMessage("live", "good.mp4") in good


def test_a_lost_stream_is_connected_again_for_ever(far, monkeypatch):
    monkeypatch.setattr(reading.Backoff, "next", lambda self: 0.05)
    one = far("rtsp://user:secret@127.0.0.1:9/a", kind="network")
    messages = [one.next() for _ in range(6)]
    reason = "connection refused; trying again"
    assert messages == [StateMessage("connecting", ""), StateMessage("lost", reason)] * 3


def test_the_reader_loads_no_framework():
    code = "import sys, pipelines.live.reader; "
    code += "print([name for name in ('tensorflow', 'keras', 'matplotlib', 'rich') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_the_address_of_a_task_is_not_printed():
    task = ReaderTask("rtsp://user:secret@h/a", "network", "rtsp://h/a", "tcp", 4.0, 32)
    assert "secret" not in repr(task) and "secret" not in repr(dataclasses.replace(task, paused=True))
