"""Calibration of thresholds: the counting against the tracker, the promise against simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from pipelines.serving.alarms import AlarmRules, find_events
from pipelines.serving.calibration import (
    DAY_SEC,
    Footage,
    alarmed_blocks,
    allowed_blocks,
    calibrate,
    curve,
    needed_blocks,
    upper_bound,
)

RULES = AlarmRules(0.5)


def seconds(scores):
    return Footage(np.asarray(scores, float), np.arange(float(len(scores))), 1.0)


def test_a_block_is_alarmed_when_an_event_is_open_in_it():
    #          block 0     block 1     block 2     rest
    scores = [0, 0, 0.9, 0.9, 0.9, 0, 0, 0, 0, 0.9, 0.9]
    assert alarmed_blocks([seconds(scores)], RULES, 0.5, 3).tolist() == [True, True, False]
    assert alarmed_blocks([seconds(scores)], RULES, 0.95, 3).tolist() == [False] * 3
    assert alarmed_blocks([seconds(scores[:4]), seconds(scores[4:])], RULES, 0.5, 0).tolist() == [True, True]
    # Blocks go on from one video to the next, events do not: two times one second is too short.
    halves = [seconds([0, 0, 0.9]), seconds([0.9, 0, 0])]
    assert alarmed_blocks(halves, AlarmRules(0.5, min_length_sec=2), 0.5, 6).tolist() == [False]
    whole = [seconds([0, 0, 0.9, 0.9, 0, 0])]
    assert alarmed_blocks(whole, AlarmRules(0.5, min_length_sec=2), 0.5, 6).tolist() == [True]


SCORES = st.lists(st.integers(0, 6), min_size=1, max_size=60)
HOW = st.builds(
    AlarmRules,
    threshold=st.just(4),
    hysteresis=st.sampled_from([0, 1, 2]),
    min_length_sec=st.sampled_from([0, 1, 3]),
    merge_gap_sec=st.sampled_from([0, 2, 4]),
)


@given(SCORES, HOW, st.sampled_from([1, 4, 7]))
def test_blocks_are_counted_as_the_tracker_finds_events_and_higher_thresholds_alarm_no_other(scores, rules, block_sec):
    video = seconds(scores)
    if len(scores) < block_sec:
        with pytest.raises(ValueError, match="must last at least a block"):
            alarmed_blocks([video], rules, 4, block_sec)
        return
    expected = np.zeros(len(scores) // block_sec, bool)
    for event in find_events(scores, video.times_sec, rules, 1.0):
        for block in range(expected.size):
            expected[block] |= event.start < (block + 1) * block_sec and event.end > block * block_sec
    assert alarmed_blocks([video], rules, 4, block_sec).tolist() == expected.tolist()
    counts = [alarmed_blocks([video], rules, threshold, block_sec) for threshold in range(8)]
    assert all(np.all(higher <= lower) for lower, higher in itertools.pairwise(counts))


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_the_bound_is_that_of_clopper_and_pearson(confidence):
    for alarmed, num_blocks in ((0, 10), (3, 50), (49, 50), (7, 400)):
        bound = upper_bound(alarmed, num_blocks, confidence)
        assert binom.cdf(alarmed, num_blocks, bound) == pytest.approx(1 - confidence)
    assert upper_bound(50, 50, confidence) == 1.0


@pytest.mark.parametrize("confidence", [0.0, 0.9, 0.95])
@pytest.mark.parametrize("probability", [0.003, 0.01, 0.2])
def test_footage_is_needed_until_the_first_block_may_be_alarmed(confidence, probability):
    needed = needed_blocks(probability, confidence)
    assert allowed_blocks(needed, probability, confidence) == 0
    assert allowed_blocks(needed - 1, probability, confidence) == -1
    number = 5 * needed
    largest = allowed_blocks(number, probability, confidence)
    assert upper_bound(largest, number, confidence) <= probability < upper_bound(largest + 1, number, confidence)


def test_three_days_of_silence_promise_one_alarm_a_day_at_95_percent():
    day = seconds(np.full(3600, 0.2))
    short = calibrate([day], RULES, per_day=1, block_sec=60, confidence=0.95)
    assert short.threshold is None and short.needed_days == pytest.approx(3.0, abs=0.01)
    assert short.best_per_day == pytest.approx(-math.log(0.05) * 24, rel=0.05)
    enough = calibrate([day], RULES, per_day=short.best_per_day, block_sec=60, confidence=0.95)
    assert (enough.threshold, enough.alarmed_blocks) == (0.200001, 0)


def test_scores_that_reach_one_in_too_many_blocks_have_no_threshold():
    found = calibrate([seconds(np.ones(3600))], RULES, per_day=100, block_sec=60, confidence=0.0)
    assert found.threshold is None and found.allowed_blocks >= 0


@pytest.mark.parametrize("confidence", [0.0, 0.9])
def test_the_promise_is_kept_as_often_as_it_says(confidence):
    """The true rate of alarms of independent blocks with uniform maxima is the share above the threshold."""
    rng, kept, rates = np.random.default_rng(0), [], []
    wanted = 0.05
    for _ in range(300):
        peaks = rng.random(100)
        video = Footage(np.stack([peaks, np.zeros(100)], 1).ravel(), np.arange(200) * 30.0, 30.0)
        found = calibrate([video], RULES, wanted * DAY_SEC / 60, 60, confidence)
        rates.append(1 - found.threshold)
        kept.append(1 - found.threshold <= wanted)
        assert found.alarmed_blocks == found.allowed_blocks == allowed_blocks(100, wanted, confidence)
    if confidence:
        assert confidence <= np.mean(kept) <= confidence + 0.07, "it holds, and gives away little"
    else:
        assert 0.045 <= np.mean(rates) <= 0.051


def test_the_curve_falls_and_its_bound_lies_above():
    video = seconds(np.random.default_rng(0).random(6000) ** 3)
    thresholds, per_day, bounds = curve([video], RULES, 60, 0.95)
    assert np.all(np.diff(thresholds) > 0) and np.all(np.diff(per_day) <= 0) and np.all(bounds >= per_day)
    clustered = calibrate([seconds(np.repeat([0.1, 0.9, 0.1], 1200))], RULES, 720, 60, 0.0)
    assert (clustered.threshold, clustered.alarmed_blocks, clustered.clusters) == (0.100001, 20, 1)
