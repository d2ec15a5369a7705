"""Figures of scored videos: timelines, heat maps around the highest score, curves and bars per class."""

from pathlib import Path

import numpy as np

from pipelines.report.evaluation.measures import CLASS_METRICS, METRICS, classes_of
from pipelines.report.evaluation.scored_videos import aligned
from pipelines.report.plots.canvas import format_time, shortened
from pipelines.report.plots.class_bars import plot_class_bars
from pipelines.report.plots.curves import plot_curves
from pipelines.report.plots.heat_map import plot_heat_maps, score_maps
from pipelines.report.plots.timeline import plot_timelines
from vad_keras import spec
from vad_keras.metrics import frame_auc

VIDEOS_PER_PAGE = 18
HEAT_MAP_VIDEOS = 6
MAX_CHARACTERS = {"timeline": 34, "heat map": 26}  # of the name of a video


def plot_metrics(folder, systems, content):
    """Plot ``curves.png`` and ``classes.png`` if the labels allow it; remove those of an earlier evaluation.

    Args:
        folder: Folder to write to.
        systems: As for ``write_report``.
        content: Content of ``metrics.json``.

    Returns:
        ``(file name, what it shows)`` of each figure.
    """
    figures = []
    for name in ("curves.png", "classes.png"):
        (folder / name).unlink(missing_ok=True)
    counts = content["counts"]
    if 0 < counts["num_abnormal_frames"] < counts["num_frames"]:
        curves = {name: _pooled(seeds) for name, seeds in aligned(systems)[0].items()}
        plot_curves(folder / "curves.png", curves, content["title"])
        figures.append(("curves.png", "ROC and precision-recall curves"))
    if classes_of(content):
        classes = {name: system["classes"] for name, system in content["systems"].items()}
        plot_class_bars(folder / "classes.png", classes, {name: METRICS[name] for name in CLASS_METRICS})
        figures.append(("classes.png", "Metrics per class of abnormal videos"))
    return figures


def plot_test_timelines(folder, scored, threshold, title=""):
    """Plot the timelines of all videos as ``timelines.png``, ``timelines_2.png`` and so on (Fig. 6 and 7).

    Args:
        folder: Folder to write to. Pages of an earlier evaluation are removed.
        scored: List of ``(VideoInfo, outputs)`` with one row of outputs per original frame.
        threshold: A score at or above it is an alarm.
        title: Title of the pages.

    Returns:
        ``(file name, what it shows)`` of each page.
    """
    folder, ordered = Path(folder), by_detection(scored)
    pages = [ordered[first : first + VIDEOS_PER_PAGE] for first in range(0, len(ordered), VIDEOS_PER_PAGE)]
    for old in folder.glob("timelines*.png"):
        old.unlink()
    figures = []
    for number, page in enumerate(pages, start=1):
        name = "timelines.png" if number == 1 else f"timelines_{number}.png"
        heading = f"{title}, page {number} of {len(pages)}" if len(pages) > 1 else title
        plot_timelines(folder / name, [_timeline(*pair) for pair in page], threshold, title=heading)
        figures.append((name, "Scores of the test videos over time"))
    return figures


def plot_top_heat_maps(path, scored, read_frame, scales, score_from="scorer"):
    """Plot the patch scores of three frames of the first videos, also before and after the CRF (Fig. 5).

    Args:
        path: PNG to write.
        scored: As for ``plot_test_timelines``, from a model with a CRF.
        read_frame: Function of a ``VideoInfo`` and an original frame index that returns the image, ``(H, W, 3)``.
        scales: Scales of the patches.
        score_from: See ``score_maps``.
    """
    frames, patches, titles = [], [], []
    for video, outputs in by_detection(scored)[:HEAT_MAP_VIDEOS]:
        scores = outputs[spec.ANOMALY_SCORE]
        heading = shortened(video.video_id, MAX_CHARACTERS["heat map"])
        for name, frame in frames_around_peak(scores):
            frames.append(read_frame(video, frame))
            marginal = outputs[spec.MARGINALS][frame, :, spec.ABNORMAL]
            patches.append((outputs[spec.PATCH_SCORE][frame], outputs[spec.UNARY_PROBABILITY][frame], marginal))
            duration_sec = video.num_frames / video.fps
            time = format_time(round(frame / video.fps, 1), duration_sec) + (" s" if duration_sec < 60 else "")
            titles.append(f"{heading}\n{name}, {time}, score {scores[frame]:.2f}")
    scores, unary, marginals = map(np.stack, zip(*patches, strict=True))
    plot_heat_maps(path, frames, score_maps(scores, unary, marginals, score_from), scales, titles)


def frames_around_peak(scores):
    """Return the frame with the highest score, an earlier and a later one, each an eighth of the video away.

    At the start or end of the video, both other frames are on the same side.

    Example:
    >>> frames_around_peak([0.1, 0.2, 0.3, 0.4, 0.9, 0.4, 0.3, 0.2])
    [('earlier', 3), ('peak', 4), ('later', 5)]
    >>> frames_around_peak([0.9] + 15 * [0.1])
    [('peak', 0), ('later', 2), ('later', 4)]
    """
    peak, step = int(np.argmax(scores)), len(scores) // 8
    start = peak - step
    start += step if start < 0 else -step if peak + step >= len(scores) else 0
    names = {-1: "earlier", 0: "peak", 1: "later"}
    chosen = dict.fromkeys(start + step * number for number in range(3))
    return [(names[int(np.sign(frame - peak))], frame) for frame in chosen]


def by_detection(scored):
    """Sort: abnormal videos from the highest AUC to the lowest, then normal videos from the lowest score up."""
    return sorted(scored, key=_detection_order)


def _detection_order(pair):
    video, outputs = pair
    scores = outputs[spec.ANOMALY_SCORE]
    if not video.label:
        return 1, float(np.max(scores)), video.video_id
    area = _own_auc(video, scores)
    return 0, 2.0 if np.isnan(area) else -area, video.video_id


def _own_auc(video, scores):
    labels = video.frame_label_array()
    return frame_auc(labels, scores) if labels is not None and len(np.unique(labels)) == 2 else float("nan")


def _timeline(video, outputs):
    scores = outputs[spec.ANOMALY_SCORE]
    name, area = shortened(video.video_id, MAX_CHARACTERS["timeline"]), _own_auc(video, scores)
    return {
        "title": name if np.isnan(area) else f"{name}  AUC {area:.2f}",
        "times_sec": np.arange(video.num_frames) / video.fps,
        "scores": scores,
        "frame_labels": video.frame_label_array(),
    }


def _pooled(seeds):
    """Labels ``(num_frames,)`` and scores ``(num_seeds, num_frames)`` of all videos with known frame labels."""
    known = [video.get("frame_labels") is not None or not video["label"] for video in seeds[0]]
    labels = [
        np.zeros(np.size(video["scores"])) if video.get("frame_labels") is None else np.ravel(video["frame_labels"])
        for video, is_known in zip(seeds[0], known, strict=True)
        if is_known
    ]
    scores = [
        np.concatenate([np.ravel(video["scores"]) for video, is_known in zip(videos, known, strict=True) if is_known])
        for videos in seeds
    ]
    return np.concatenate(labels), np.stack(scores)
