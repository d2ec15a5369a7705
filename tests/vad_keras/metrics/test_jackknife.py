"""Tests of vad_keras.metrics.jackknife against textbook formulas and SciPy."""

import numpy as np
import pytest
from scipy import stats

from vad_keras.metrics import evaluate_draws, evaluate_videos, interval_of_jackknife, leave_one_out


def without_each(values):
    return (values.sum() - values) / (len(values) - 1)


def test_the_interval_of_a_mean_of_few_equal_influences_is_the_textbook_one():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    found = interval_of_jackknife(3.0, without_each(values))
    error = values.std(ddof=1) / 2
    # squares of the deviations 4 1 1 4: 2 * 10^2 / (34 - 100 / 4) is above N - 1 = 3
    assert found["degrees_of_freedom"] == 3 and found["standard_error"] == pytest.approx(error)
    expected = stats.t.interval(0.95, 3, loc=3.0, scale=error)
    assert (found["low"], found["high"]) == pytest.approx(expected, rel=1e-6)


def test_a_video_that_decides_the_variance_costs_degrees_of_freedom():
    values = np.array([0.0, 1.0, 2.0, 37.0])  # deviations -10 -9 -8 27
    found = interval_of_jackknife(10.0, without_each(values))
    total, fourth = 100 + 81 + 64 + 729, 10**4 + 9**4 + 8**4 + 27**4
    freedom = 2 * total**2 / (fourth - total**2 / 4)
    assert freedom < 7 and found["degrees_of_freedom"] == pytest.approx(min(3, freedom))
    values = np.append(values, np.full(20, 10.0) + np.tile([0.5, -0.5], 10))
    found = interval_of_jackknife(10.0, without_each(values))
    assert found["degrees_of_freedom"] < 4
    assert found["high"] - 10 == pytest.approx(
        stats.t.ppf(0.975, found["degrees_of_freedom"]) * found["standard_error"], rel=1e-5
    )


def test_a_metric_with_limits_is_taken_on_the_logit_scale():
    left_out = np.array([0.88, 0.90, 0.93, 0.89])
    found = interval_of_jackknife(0.9, left_out, limits=(0, 1))
    logits = np.log(left_out[[0, 2, 3]] / (1 - left_out[[0, 2, 3]]))  # the second video changes nothing
    error = np.sqrt(2 / 3 * np.sum((logits - logits.mean()) ** 2))
    assert found["standard_error"] == pytest.approx(error)
    margin = stats.t.ppf(0.975, found["degrees_of_freedom"]) * error
    expected = [1 / (1 + np.exp(-np.log(9) - side * margin)) for side in (-1, 1)]
    assert [found["low"], found["high"]] == pytest.approx(expected, rel=1e-5)
    assert 0 < found["low"] < 0.9 < found["high"] < 1 and 0.9 - found["low"] > found["high"] - 0.9


def test_the_scale_of_the_limits_does_not_matter():
    share = interval_of_jackknife(0.2, np.array([0.15, 0.22, 0.21]), limits=(0, 1))
    percent = interval_of_jackknife(20.0, np.array([15.0, 22.0, 21.0]), limits=(0, 100))
    assert [percent["low"], percent["high"]] == pytest.approx([100 * share["low"], 100 * share["high"]])


def test_a_value_that_reaches_a_limit_without_a_video_keeps_the_interval_finite():
    found = interval_of_jackknife(0.9, np.array([1.0, 0.88, 0.89, 0.87]), limits=(0, 1))
    assert 0 < found["low"] < 0.9 < found["high"] < 1


@pytest.mark.parametrize(
    ("value", "left_out", "limits"),
    [
        (np.nan, [0.5, 0.5], None),
        (0.5, [0.5, np.nan, 0.4], None),  # not defined without the second video
        (1.0, [1.0, 1.0, 1.0], (0, 1)),
        (0.5, [0.5, 0.5, 0.4], (0, 1)),  # a single video decides
    ],
)
def test_where_nothing_is_known_of_the_spread_there_is_no_interval(value, left_out, limits):
    assert all(np.isnan(entry) for entry in interval_of_jackknife(value, left_out, limits).values())


def test_equal_systems_differ_by_exactly_0():
    found = interval_of_jackknife(0.0, np.zeros(5))
    assert (found["low"], found["high"], found["standard_error"]) == (0.0, 0.0, 0.0)


def test_the_draws_leave_one_video_out_each():
    videos = [
        {"scores": [0.1, 0.6, 0.2], "label": 0},
        {"scores": [0.0, 0.5, 0.9, 0.8], "label": 1, "frame_labels": [0, 0, 1, 1]},
        {"scores": [0.4, 0.3], "label": 1, "frame_labels": [0, 1]},
    ]
    drawn = evaluate_draws(videos, leave_one_out(3))["frame_auc"]
    expected = [evaluate_videos(videos[:i] + videos[i + 1 :])["frame_auc"] for i in range(3)]
    np.testing.assert_allclose(drawn, expected)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`value` must lie in `limits`=\(0, 1\)\. Received: 1\.2"):
        interval_of_jackknife(1.2, [1.0, 0.9], limits=(0, 1))
    with pytest.raises(ValueError, match=r"one value per video\. Received: an array of shape \(2, 1\)"):
        interval_of_jackknife(1.2, [[1.0], [0.9]])
    with pytest.raises(ValueError, match="num_videos"):
        leave_one_out(0)
