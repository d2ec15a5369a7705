"""The process that reads one camera: pictures, their health, the connection, and the last packets for clips.

It imports no TensorFlow. A decoder that hangs or crashes ends with it, and no other camera notices.
"""

import contextlib
import gc
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.data.camera_stream import CameraStream, StreamClock
from pipelines.data.pixels import grey_picture, picture_jpeg, square_rgb
from pipelines.data.video import TICK_TOLERANCE_SEC, VideoError, VideoReader, probe
from pipelines.live.clips import ClipSource
from pipelines.live.health import HealthMonitor
from pipelines.live.recordings import Recordings
from pipelines.run.backoff import Backoff
from pipelines.run.workers import exit_with_parent

ALIVE_SEC = 1.0
FOLDER_SEC = 1.0  # between two looks into a folder
COLLECTED_OBJECTS = 50


@dataclass(frozen=True)
class ReaderTask:
    """What a reader does.

    Args:
        source, kind, shown, transport: Of the ``Camera``; ``shown`` has no credentials.
        frames_per_sec, size_px, crop: Sampling and size that the model takes.
        timeout_sec: A connection that is silent for so long is given up.
        pace: Play a file as fast as its time stamps say.
        picture_px: Longest side of the pictures for people.
        ring_sec: Seconds of encoded packets that are kept for clips.
        scored: Identities of recordings that are left out, see ``Recordings``.
        paused: Whether it starts paused.
    """

    source: str = field(repr=False)  # it may hold a password
    kind: str
    shown: str
    transport: str
    frames_per_sec: float
    size_px: int
    crop: bool = False
    timeout_sec: float = 10.0
    pace: bool = True
    picture_px: int = 640
    ring_sec: float = 90.0
    scored: tuple[str, ...] = field(default=(), repr=False)
    paused: bool = False


class StateMessage(NamedTuple):
    """The state of the connection, one of ``pipelines.live.STATES``, and the reason in words."""

    state: str
    reason: str


class BeginMessage(NamedTuple):
    """Frames of a new stream follow: it has nothing to do with the frames before."""


class FrameMessage(NamedTuple):
    """A sampled frame."""

    unix_time: float
    decoded_time: float  # Unix time at which it was read
    rgb: np.ndarray  # uint8 (S, S, 3)
    health: str
    usable: bool  # see ``Health``
    picture: bytes  # JPEG


class EndMessage(NamedTuple):
    """A file is at its end; ``identity`` is that of a recording in a folder."""

    identity: str | None


class ClipMessage(NamedTuple):
    """A clip was written, or why not."""

    event_id: str
    problem: str


class AliveMessage(NamedTuple):
    """Nothing else to say."""


def run_reader(connection, task):
    """Read a camera until the parent closes the connection; the target of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its readers itself
    exit_with_parent()
    gc.freeze()
    gc.set_threshold(COLLECTED_OBJECTS)  # PyAV frees key frames only then; each may take megabytes
    with contextlib.suppress(OSError, EOFError):  # the parent has closed the connection
        Reader(connection, task).run()


class Reader:
    """Reads one camera and sends messages.

    Args:
        connection: ``multiprocessing.Connection``. It sends the messages above and receives ``("pause", bool)`` and
            ``("clip", event_id, path, start, end)``.
        task: ``ReaderTask``.
    """

    def __init__(self, connection, task):
        self.connection, self.task = connection, task
        self.health, self.clips = HealthMonitor(), ClipSource(task.ring_sec)
        self._lock, self._sent = threading.Lock(), 0.0
        self._paused, self._state = task.paused, None

    def run(self):
        """Read, and write clips, until the parent closes the connection."""
        threading.Thread(target=self._obey, daemon=True).start()
        {"file": self._read_file, "folder": self._read_folder}.get(self.task.kind, self._read_stream)()

    def _obey(self):
        """Carry out what the parent asks for."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                order, *arguments = self.connection.recv()
                if order == "pause":
                    self._paused = arguments[0]
                elif order == "clip":
                    event_id, path, start, end = arguments
                    self._send(ClipMessage(event_id, self.clips.write(Path(path), start, end)))

    def _send(self, message):
        with self._lock:
            self.connection.send(message)
            self._sent = time.monotonic()

    def _say(self, state, reason=""):
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._send(StateMessage(state, reason))

    def _stay_alive(self):
        if time.monotonic() - self._sent > ALIVE_SEC:
            self._send(AliveMessage())

    def _wait(self, seconds):
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            time.sleep(min(rest, ALIVE_SEC / 2))
            self._stay_alive()

    def _read_stream(self):
        """Connect, read, and connect again, for ever."""
        backoff = Backoff()
        while True:
            self._say("connecting")
            start = time.monotonic()
            try:
                self._follow_stream()
            except VideoError as error:
                reason = error.reason
            except Exception as error:  # of a decoder; its text may hold a password
                reason = type(error).__name__
            backoff.lasted(time.monotonic() - start if self._state[0] == "live" else 0.0)
            seconds = backoff.next()
            self._say("lost", f"{reason}; trying again")  # the same text at each attempt, so it is one message
            self._wait(seconds)

    def _follow_stream(self):
        task = self.task
        stream = CameraStream(task.source, task.shown, task.transport, task.timeout_sec)
        clock, next_tick = StreamClock(), 0

        def take(packet):
            self._stay_alive()
            self.clips.add(packet, time.time())
            if self._paused:
                stream.skip()
            return not self._paused

        with contextlib.closing(stream):
            for time_sec, frame, matrix in stream.frames(take):
                unix_time = clock.unix_time(time_sec, time.time())
                if self._state[0] != "live":
                    self._send(BeginMessage())
                    self._say("live")
                tick = int((time_sec + TICK_TOLERANCE_SEC) * task.frames_per_sec)
                if task.frames_per_sec and tick < next_tick:
                    continue
                next_tick = tick + 1
                self._send_frame(unix_time, square_rgb(frame, matrix, task.size_px, task.crop), frame, matrix)

    def _read_file(self):
        problem = self._play(Path(self.task.source), self.task.pace)
        self._say("ended", problem)
        while True:  # clips may still be asked for
            self._wait(ALIVE_SEC)

    def _read_folder(self):
        """Play one recording after the other, without a pause, for ever."""
        recordings = Recordings(self.task.source, self.task.scored)
        while True:
            found = None if self._paused else recordings.next(time.time())
            if found is None:
                self._say("live", "waits for recordings")
                self._wait(FOLDER_SEC)
                continue
            path, identity = found
            problem = self._play(path, pace=False, identity=identity)
            if problem:
                self._say("live", problem)

    def _play(self, path, pace, identity=None):
        """Send the frames of a file; return why it could not be read, else an empty text."""
        task = self.task
        reader = VideoReader(path, task.frames_per_sec, task.size_px, crop=task.crop)
        start, problem = None, ""
        try:
            for _, time_sec, rgb in reader:
                if start is None:
                    start = time.time() if pace else _recorded_since(path)
                    self.clips.use_file(path, start)
                    self._send(BeginMessage())
                    self._say("live", path.name if task.kind == "folder" else "")
                paused_sec = self._wait_while_paused()
                if pace:
                    start += paused_sec
                    self._wait(start + time_sec - time.time())
                self._send_frame(start + time_sec, rgb, *reader.decoded)
            problem = reader.warning
        except VideoError as error:
            problem = f"{path.name}: {error.reason}"
        self._send(EndMessage(identity))
        return problem

    def _wait_while_paused(self):
        """Return the seconds that it took."""
        start = time.monotonic()
        if not self._paused:
            return 0.0
        while self._paused:
            self._wait(ALIVE_SEC / 4)
        return time.monotonic() - start

    def _send_frame(self, unix_time, rgb, frame, matrix):
        read_time = time.time()
        health = self.health.update(unix_time, grey_picture(frame))
        picture = picture_jpeg(frame, matrix, self.task.picture_px)
        self._send(FrameMessage(unix_time, read_time, rgb, health.state, health.usable, picture))


def _recorded_since(path):
    """Return when a recording began: its file was written last when it ended."""
    header = probe(path)
    return path.stat().st_mtime - (header.duration_sec if header else 0.0)
