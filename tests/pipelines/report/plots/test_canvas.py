"""Tests of pipelines.report.plots.canvas."""

import numpy as np
import pytest
from PIL import Image

from pipelines.report.plots.canvas import format_time, new_figure, png_bytes, save_figure, time_ticks


def test_a_figure_has_the_size_asked_for_and_is_saved_in_one_step(tmp_path):
    path = save_figure(new_figure(4, 2, dpi=50), tmp_path / "sub" / "a.png")
    assert Image.open(path).size == (200, 100)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.png"]


def test_the_same_figure_gives_the_same_bytes():
    def plotted():
        figure = new_figure(3, 2)
        figure.subplots().plot([1, 2])
        return png_bytes(figure)

    assert plotted() == plotted()


@pytest.mark.parametrize(("last_sec", "label"), [(4.0, "0.5"), (50.0, "10"), (600.0, "2:00"), (7200.0, "0:15:00")])
def test_ticks_stand_at_round_times(last_sec, label):
    axes = new_figure(4, 2).subplots()
    axes.set_xlim(0, last_sec)
    time_ticks(axes, 0.0, last_sec)
    labels = axes.xaxis.get_major_formatter().format_ticks(axes.get_xticks())
    assert label in labels and labels[0].strip("0:") == "" and len(labels) <= 10


def test_a_single_moment_gets_a_tick_and_no_error():
    axes = new_figure(4, 2).subplots()
    time_ticks(axes, 0.0, 0.0)
    assert np.array_equal(axes.get_xticks(), [0.0])


def test_the_longest_time_decides_how_a_moment_is_written():
    assert [format_time(59, longest) for longest in (59, 60, 3600)] == ["59", "0:59", "0:00:59"]


def test_a_dollar_in_a_name_starts_no_formula():
    figure = new_figure(2, 1)
    figure.suptitle("cost$1$^")
    assert png_bytes(figure)
