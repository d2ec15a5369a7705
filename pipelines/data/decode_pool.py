"""Several files decoded at once, each in a process of its own that may crash or hang without harm to the others.

The processes decode, resize and compress; they load no TensorFlow, which halves the time for a hundred short videos.
Frames come back one by one over a pipe, so neither side ever holds a video.

`score` feeds frames straight, training goes through JPEG: at quality 90 the two differ by 1.1 of 255 grey levels on
average (44.7 dB; 0.9 and 46.4 dB at 95) on real surveillance video.
"""

import io
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections import deque
from dataclasses import dataclass

from PIL import Image

from pipelines.data.video import VideoError, VideoReader
from pipelines.run.workers import exit_with_parent, usable_cores

JPEG_FULL_COLOUR = (
    0  # 4:4:4. Colour at half resolution (4:2:0) is smaller by a sixth, but further from what `score` sees
)
START_TIMEOUT_SEC = 120.0
POLL_SEC = 1.0


@dataclass(frozen=True)
class Frame:
    """A sampled frame of file `job`."""

    job: int
    frame_index: int
    time_sec: float
    fps: float
    jpeg: bytes


@dataclass(frozen=True)
class Finished:
    """File `job` was decoded to its end."""

    job: int
    fps: float
    num_frames: int
    num_sampled: int
    width: int
    height: int
    warning: str


@dataclass(frozen=True)
class Failed:
    """File `job` cannot be used. `transient`: the process died or stalled, so another try may do."""

    job: int
    reason: str
    transient: bool = False


@dataclass(frozen=True)
class DecodeSettings:
    """How frames are sampled, sized and compressed."""

    frames_per_sec: float
    size_px: int
    jpeg_quality: int


class DecodePool:
    """Decodes files in parallel processes.

    Args:
        settings: `DecodeSettings`.
        workers: Processes; 0 takes one for each core.
        stall_timeout_sec: A process that yields no frame for so long is killed, and its file has failed.

    Example:

        for event in DecodePool(DecodeSettings(2.0, 224, 90)).run(["a.mp4", "b.mp4"]):
            ...  # Frame of job 0 or 1, in order within a job; then Finished or Failed
    """

    def __init__(self, settings, workers=0, stall_timeout_sec=120.0):
        self.settings, self.stall_timeout_sec = settings, stall_timeout_sec
        self.workers = workers or usable_cores()

    def run(self, paths, rates=None):
        """Yield `Frame`, `Finished` and `Failed` events of all files; the jobs are the positions in `paths`.

        `rates` gives the frames per second of folders of frames; None where it is unknown, or a file tells it.
        """
        pending = deque(enumerate(zip(paths, rates or [None] * len(paths), strict=True)))
        workers = []
        try:
            while pending or workers:
                busy = sum(worker.job is not None for worker in workers)
                while len(workers) < min(self.workers, len(pending) + busy):
                    workers.append(_Worker(self.settings))
                yield from self._events(workers, pending)
        finally:
            for worker in workers:
                worker.kill()

    def _events(self, workers, pending):
        before = time.monotonic()
        ready = multiprocessing.connection.wait([worker.connection for worker in workers], timeout=POLL_SEC)
        # Only the waiting counts as silence, so that a suspended machine or a slow disk kills nobody.
        waited_sec = min(time.monotonic() - before, POLL_SEC)
        for worker in list(workers):
            event = None
            if worker.connection in ready:
                event = worker.receive()
            else:
                worker.silent_sec += waited_sec
                event = worker.stalled(self.stall_timeout_sec)
            ended = isinstance(event, Failed) and event.transient
            if ended or (worker.job is None and not worker.next_job(pending)):
                workers.remove(worker)
            if event is not None:
                yield event


class _Worker:
    """The parent's side of one process."""

    def __init__(self, settings):
        context = multiprocessing.get_context("spawn")  # a fork would copy TensorFlow's threads in a broken state
        self.connection, child = context.Pipe()
        self.process = context.Process(target=_serve, args=(child, settings), daemon=True)
        self.process.start()
        child.close()
        self.job, self.started, self.silent_sec = None, False, 0.0

    def next_job(self, pending):
        """Hand out the next file; False when there is none and the process was let go."""
        if not self.started:
            return True
        if not pending:
            self.kill()
            return False
        self.job, (path, fps) = pending.popleft()
        self.connection.send((self.job, str(path), fps))
        return True

    def receive(self):
        """The next event, None for the sign that the process has started."""
        try:
            event = self.connection.recv()
        except (EOFError, OSError):
            return self._died()
        self.silent_sec = 0.0
        if event is None:
            self.started = True
        elif not isinstance(event, Frame):
            self.job = None
        return event

    def stalled(self, timeout_sec):
        """Kill a process that has made no progress for so long; None when there is still hope."""
        if self.silent_sec < (timeout_sec if self.started else START_TIMEOUT_SEC):
            return None
        self.kill()
        if not self.started:
            raise RuntimeError(
                f"A decoding process did not start in {START_TIMEOUT_SEC:g} s. Is the machine overloaded?"
            )
        return Failed(
            self.job, f"no progress for {timeout_sec:g} s while decoding; the process was stopped", transient=True
        )

    def _died(self):
        self.process.join(5)
        code = self.process.exitcode
        self.kill()
        if self.job is None:
            raise RuntimeError(
                f"A decoding process ended at its start with exit code {code}. A script that runs `prepare` needs the "
                'line `if __name__ == "__main__":` above its calls.'
            )
        if code == -signal.SIGKILL:
            how = "by signal SIGKILL (is memory short? fewer `data.workers` need less)"
        else:
            how = (
                f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
            )
        return Failed(self.job, f"the decoding process ended {how}", transient=True)

    def kill(self):
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def jpeg_bytes(rgb, quality):
    """A uint8 picture `(H, W, 3)` as JPEG with colour at full resolution."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=JPEG_FULL_COLOUR)
    return buffer.getvalue()


def _serve(connection, settings):
    """The process's side: one file after the other until the parent goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    exit_with_parent()
    try:
        connection.send(None)
        while True:
            job, path, fps = connection.recv()
            for event in _decode(job, path, fps, settings):
                connection.send(event)
    except (EOFError, OSError):
        os._exit(0)


def _decode(job, path, fps, settings):
    reader = VideoReader(path, settings.frames_per_sec, settings.size_px, fps)
    try:
        for frame_index, time_sec, rgb in reader:
            yield Frame(job, frame_index, time_sec, reader.fps, jpeg_bytes(rgb, settings.jpeg_quality))
    except VideoError as error:
        yield Failed(job, error.reason)
    except Exception as error:  # one file must never take the others with it, whatever the decoder throws
        yield Failed(job, f"{type(error).__name__}: {error}")
    else:
        yield Finished(
            job, reader.fps, reader.num_frames, reader.num_sampled, reader.width, reader.height, reader.warning
        )
