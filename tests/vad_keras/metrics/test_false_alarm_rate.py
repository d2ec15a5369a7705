"""Tests of vad_keras.metrics.false_alarm_rate."""

import numpy as np
import pytest

from vad_keras.metrics import false_alarm_rate


def test_value_by_hand_counts_a_score_at_the_threshold():
    assert false_alarm_rate([np.array([0.1, 0.5]), np.array([0.49, 0.9, 0.2])]) == pytest.approx(40.0)
    assert false_alarm_rate(np.array([0.1, 0.5, 0.49, 0.9, 0.2]), threshold=0.2) == pytest.approx(80.0)


def test_it_is_a_share_of_frames_so_long_videos_weigh_more():
    assert false_alarm_rate([np.ones(1), np.zeros(99)]) == pytest.approx(1.0)


def test_order_of_the_videos_changes_nothing():
    videos = [np.random.default_rng(i).uniform(size=5 + i) for i in range(4)]
    assert false_alarm_rate(videos) == false_alarm_rate(videos[::-1])


def test_without_a_frame_it_is_nan():
    assert np.isnan(false_alarm_rate([]))


def test_score_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="must be finite"):
        false_alarm_rate([np.array([0.1, np.nan])])
