"""Alarms of a video."""

import numpy as np

from pipelines.serving.alarms import find_alarms


def spans(scores, threshold=0.5, times_sec=None):
    times_sec = np.arange(len(scores)) / 10 if times_sec is None else times_sec
    return [alarm[:4] for alarm in find_alarms(scores, times_sec, threshold, 0.1)]


def test_alarms_are_the_stretches_at_or_above_the_threshold():
    scores = [0.5, 0.9, 0.1, 0.2, 0.6]
    np.testing.assert_allclose(spans(scores), [(0, 2, 0.0, 0.2), (4, 5, 0.4, 0.5)])
    assert [alarm.max_score for alarm in find_alarms(scores, np.arange(5), 0.5, 1.0)] == [0.9, 0.6]


def test_a_quiet_video_has_no_alarm_and_a_loud_one_a_single_one():
    assert spans([0.1] * 4) == []
    np.testing.assert_allclose(spans([0.8] * 4), [(0, 4, 0.0, 0.4)])


def test_the_end_follows_the_times_of_a_video_with_a_changing_frame_rate():
    assert spans([0.9, 0.9, 0.1], times_sec=[0.0, 0.5, 3.0]) == [(0, 2, 0.0, 3.0)]
