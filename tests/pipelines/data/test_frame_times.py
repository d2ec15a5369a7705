"""Tests of pipelines.data.frame_times."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.frame_times import FrameTimes

REGULAR = [number / 10 for number in range(20)]


def times_of(stamps, **options):
    times = FrameTimes(0.1, **options)
    found = list(times.of((stamp, number) for number, stamp in enumerate(stamps)))
    assert [number for _, number in found] == list(range(len(stamps)))
    return [time_sec for time_sec, _ in found], (times.num_replaced, times.num_clocks)


def changed(at, change):
    return [change(stamp) if number in at else stamp for number, stamp in enumerate(REGULAR)]


CASES = {
    "nothing": (REGULAR, (0, 0)),
    "a late start": ([stamp + 1.7e9 for stamp in REGULAR], (0, 0)),
    "no stamps": ([None] * 20, (0, 0)),
    "missing stamps, at both ends too": (changed((0, 1, 8, 9, 19), lambda _: None), (0, 0)),
    "not a number": (changed((5, 6), lambda _: math.nan), (2, 0)),
    "infinity": (changed((5,), lambda _: math.inf), (1, 0)),
    "each stamp three times": ([0.3 * (number // 3) for number in range(20)], (13, 0)),
    "some in the future": (changed(range(5, 12), lambda stamp: stamp + 1000), (7, 0)),
    "many in the far future": (changed(range(2, 18), lambda stamp: stamp + 1e6), (16, 0)),
    "more than are held back": (changed(range(2, 15), lambda stamp: stamp + 1e6), (0, 2)),
    "a clock that goes and returns": (changed(range(5, 15), lambda stamp: stamp - 900), (0, 2)),
    "a wrong one before a reset": ([*REGULAR[:9], 0.3, *REGULAR[:10]], (1, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_stamps_displace_no_other(case):
    stamps, counts = CASES[case]
    found, counted = times_of(stamps, look_ahead=8 if case.startswith("more") else 32)
    np.testing.assert_allclose(found, REGULAR, atol=1e-6)
    assert counted == counts


def test_pauses_are_kept_up_to_a_limit():
    stamps = changed(range(8, 20), lambda stamp: stamp + 60)
    np.testing.assert_allclose(times_of(stamps)[0], stamps)
    found, counts = times_of(stamps, max_pause_sec=10.0)
    np.testing.assert_allclose(found, REGULAR)
    assert counts == (0, 1)


def test_slow_and_changing_rates_are_true():
    hourly = [3600.0 * number for number in range(9)]
    assert times_of(hourly) == (hourly, (0, 0))
    gaps = np.random.default_rng(0).choice([0.01, 0.1, 0.5, 3.0], 200)
    found, counts = times_of(np.cumsum(gaps).tolist())
    np.testing.assert_allclose(np.diff(found), gaps[1:], atol=1e-9)
    assert counts == (0, 0)


def test_a_frame_in_doubt_is_not_held_back_without_look_ahead():
    taken = []

    def stamped():
        for number in range(5):
            taken.append(number)
            yield None, number

    for time_sec, number in FrameTimes(0.5, look_ahead=1).of(stamped()):
        assert time_sec == number / 2 and taken[-1] == number


STAMPS = st.none() | st.floats(allow_nan=True) | st.floats(-100, 100) | st.sampled_from(REGULAR)


@settings(max_examples=300, deadline=None)
@given(st.lists(STAMPS, min_size=1, max_size=60), st.sampled_from([1e-3, 0.04, 90.0]), st.sampled_from([1, 8, 32]))
def test_times_rise_from_0_whatever_the_container_says(stamps, gap_sec, look_ahead):
    found = [time for time, _ in FrameTimes(gap_sec, look_ahead=look_ahead).of((stamp, None) for stamp in stamps)]
    assert len(found) == len(stamps) and found[0] == 0.0
    assert (np.diff(found) > 0).all() and np.isfinite(found).all()
