"""The watching side of a reader process: it starts it, listens, hands frames on, and replaces it when it hangs."""

import dataclasses
import multiprocessing
import signal
import threading
import time
from collections import deque
from typing import Any

from pipelines.live.reader import (
    BeginMessage,
    ClipMessage,
    EndMessage,
    FrameMessage,
    ReaderTask,
    StateMessage,
    run_reader,
)
from pipelines.run.backoff import Backoff

POLL_SEC = 0.5
STALLED_SEC = 5.0  # without a frame, and at least so many frames
STALLED_FRAMES = 3
SILENT_SEC = 10.0  # beyond the time that opening a source may take


class Source:
    """One camera's reader process, and the frames that it has sent.

    Args:
        task: ``ReaderTask``.
        capacity: Frames that wait at most. When there are more, the oldest one is dropped and counted.
        drops: False: the reader waits instead, as for a file that is not played at its own pace.
        on_change: Called with no argument, from another thread, when a state has changed or frames are there.
        on_clip: Called with the ``ClipMessage`` of a clip that was asked for.

    Attributes:
        state, reason, since: State of the camera, why, and the Unix time of its last change.
        dropped, reconnects: Counts.
    """

    def __init__(self, task: ReaderTask, capacity, drops, on_change, on_clip):
        self.task, self.capacity, self.drops = task, capacity, drops
        self.on_change, self.on_clip = on_change, on_clip
        self.state, self.reason, self.since = "connecting", "", time.time()
        self.dropped = self.reconnects = 0
        self._items, self._changed = deque(), threading.Condition()
        self._num_frames = 0
        self._process: Any = None
        self._connection: Any = None
        self._paused, self._stopping = task.paused, threading.Event()
        self._connected = ("connecting", "")  # what the state is when nothing is paused
        self._lost, self._ever_live = False, False
        self._sending, self._last_frame = threading.Lock(), 0.0
        self._clips, self._discards = set(), False  # ids of the events whose clips are being written
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        """Start the reader."""
        self._thread.start()

    def discard(self):
        """Take no more frames, because watching ends. Clips may still be asked for."""
        with self._changed:
            self._discards = True
            self._changed.notify_all()

    def stop(self):
        """Stop the reader. It takes at most a second or two."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def join(self):
        """Wait until the reader has ended."""
        self._thread.join()

    @property
    def pid(self):
        """Number of the reader's process; None when there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def num_waiting(self):
        """Number of frames and marks that were not taken yet."""
        return len(self._items)

    def pause(self, paused):
        """Pause or resume. The connection stays."""
        if paused != self._paused:
            self._paused = paused
            self._order("pause", paused)
            if paused:
                self._put(BeginMessage())  # what comes after has nothing to do with what was before
            self._last_frame = time.monotonic()
            self._change(*(("paused", "") if paused else self._connected))

    def ask_for_clip(self, event_id, path, start, end):
        """Ask for a clip; ``on_clip`` says when it is there, or why it never will be."""
        self._clips.add(event_id)
        if not self._order("clip", event_id, str(path), start, end):
            self._clip_done(ClipMessage(event_id, "the camera is not connected"))

    def _clip_done(self, message):
        if message.event_id in self._clips:
            self._clips.remove(message.event_id)
            self.on_clip(message)

    def take(self, num_frames):
        """Return what waits, in order, as soon as there are ``num_frames`` frames; else ``[]``.

        The list ends with the last of these frames, or with the first ``BeginMessage`` or ``EndMessage``.
        """
        with self._changed:
            marked = next((i for i, item in enumerate(self._items) if not isinstance(item, FrameMessage)), None)
            if marked is None and self._num_frames < num_frames:
                return []
            count = num_frames if marked is None else min(num_frames, marked + 1)
            items = [self._items.popleft() for _ in range(count)]
            self._num_frames -= sum(isinstance(item, FrameMessage) for item in items)
            self._changed.notify_all()
        return items

    def _run(self):
        backoff = Backoff()
        while not self._stopping.is_set():
            start = time.monotonic()
            problem = self._follow_reader()
            if self._stopping.is_set() or self.state == "ended":
                break
            backoff.lasted(time.monotonic() - start)
            self._connected, self._lost = ("lost", problem), True
            if not self._paused:
                self._put(BeginMessage())
                self._change("lost", problem)
            self._stopping.wait(backoff.next())

    def _follow_reader(self):
        """Start a reader and listen until it ends; return why it ended."""
        self._connected = ("connecting", "")
        context = multiprocessing.get_context("spawn")  # no copy of TensorFlow's threads
        self._connection, far_end = context.Pipe()
        task = dataclasses.replace(self.task, paused=self._paused)
        self._process = context.Process(target=run_reader, args=(far_end, task), daemon=True)
        self._process.start()
        far_end.close()
        try:
            return self._listen()
        finally:
            with self._sending:
                self._connection.close()
                clips = list(self._clips)
            for event_id in clips:
                self._clip_done(ClipMessage(event_id, "the reader ended before the clip was written"))
            self._process.join(1.0)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process = None

    def _listen(self):
        patience = 2 * self.task.timeout_sec + SILENT_SEC
        heard = self._last_frame = time.monotonic()
        while not self._stopping.is_set():
            try:
                if self._connection.poll(POLL_SEC):
                    self._handle(self._connection.recv())
                    heard = time.monotonic()
                    continue
            except (EOFError, OSError):
                self._process.join(5.0)
                return _how_it_ended(self._process.exitcode)
            if time.monotonic() - heard > patience:
                return f"the reader said nothing for {patience:g} s and was replaced"
            self._check_frames()
        return ""

    def _check_frames(self):
        usual = STALLED_FRAMES / self.task.frames_per_sec if self.task.frames_per_sec else 0.0
        limit = max(STALLED_SEC, usual)
        expects = self.state == "live" and self.task.kind in ("network", "device")
        if expects and time.monotonic() - self._last_frame > limit:
            self._change("stalled", f"no picture for {limit:g} s")

    def _handle(self, message):
        if isinstance(message, FrameMessage):
            self._last_frame = time.monotonic()
            if self.state == "stalled":
                self._change(*self._connected)
            if not self._paused or self.task.kind == "file":
                self._put(message)
        elif isinstance(message, StateMessage):
            self._connected = (message.state, message.reason)
            if message.state == "live":
                self._last_frame = time.monotonic()
                self.reconnects += self._lost and self._ever_live
                self._lost, self._ever_live = False, True
            elif message.state in ("lost", "connecting"):
                self._lost = True
            if not self._paused or message.state == "ended":
                if message.state == "lost":
                    self._put(BeginMessage())  # what waits is scored now
                self._change(*self._connected)
        elif isinstance(message, ClipMessage):
            self._clip_done(message)
        elif isinstance(message, (BeginMessage, EndMessage)):
            self._put(message)

    def _put(self, item):
        with self._changed:
            while not self.drops and self._num_frames >= self.capacity and not self._is_over():
                self._changed.wait(POLL_SEC)
            if self._discards:
                return
            self._items.append(item)
            if isinstance(item, FrameMessage):
                self._num_frames += 1
                if self._num_frames > self.capacity:
                    self._drop_oldest()
        self.on_change()

    def _is_over(self):
        return self._stopping.is_set() or self._discards

    def _drop_oldest(self):
        position = next(i for i, item in enumerate(self._items) if isinstance(item, FrameMessage))
        del self._items[position]
        self._num_frames -= 1
        self.dropped += 1

    def _order(self, *order):
        with self._sending:
            try:
                self._connection.send(order)
            except (AttributeError, OSError, ValueError):  # no reader (yet, or any more)
                return False
        return True

    def _change(self, state, reason):
        if state == "connecting" and self.state == "lost":
            return  # it stays lost, since the same time, until there is a frame
        if (state, reason) != (self.state, self.reason):
            if state != self.state:
                self.since = time.time()
            self.state, self.reason = state, reason
            self.on_change()


def _how_it_ended(exit_code):
    """Return in words how a reader ended."""
    if exit_code is not None and exit_code < 0:
        return f"the reader was ended by signal {-exit_code} ({signal.Signals(-exit_code).name}) and starts again"
    return "the reader ended and starts again"
