"""Tests of pipelines.report.plots.class_bars."""

import numpy as np
import pytest
from PIL import Image

from pipelines.report.evaluation.measures import measure
from pipelines.report.plots.class_bars import BAR_IN, _whisker, plot_class_bars


def drawn(path, systems, **changes):
    settings = {"samples": 20, "seed": 0, "threshold": 0.5} | changes
    return np.asarray(Image.open(plot_class_bars(path, measure(systems, **settings))).convert("RGB"))


def test_each_system_has_its_colour_and_makes_the_picture_taller(tmp_path, make_videos):
    one = drawn(tmp_path / "one.png", {"a": [make_videos(0)]})
    two = drawn(tmp_path / "two.png", {"a": [make_videos(0)], "b": [make_videos(1)]})
    assert one.std() > 5 and two.shape[0] > one.shape[0] + 2 * BAR_IN * 100
    orange = (np.abs(two.astype(int) - [238, 165, 86]).sum(axis=-1) < 30).sum()
    assert orange > 500 > (np.abs(one.astype(int) - [238, 165, 86]).sum(axis=-1) < 30).sum()


def test_the_whisker_is_the_interval_and_without_one_the_deviation_over_seeds():
    entry = {"mean": 0.5, "sd": 0.1, "interval_95": [0.3, 0.6]}
    assert _whisker(entry) == pytest.approx((0.2, 0.1))
    assert _whisker(entry | {"interval_95": [float("nan")] * 2}) == (0.1, 0.1)


def test_one_seed_without_a_bootstrap_has_no_whisker(tmp_path, make_videos):
    assert drawn(tmp_path / "bars.png", {"a": [make_videos(0)]}, samples=0).std() > 5


def test_videos_without_a_class_are_refused(tmp_path, make_videos):
    with pytest.raises(ValueError, match="at least one class of abnormal videos"):
        drawn(tmp_path / "bars.png", {"a": [make_videos(classes=("",))]})
