"""Tests of vad_keras.metrics.bootstrap."""

import numpy as np
import pytest

from vad_keras.metrics import bootstrap_videos, draw_videos, interval_of_draws


def test_single_video_has_an_interval_of_width_zero():
    interval = bootstrap_videos([4.0], np.mean, samples=10)
    assert interval == {"low": 4.0, "high": 4.0, "standard_deviation": 0.0, "defined": 10}


def test_spread_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(0).normal(size=200)
    interval = bootstrap_videos(list(values), np.mean, samples=2000, seed=1)
    error = values.std() / np.sqrt(200)
    assert interval["standard_deviation"] == pytest.approx(error, rel=0.06)
    assert interval["low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert interval["high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_same_seed_gives_the_same_interval_and_another_seed_another():
    videos = list(np.random.default_rng(0).normal(size=20))
    assert bootstrap_videos(videos, np.mean, 50, seed=3) == bootstrap_videos(videos, np.mean, 50, seed=3)
    assert bootstrap_videos(videos, np.mean, 50, seed=3) != bootstrap_videos(videos, np.mean, 50, seed=4)


def test_several_statistics_are_drawn_together():
    videos = list(np.random.default_rng(0).normal(size=20))
    both = bootstrap_videos(videos, lambda draw: [np.mean(draw), np.max(draw)], samples=50, seed=3)
    assert both["low"].shape == (2,)
    assert both["low"][0] == bootstrap_videos(videos, np.mean, samples=50, seed=3)["low"]


def test_draws_without_a_value_are_left_out_and_counted():
    interval = bootstrap_videos([0, 1], lambda draw: np.nan if sum(draw) == 0 else 1.0, samples=400)
    assert 250 < interval["defined"] < 350
    assert interval["low"] == interval["high"] == 1.0
    assert np.isnan(bootstrap_videos([0], lambda draw: np.nan, samples=3)["low"])


def test_no_video_is_refused():
    with pytest.raises(ValueError, match="`videos` must hold at least one video"):
        bootstrap_videos([], np.mean, samples=10)


def test_counts_are_those_of_the_videos_drawn_with_the_same_seed():
    counts = draw_videos(5, samples=20, seed=3)
    assert counts.shape == (20, 5) and (counts.sum(axis=1) == 5).all()
    drawn = []
    bootstrap_videos(list(range(5)), lambda draw: drawn.append(np.bincount(draw, minlength=5)) or 0.0, 20, seed=3)
    np.testing.assert_array_equal(counts, drawn)


def test_interval_holds_the_middle_95_percent_of_the_draws():
    interval = interval_of_draws(np.arange(1001.0))
    assert (interval["low"], interval["high"], interval["defined"]) == (25.0, 975.0, 1001)
