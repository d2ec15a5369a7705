"""Tests of pipelines.report.plots.timeline."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from pipelines.report.plots import timeline
from pipelines.report.plots.canvas import ALARM, SCORE
from pipelines.report.plots.timeline import plot_timeline, plot_timelines, spans, timeline_figure

TIMES = np.arange(200) / 10
LABELS = ((TIMES >= 5) & (TIMES < 12)).astype(int)
SCORES = 0.1 + 0.8 * LABELS


def count(path, color, tolerance=6):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - np.array(to_rgb(color)) * 255).max(axis=-1) <= tolerance).sum())


def texts(figure):
    figure.canvas.draw()
    found = [text.get_text() for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
    found += [axes.get_title(loc="left") for axes in figure.axes]
    return found + [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().texts]


def test_curve_and_alarm_are_in_the_figure(tmp_path):
    path = plot_timeline(tmp_path / "a.png", TIMES, SCORES, 0.5, LABELS, "Arson011")
    assert Image.open(path).size == (1200, 372)
    assert count(path, SCORE) > 500 and count(path, ALARM) > 500


def test_no_alarm_is_plotted_where_the_score_stays_below_the_threshold(tmp_path):
    def alarm_pixels(threshold):
        return count(plot_timeline(tmp_path / "a.png", TIMES, SCORES, threshold), ALARM)

    in_legend = alarm_pixels(0.95)
    assert alarm_pixels(0.5) > 5 * in_legend
    none = plot_timeline(tmp_path / "a.png", TIMES, SCORES, 0.5, alarms_sec=[])
    assert count(none, ALARM) == in_legend, "the given alarms count, not the threshold"


def test_title_axes_and_legend_name_what_is_shown():
    found = texts(timeline_figure(TIMES, SCORES, 0.5, LABELS, "Arson011"))
    assert {"Arson011", "time (s)", "anomaly score", "score", "ground truth", "alarm", "threshold 0.5"} <= set(found)
    assert "ground truth" not in texts(timeline_figure(TIMES, SCORES))
    assert "time (m:ss)" in texts(timeline_figure(TIMES * 10, SCORES))


def test_the_ground_truth_is_shaded_from_its_first_to_behind_its_last_frame():
    patches = timeline_figure(TIMES, SCORES, frame_labels=LABELS).axes[0].patches
    assert [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in patches] == [pytest.approx((5.0, 12.0))]


def test_thumbnails_stand_in_the_order_of_their_time_with_their_score():
    frame = np.zeros((24, 32, 3), np.uint8)
    figure = timeline_figure(TIMES, SCORES, thumbnails=[(18.0, frame), (6.0, frame)])
    assert [axes.get_xlabel() for axes in figure.axes[1:]] == ["6 s · 0.90", "18 s · 0.10"]


def test_spans_follow_the_times_of_a_variable_frame_rate():
    times = [0.0, 1.0, 1.5, 3.5, 4.5]
    assert [tuple(map(float, span)) for span in spans([1, 0, 1, 1, 0], times)] == [(0.0, 1.0), (1.5, 4.5)]
    assert [tuple(map(float, span)) for span in spans([0, 0, 0, 0, 1], times)] == [(4.5, 5.5)]
    assert spans([0, 0, 0, 0, 0], times) == []


def test_one_frame_is_a_timeline_too(tmp_path):
    assert plot_timeline(tmp_path / "a.png", [0.0], [0.7], frame_labels=[1]).stat().st_size > 1000


def test_lengths_that_differ_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one entry for each frame.*\(200,\), \(199,\), None"):
        plot_timeline(tmp_path / "a.png", TIMES, SCORES[1:])
    with pytest.raises(ValueError, match="at least one"):
        plot_timeline(tmp_path / "a.png", [], [])
    with pytest.raises(ValueError, match="takes up to 6 frames"):
        plot_timeline(tmp_path / "a.png", TIMES, SCORES, thumbnails=[(0.0, None)] * 7)


def test_a_page_of_many_videos_grows_with_their_number(tmp_path):
    videos = [{"title": f"video {i}", "times_sec": TIMES, "scores": SCORES, "frame_labels": LABELS} for i in range(7)]
    small = Image.open(plot_timelines(tmp_path / "a.png", videos[:2], title="Test videos")).size
    large = Image.open(plot_timelines(tmp_path / "b.png", videos, title="Test videos")).size
    assert small[0] == 960 and large[0] == 1440 and large[1] > 2 * small[1]
    assert count(tmp_path / "b.png", SCORE, tolerance=60) > 3 * count(tmp_path / "a.png", SCORE, tolerance=60) > 0


def test_a_page_names_its_axes(monkeypatch):
    kept = []
    monkeypatch.setattr(timeline, "save_figure", lambda figure, path: kept.append(figure))
    plot_timelines("unused.png", [{"times_sec": TIMES, "scores": SCORES}, {"times_sec": TIMES * 10, "scores": SCORES}])
    assert (kept[0].get_supxlabel(), kept[0].get_supylabel()) == ("time (s or m:ss)", "anomaly score")


def test_a_page_without_videos_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one video"):
        plot_timelines(tmp_path / "a.png", [])
