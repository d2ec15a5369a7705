"""Several videos encoded or inspected at once, each in a process that may crash or hang without harm to the others.

The processes load no TensorFlow, which halves the time for a hundred short videos. Records come back one by one over a
pipe, so neither side ever holds a video.
"""

import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import time
from collections import deque

from pipelines.data.encode import Failed, encode_video
from pipelines.data.snippets import Snippet
from pipelines.run.failures import MachineError
from pipelines.run.workers import exit_with_parent, usable_cores

START_TIMEOUT_SEC = 120.0
POLL_SEC = 1.0
MAX_MEMORY_BYTES = 4 << 30  # of one process, which holds the frames of one snippet and those of the decoder
ALIVE = None  # what a process sends when it has started, and after each sampled frame
PARTS = (bytes, Snippet)  # of a video; any other result is its last


class DecodePool:
    """Works on videos in parallel processes.

    Args:
        settings: ``DataConfig``; see ``encode_video``. It also says how many processes there are (``workers``; 0: one
            per core), and after how many seconds without a sampled frame a process is killed and its video has failed
            (``stall_timeout_sec``).
        work: ``encode_video``, ``inspect_video`` or ``read_frames``.

    Example:

        for job, result in DecodePool(config.data).run(videos):
            ...  # the results of `encode_video(videos[job], config.data)`, in order within a job
    """

    def __init__(self, settings, work=encode_video):
        self.settings, self.work = settings, work
        self.num_workers = settings.workers or usable_cores()

    def run(self, videos):
        """Yield ``(job, result)``: the position of a video and what ``work`` yields for it, one by one."""
        pending = deque(enumerate(videos))
        workers = []
        try:
            while pending or workers:
                busy = sum(worker.job is not None for worker in workers)
                while len(workers) < min(self.num_workers, len(pending) + busy):
                    workers.append(_Worker(self.settings, self.work))
                yield from self._results(workers, pending)
        finally:
            for worker in workers:
                worker.kill()

    def _results(self, workers, pending):
        for worker, job, result in _poll(workers, self.settings.stall_timeout_sec):
            if _ended(result) or (worker.job is None and not worker.next_job(pending)):
                worker.kill()
                workers.remove(worker)
            if result is not ALIVE:
                yield job, result


class DecodeProcess:
    """Works on one video after the other in a process that starts with the first one and stays.

    A process that crashes, or is silent for too long, fails its video; the next video gets another process.

    Args:
        settings, work: As for ``DecodePool``.

    Example:

        with contextlib.closing(DecodeProcess(config.data, read_frames)) as process:
            *snippets, facts = process.results(request)
    """

    def __init__(self, settings, work):
        self.settings, self.work = settings, work
        self._worker = None

    def results(self, video):
        """Yield what ``work`` yields for a video."""
        if self._worker and self._worker.job is not None:  # the video before was left in the middle
            self.close()
        own = self._worker = self._worker or _Worker(self.settings, self.work)
        self._worker.silent_sec = 0.0
        pending, finished = deque([(0, video)]), False
        try:
            while not finished:
                if self._worker.job is None:
                    self._worker.next_job(pending)
                ((worker, job, result),) = _poll([self._worker], self.settings.stall_timeout_sec)
                finished = _ended(result) or (job is not None and worker.job is None)
                if _ended(result):
                    self.close()
                if result is not ALIVE:
                    yield result
        finally:
            if not finished and self._worker is own:  # in the middle of a video
                self.close()

    def close(self):
        """End the process."""
        if self._worker:
            self._worker.kill()
            self._worker = None


def _poll(workers, timeout_sec):
    """Wait for any of the processes, and yield each with its job and its next result, ``ALIVE`` if there is none."""
    before = time.monotonic()
    ready = multiprocessing.connection.wait([worker.connection for worker in workers], timeout=POLL_SEC)
    # Only the waiting counts as silence, so that a suspended machine or a slow disk kills no process.
    waited_sec = min(time.monotonic() - before, POLL_SEC)
    for worker in list(workers):
        job = worker.job
        if worker.connection in ready:
            yield worker, job, worker.receive()
        else:
            worker.silent_sec += waited_sec
            yield worker, job, worker.stalled(timeout_sec)


def _ended(result):
    return isinstance(result, Failed) and result.transient


class _Worker:
    """The parent's side of one process."""

    def __init__(self, settings, work):
        context = multiprocessing.get_context("spawn")  # a fork would copy TensorFlow's threads in a broken state
        self.connection, child = context.Pipe()
        self.process = context.Process(target=_serve, args=(child, settings, work), daemon=True)
        self.process.start()
        child.close()
        self.job, self.started, self.silent_sec = None, False, 0.0

    def next_job(self, pending):
        """Send the next video; return False if there is none."""
        if not self.started:
            return True
        if not pending:
            return False
        self.job, video = pending.popleft()
        self.connection.send(video)
        return True

    def receive(self):
        """Return the next result, or ``ALIVE``."""
        try:
            result = self.connection.recv()
        except (EOFError, OSError):
            return self._died()
        self.silent_sec, self.started = 0.0, True
        if result is not ALIVE and not isinstance(result, PARTS):
            self.job = None
        return result

    def stalled(self, timeout_sec):
        """Kill a process that has been silent for too long and return ``Failed``; ``ALIVE`` if it has not been."""
        if self.silent_sec < (timeout_sec if self.started else START_TIMEOUT_SEC):
            return ALIVE
        self.kill()
        if not self.started:
            raise MachineError(
                f"a decoding process did not start in {START_TIMEOUT_SEC:g} s. Is the machine overloaded?"
            )
        return Failed(f"no progress for {timeout_sec:g} s while decoding; the process was stopped", transient=True)

    def _died(self):
        self.process.join(5)
        code = self.process.exitcode
        self.kill()
        if self.job is None:
            raise MachineError(
                f"a decoding process ended at its start with exit code {code}. A script that runs `prepare` or "
                '`score` needs the line `if __name__ == "__main__":` above its calls.'
            )
        if code == -signal.SIGKILL:
            how = "by signal SIGKILL (out of memory? A smaller `data.workers` needs less)"
        elif code is not None and code < 0:
            how = f"by signal {signal.Signals(-code).name}"
        else:
            how = f"with exit code {code}"
        return Failed(f"the decoding process ended {how}", transient=True)

    def kill(self):
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def _limit_memory():
    """Let a file that asks for more memory than any video needs fail by itself, instead of the whole machine."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = MAX_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MAX_MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _serve(connection, settings, work):
    """Work on one video after the other until the parent ends; runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    exit_with_parent()
    _limit_memory()
    try:
        connection.send(ALIVE)
        while True:
            for result in work(connection.recv(), settings, on_frame=lambda: connection.send(ALIVE)):
                connection.send(result)
    except (EOFError, OSError):
        os._exit(0)
