"""The queue in front of a receiver."""

import threading
import time

from pipelines.live.sinks._worker import Worker


def test_messages_are_handled_in_order_and_failures_hold_back_none():
    seen = []

    def handle(message):
        seen.append(message)
        if message == 1:
            raise OSError("the disk is full")

    worker = Worker(handle, "test")
    for number in range(4):
        worker.put(number)
    assert worker.close(5.0) and seen == [0, 1, 2, 3]
    assert (worker.failed, worker.dropped, worker.problem) == (1, 0, "OSError: the disk is full")


def test_a_full_queue_drops_the_oldest_and_never_waits():
    free, seen, begun = threading.Event(), [], threading.Event()

    def handle(message):
        begun.set()
        free.wait()
        seen.append(message)

    worker = Worker(handle, "test", max_waiting=10)
    worker.put(-1)
    begun.wait()
    start = time.perf_counter()
    for number in range(1000):
        worker.put(number)
    assert time.perf_counter() - start < 1.0
    assert not worker.close(0.01), "it still hangs"
    free.set()
    worker._thread.join()
    assert seen[0] == -1 and seen[-1] == 999 and worker.dropped in (990, 991)
