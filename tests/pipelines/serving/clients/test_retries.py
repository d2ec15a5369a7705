"""Retries on a clock that the test drives."""

import pytest

from pipelines.serving.clients import ServerError
from pipelines.serving.clients.retries import MAX_ATTEMPTS, with_retries


class Clock:
    def __init__(self):
        self.now, self.pauses = 0.0, []

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


class Request:
    """Fails some times, then answers; it takes half a second."""

    def __init__(self, clock, failures, status="UNAVAILABLE", retry=True):
        self.clock, self.failures, self.status, self.retry, self.remaining = clock, failures, status, retry, []

    def __call__(self, remaining_sec):
        self.remaining.append(remaining_sec)
        self.clock.now += 0.5
        if len(self.remaining) <= self.failures:
            raise ServerError(self.status, "busy", self.retry)
        return "answer"


def run(request, clock, timeout_sec=60.0):
    return with_retries(request, timeout_sec, clock.sleep, lambda: clock.now)


def test_pauses_double_up_to_two_seconds_and_the_answer_comes_back():
    clock = Clock()
    assert run(Request(clock, failures=6), clock) == "answer"
    for pause, most in zip(clock.pauses, (0.1, 0.2, 0.4, 0.8, 1.6, 2.0), strict=True):
        assert most / 2 <= pause <= most


def test_attempts_end_when_the_server_is_gone_and_go_on_when_it_is_busy():
    clock = Clock()
    request = Request(clock, failures=99)
    with pytest.raises(ServerError, match="the server is not available: busy"):
        run(request, clock)
    assert len(request.remaining) == MAX_ATTEMPTS
    clock = Clock()
    assert run(Request(clock, failures=20, status="RESOURCE_EXHAUSTED"), clock) == "answer"
    assert len(clock.pauses) == 20 and max(clock.pauses) <= 0.5, "the queue of a busy server is soon empty"


def test_each_attempt_gets_the_time_that_is_left_and_none_begins_after_it():
    clock = Clock()
    request = Request(clock, failures=99)
    with pytest.raises(ServerError):
        run(request, clock, timeout_sec=1.5)
    assert request.remaining[0] == 1.5 and 0.9 <= request.remaining[1] <= 0.95
    assert len(request.remaining) == 3 and 0 < request.remaining[2] < 0.35


def test_an_error_that_does_not_pass_is_raised_at_once():
    clock = Clock()
    with pytest.raises(ServerError):
        run(Request(clock, failures=1, retry=False), clock)
    assert not clock.pauses
