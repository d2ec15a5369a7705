"""Tests of pipelines.report.plots.class_bars."""

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from PIL import Image

from pipelines.report.plots import class_bars
from pipelines.report.plots.class_bars import BAR_IN, _error_bar, plot_class_bars

NAN = float("nan")


def classes(mean, interval=(NAN, NAN), sd=NAN):
    entry = {"mean": mean, "sd": sd, "interval_95": list(interval)}
    return {kind: {"num_videos": count, "auc": entry} for kind, count in (("Arson", 3), ("Fight", 5))}


def plotted(path, systems):
    return np.asarray(Image.open(plot_class_bars(path, systems, {"auc": "frame AUC"})).convert("RGB"))


def test_each_system_has_its_colour_and_makes_the_figure_taller(tmp_path):
    one = plotted(tmp_path / "one.png", {"a": classes(0.6)})
    two = plotted(tmp_path / "two.png", {"a": classes(0.6), "b": classes(0.7)})
    assert one.std() > 5 and two.shape[0] > one.shape[0] + 2 * BAR_IN * 100
    orange = (np.abs(two.astype(int) - [238, 165, 86]).sum(axis=-1) < 30).sum()
    assert orange > 500 > (np.abs(one.astype(int) - [238, 165, 86]).sum(axis=-1) < 30).sum()


def test_the_error_bar_is_the_interval_and_without_one_the_deviation_over_seeds():
    entry = {"mean": 0.5, "sd": 0.1, "interval_95": [0.3, 0.6]}
    assert _error_bar(entry, intervals=True) == pytest.approx((0.2, 0.1))
    assert _error_bar(entry | {"interval_95": [NAN] * 2}, intervals=False) == (0.1, 0.1)


def test_a_class_without_an_interval_has_no_error_bar_beside_others_that_have_one(monkeypatch):
    kept = []
    monkeypatch.setattr(class_bars, "save_figure", lambda figure, path: kept.append(figure))
    systems = {"a": classes(0.6, (0.5, 0.7), sd=0.1)}
    systems["a"]["Arson"] = {"num_videos": 1, "auc": {"mean": 0.4, "sd": 0.1, "interval_95": [NAN, NAN]}}
    plot_class_bars("unused.png", systems, {"auc": "frame AUC"})
    (bars,) = (one for one in kept[0].axes[0].containers if isinstance(one, ErrorbarContainer))
    arson, fight = bars.lines[2][0].get_segments()
    assert not len(arson)
    np.testing.assert_allclose(fight[:, 0], [0.5, 0.7])


def test_one_seed_without_a_bootstrap_has_no_error_bar(tmp_path):
    assert plotted(tmp_path / "bars.png", {"a": classes(0.6)}).std() > 5


def test_the_title_explains_the_error_bars_and_the_labels_count_the_videos(monkeypatch):
    kept = []
    monkeypatch.setattr(class_bars, "save_figure", lambda figure, path: kept.append(figure))
    many = {str(number): classes(0.6, (0.5, 0.7)) for number in range(7)}
    plot_class_bars("unused.png", many, {"auc": "frame AUC"})
    plot_class_bars("unused.png", {"a": classes(0.6)}, {"auc": "frame AUC"})
    titles = [figure.get_suptitle() for figure in kept]
    assert titles[0].endswith("error bars: 95 % interval over videos\n1 more systems are in report.md")
    assert titles[1].endswith("error bars: sd over seeds")
    assert [label.get_text() for label in kept[0].axes[0].get_yticklabels()] == ["Arson (3)", "Fight (5)"]
    assert [text.get_text() for text in kept[1].legends[0].texts] == ["chance", "a"]


def test_videos_without_a_class_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one class of abnormal videos"):
        plotted(tmp_path / "bars.png", {"a": {}})
