"""Pages and tables of an evaluation: timelines, heat maps before and after the CRF, curves, figures with intervals."""

from pathlib import Path

import numpy as np

from pipelines.report.curves import plot_curves
from pipelines.report.heat_map import plot_heat_maps
from pipelines.report.tables import MISSING, markdown_table, print_table
from pipelines.report.timeline import plot_timelines
from vad_keras import spec

FIGURES = {
    "frame_auc": "frame AUC",
    "frame_auc_abnormal_videos": "AUC inside abnormal videos",
    "average_precision": "AP",
    "false_alarm_rate_percent": "FAR at 0.5 (%)",
    "video_auc": "video AUC",
    "frame_auc_constant_per_video": "floor: constant per video",
}
PICTURED_FRAMES = 6
PICTURED_VIDEOS = 18


def metrics_table(path, report, intervals):
    """Print and write (Markdown) the figures of one evaluation with their 95 % intervals over videos."""
    rows = []
    for name, title in FIGURES.items():
        low, high = intervals.get(name, (np.nan, np.nan))
        span = MISSING if np.isnan(low) else f"{low:.3f} to {high:.3f}"
        rows.append({"figure": title, "value": float(report[name]), "interval": span})
    columns = {"figure": "test videos", "value": "value", "interval": "95 % interval over videos"}
    print_table(rows, columns)
    Path(path).write_text(markdown_table(rows, columns) + "\n", encoding="utf-8")


def comparison_table(path, reports, title):
    """Print and write (Markdown) mean ± sd over repeats of several systems.

    Args:
        path: Markdown file.
        reports: `{system: [report of each seed]}`, from `evaluate_videos`.
        title: How the videos were split.
    """
    rows = [
        {"system": system, **{name: [float(report[name]) for report in of_system] for name in FIGURES}}
        for system, of_system in reports.items()
    ]
    columns = {"system": title, **FIGURES}
    print_table(rows, columns)
    Path(path).write_text(markdown_table(rows, columns) + "\n", encoding="utf-8")


def draw_evaluation(folder, scored, threshold, model_name):
    """Write `timelines.png` and `curves.png`.

    Args:
        folder: Where to.
        scored: list of `(VideoInfo, outputs)` with one row of outputs for each original frame.
        threshold: A score at or above it is an alarm.
        model_name: For the legend of the curves.
    """
    folder = Path(folder)
    pictured = abnormal_first(scored)[:PICTURED_VIDEOS]
    plot_timelines(folder / "timelines.png", [_timeline(*pair) for pair in pictured], threshold)
    known = [pair for pair in scored if pair[0].frame_labels is not None]
    labels = np.concatenate([[], *(video.frame_label_array() for video, _ in known)])
    scores = np.concatenate([[], *(outputs[spec.ANOMALY_SCORE] for _, outputs in known)])
    if len(np.unique(labels)) == 2:
        plot_curves(folder / "curves.png", {model_name: (labels, scores)})


def draw_heat_maps(path, scored, read_frame, scales):
    """The highest-scored frame of the first videos, patch by patch, before and after the CRF (as Fig. 5).

    Args:
        path: PNG to write.
        scored: as for `draw_evaluation`, from a model with a CRF.
        read_frame: function of a `VideoInfo` and an original frame index that returns the picture, `(H, W, 3)`.
        scales: of the patches.
    """
    frames, before, after, titles = [], [], [], []
    for video, outputs in abnormal_first(scored)[:PICTURED_FRAMES]:
        peak = int(np.argmax(outputs[spec.ANOMALY_SCORE]))
        frames.append(read_frame(video, peak))
        before.append(outputs[spec.UNARY_PROBABILITY][peak])
        after.append(outputs[spec.MARGINALS][peak, :, spec.ABNORMAL])
        titles.append(f"{video.video_id}, {peak / video.fps:.1f} s")
    plot_heat_maps(path, frames, np.stack(before), np.stack(after), scales, titles)


def abnormal_first(scored):
    """The same pairs, abnormal videos in front."""
    return sorted(scored, key=lambda pair: -pair[0].label)


def _timeline(video, outputs):
    return {
        "title": video.video_id,
        "times_sec": np.arange(video.num_frames) / video.fps,
        "scores": outputs[spec.ANOMALY_SCORE],
        "frame_labels": video.frame_label_array(),
    }
