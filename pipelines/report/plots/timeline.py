"""Score timelines: the score of each frame over time, with ground truth and alarms (Fig. 6)."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, Patch

from pipelines.report.plots.canvas import (
    ALARM,
    INK,
    MUTED,
    SCORE,
    TRUTH,
    format_time,
    new_figure,
    save_figure,
    shortened,
    tidy,
    time_ticks,
)

MAX_THUMBNAILS = 6


def plot_timeline(path, *arguments, **options):
    """Write the figure of ``timeline_figure`` and return the path of the PNG."""
    return save_figure(timeline_figure(*arguments, **options), path)


def timeline_figure(times_sec, scores, threshold=0.5, frame_labels=None, title="", thumbnails=None, alarms_sec=None):
    """Plot the anomaly score of one video.

    Args:
        times_sec: ``(num_frames,)``, time of each original frame.
        scores: ``(num_frames,)`` in [0, 1].
        threshold: A score at or above it is an alarm.
        frame_labels: ``(num_frames,)``, 1 for an abnormal frame; None when unknown.
        title: Title, such as the name of the video.
        thumbnails: Up to six pairs ``(time_sec, rgb)`` that are shown below the curve.
        alarms_sec: Pairs of start and end of each alarm; None: the frames at or above the threshold.

    Raises:
        ValueError: The lengths differ, there is no frame, or there are too many thumbnails.
    """
    times_sec, scores, frame_labels = _checked(times_sec, scores, frame_labels)
    thumbnails = list(thumbnails or [])
    if len(thumbnails) > MAX_THUMBNAILS:
        raise ValueError(f"`thumbnails` takes up to {MAX_THUMBNAILS} frames. Received: {len(thumbnails)}. Choose some.")
    figure = new_figure(10, 4.6 if thumbnails else 3.1)
    grid = figure.add_gridspec(2 if thumbnails else 1, 1, height_ratios=[1.75, 1] if thumbnails else None)
    axes = figure.add_subplot(grid[0])
    _plot_scores(axes, times_sec, scores, threshold, frame_labels, alarms_sec=alarms_sec)
    axes.set_ylabel("anomaly score", color=INK, fontsize=10)
    unit, ground = _time_unit(times_sec), {"facecolor": "white", "linewidth": 0, "pad": 1.5}
    axes.set_xlabel(f"time ({unit})", color=INK, fontsize=10, bbox=ground)
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.legend(
        handles=_legend(frame_labels is not None, threshold), loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4,
        frameon=False, fontsize=8.5, labelcolor=INK, borderaxespad=0.3, handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip
    if thumbnails:
        _add_thumbnails(figure, grid[1], axes, thumbnails, times_sec, scores, threshold)
    return figure


def plot_timelines(path, videos, threshold=0.5, columns=3, title=""):
    """Plot many videos as small multiples on one page and return the path of the PNG.

    Args:
        path: PNG to write.
        videos: Dicts with ``times_sec``, ``scores`` and, where known, ``frame_labels`` and ``title``.
        threshold: A score at or above it is an alarm.
        columns: Number of videos per row.
        title: Title of the page.

    Raises:
        ValueError: There is no video, or the lengths of one differ.
    """
    if not videos:
        raise ValueError("`videos` must hold at least one video. Received none.")
    columns = min(columns, len(videos))
    rows = -(-len(videos) // columns)
    figure = new_figure(4.0 * columns, 1.45 * rows + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False)
    known, units = False, set()
    for axes, video in zip(grid.flat, videos, strict=False):
        times_sec, scores, frame_labels = _checked(video["times_sec"], video["scores"], video.get("frame_labels"))
        known |= frame_labels is not None
        units.add(_time_unit(times_sec))
        _plot_scores(axes, times_sec, scores, threshold, frame_labels, small=True)
        abnormal = frame_labels is not None and frame_labels.any()
        name = shortened(video.get("title", ""), 46)
        axes.set_title(name, loc="left", fontsize=8, color=TRUTH if abnormal else INK, pad=3)
    for axes in list(grid.flat)[len(videos) :]:
        axes.set_axis_off()
    for axes in grid[:, 1:].flat:
        axes.tick_params(labelleft=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold")
    figure.supxlabel(f"time ({' or '.join(sorted(units, key=len))})", fontsize=9, color=INK)
    figure.supylabel("anomaly score", fontsize=9, color=INK)
    figure.legend(
        handles=_legend(known, threshold), loc="outside upper right", ncols=4, frameon=False, fontsize=9, labelcolor=INK
    )
    return save_figure(figure, path)


def spans(selected, times_sec):
    """Return the time spans in which ``selected`` is true, ``[(start_sec, end_sec), ...]``.

    A frame lasts until the next one; the last one has the median duration.

    Example:
    >>> [tuple(map(float, span)) for span in spans([0, 1, 1, 0, 1], [0.0, 0.5, 1.0, 1.5, 2.0])]
    [(0.5, 1.5), (2.0, 2.5)]
    """
    selected = np.concatenate([[0], np.asarray(selected, bool).astype(np.int8), [0]])
    edges = np.append(times_sec, _end_sec(np.asarray(times_sec, float)))
    starts, ends = np.flatnonzero(np.diff(selected) > 0), np.flatnonzero(np.diff(selected) < 0)
    return [(edges[start], edges[end]) for start, end in zip(starts, ends, strict=True)]


def _checked(times_sec, scores, frame_labels):
    times_sec, scores = np.asarray(times_sec, float), np.asarray(scores, float)
    labels = None if frame_labels is None else np.asarray(frame_labels)
    shapes = {array.shape for array in (times_sec, scores, labels) if array is not None}
    if len(shapes) != 1 or times_sec.ndim != 1 or not times_sec.size:
        raise ValueError(
            "`times_sec`, `scores` and `frame_labels` must have one entry for each frame, and at least one. "
            f"Received shapes: {times_sec.shape}, {scores.shape}, {None if labels is None else labels.shape}."
        )
    return times_sec, scores, labels


def _end_sec(times_sec):
    return times_sec[-1] + (np.median(np.diff(times_sec)) if times_sec.size > 1 else 1.0)


def _plot_scores(axes, times_sec, scores, threshold, frame_labels, small=False, alarms_sec=None):
    tidy(axes, font_size=7 if small else 9)
    end_sec = _end_sec(times_sec)
    if frame_labels is not None:
        for start, end in spans(frame_labels, times_sec):
            axes.axvspan(start, end, color=TRUTH, alpha=0.17, linewidth=0, zorder=0.5)
    edges, held = np.append(times_sec, end_sec), np.append(scores, scores[-1])
    axes.fill_between(edges, 0, held, step="post", color=SCORE, alpha=0.10, linewidth=0)
    axes.step(edges, held, where="post", color=SCORE, linewidth=1.0 if small else 1.5, solid_joinstyle="round")
    axes.axhline(threshold, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    for start, end in spans(scores >= threshold, times_sec) if alarms_sec is None else alarms_sec:
        axes.plot([start, end], [1.045, 1.045], color=ALARM, linewidth=2.5 if small else 4, solid_capstyle="butt")
    axes.set_ylim(0, 1.09)
    axes.set_xlim(times_sec[0], end_sec)
    axes.set_yticks([0, 0.5, 1] if small else [0, 0.25, 0.5, 0.75, 1])
    time_ticks(axes, times_sec[0], times_sec[-1], most=5 if small else 9)


def _legend(truth_known, threshold):
    handles = [Line2D([], [], color=SCORE, linewidth=1.6, label="score")]
    if truth_known:
        handles.append(Patch(color=TRUTH, alpha=0.17, linewidth=0, label="ground truth"))
    handles.append(Line2D([], [], color=ALARM, linewidth=4, solid_capstyle="butt", label="alarm"))
    label = f"threshold {threshold:.3g}"
    return [*handles, Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label=label)]


def _add_thumbnails(figure, cell, axes, thumbnails, times_sec, scores, threshold):
    strip = cell.subgridspec(1, MAX_THUMBNAILS, wspace=0.04)
    for column, (time_sec, rgb) in enumerate(sorted(thumbnails, key=lambda pair: pair[0])):
        thumbnail = figure.add_subplot(strip[column])
        thumbnail.imshow(rgb)
        thumbnail.set(xticks=[], yticks=[])
        score = scores[max(np.searchsorted(times_sec, time_sec, side="right") - 1, 0)]
        color = ALARM if score >= threshold else MUTED
        for spine in thumbnail.spines.values():
            spine.set(color=color, linewidth=2)
        label = f"{format_time(time_sec, times_sec[-1])}{' s' if times_sec[-1] < 60 else ''} · {score:.2f}"
        thumbnail.set_xlabel(label, fontsize=8.5, color=INK)
        line = ConnectionPatch(
            xyA=(time_sec, 0),
            coordsA=axes.transData,
            xyB=(0.5, 1),
            coordsB=thumbnail.transAxes,
            color=color,
            linewidth=0.8,
        )
        line.set(in_layout=False, zorder=-1)  # behind the text below the axis
        figure.add_artist(line)


def _time_unit(times_sec):
    return "s" if times_sec[-1] < 60 else "m:ss" if times_sec[-1] < 3600 else "h:mm:ss"
