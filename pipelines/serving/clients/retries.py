"""Repeat a request that failed for a reason that passes."""

import time

from pipelines.run.backoff import pause_sec
from pipelines.serving.clients import ServerError

FIRST_PAUSE_SEC, MAX_PAUSE_SEC = 0.1, 2.0
BUSY, BUSY_PAUSE_SEC = "RESOURCE_EXHAUSTED", 0.5  # a full queue is empty again in less
MAX_ATTEMPTS = 7  # of a server that is not there: about five seconds. One that is busy is asked for the whole time


def with_retries(request, timeout_sec, sleep=time.sleep, clock=time.monotonic):
    """Return ``request(remaining_sec)``, tried again with growing pauses while its error may pass.

    ``Predict`` changes nothing on a server, so a request may be sent again. A request that ran out of time is not: the
    server is busy with it. The pauses are random between half and the whole of 0.1, 0.2, 0.4 s and so on, up to 0.5 s
    while its queue is full and 2 s else, so that clients that failed together do not return together.

    Args:
        request: Function of the time that is left in seconds.
        timeout_sec: Time for all attempts and pauses.
        sleep, clock: Those of ``time``.

    Raises:
        ServerError: That of the last attempt.
    """
    end, attempt = clock() + timeout_sec, 0
    while True:
        attempt += 1
        try:
            return request(max(end - clock(), 1e-3))
        except ServerError as error:
            longest = BUSY_PAUSE_SEC if error.status == BUSY else MAX_PAUSE_SEC
            pause = pause_sec(attempt, FIRST_PAUSE_SEC, longest)
            gone = error.status == "UNAVAILABLE" and attempt == MAX_ATTEMPTS
            if not error.retry or gone or clock() + pause >= end:
                raise
            sleep(pause)
