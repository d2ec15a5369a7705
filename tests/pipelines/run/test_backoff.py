"""Waiting times between attempts."""

from pipelines.run.backoff import Backoff


def test_waiting_times_double_up_to_a_limit_and_differ():
    waits = [Backoff() for _ in range(20)]
    rows = [[backoff.next() for _ in range(12)] for backoff in waits]
    for number, column in enumerate(zip(*rows, strict=True)):
        usual = min(60, 2**number)
        assert all(0.5 * usual <= wait <= usual for wait in column)
        assert len(set(column)) == len(column)


def test_a_connection_that_lasted_begins_anew_and_a_short_one_does_not():
    backoff = Backoff()
    for _ in range(5):
        backoff.next()
    backoff.lasted(2.0)
    assert backoff.next() >= 16
    backoff.lasted(10.0)
    assert backoff.next() <= 1
