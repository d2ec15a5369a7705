"""Every figure of one or more systems on the same videos: over seeds, with intervals, and their paired differences."""

from dataclasses import dataclass

import numpy as np

from pipelines.report.evaluation.scored_videos import aligned, smoothed
from vad_keras.metrics import draw_videos, evaluate_draws, evaluate_videos, frame_auc, interval_of_draws

MAIN = {
    "frame_auc": "frame AUC",
    "frame_auc_abnormal_videos": "AUC inside abnormal videos",
    "average_precision": "AP",
    "false_alarm_rate_percent": "FAR (%)",
    "video_auc": "video AUC",
}
FURTHER = {
    "frame_auc_mean_over_videos": "AUC inside, mean over videos",
    "recall_at_fpr_1_percent": "recall at 1 % FPR",
    "recall_at_fpr_5_percent": "recall at 5 % FPR",
    "recall_at_fpr_10_percent": "recall at 10 % FPR",
}
FLOOR = "frame_auc_constant_per_video"
FIGURES = MAIN | FURTHER | {FLOOR: "floor: constant per video"}
OF_CLASS = ("frame_auc", "frame_auc_abnormal_videos")
COUNTS = (
    "num_videos",
    "num_abnormal_videos",
    "num_videos_without_frame_labels",
    "num_frames",
    "num_abnormal_frames",
)


@dataclass(frozen=True)
class Measured:
    """The figures of one system; a key is a name of `FIGURES`, or a class and one of `OF_CLASS`."""

    reports: list  # from `evaluate_videos`, one a seed
    values: dict  # key -> one float a seed
    draws: dict  # key -> mean over the seeds in each draw, (samples,); None without a bootstrap


def measure(systems, *, samples, seed, threshold, reference=None, smoothing_sec=0.0):
    """Measure systems that scored the same videos.

    Args:
        systems: `{name: [videos of a seed, ...]}`, see `write_report`.
        samples: draws of the bootstrap over videos, the same for all systems; 0: no intervals.
        seed: of the draws.
        threshold: of the false alarm rate.
        reference: name of the system that the differences are taken to; None: the first.
        smoothing_sec: width of the moving average that is reported beside the plain scores; 0: none.

    Returns:
        dict: `counts`, `systems` (their `figures`, `classes` and `videos`), `differences`, `smoothing`, `videos` (what
        is known of them) and the settings. A figure is `{"seeds": [...], "mean", "sd", "interval_95": [low, high]}`;
        its interval is that of the mean over seeds. A difference is `{"difference", "interval_95", "noise"}`.

    Raises:
        ValueError: The systems do not share their videos, or `reference` is none of them.
    """
    systems, truth = aligned(systems)
    reference = next(iter(systems)) if reference is None else reference
    if reference not in systems:
        raise ValueError(f"`reference` must be one of the systems {list(systems)}. Received: {reference!r}.")
    counts = draw_videos(len(truth), samples, seed) if samples else None
    measured = {name: _measured(seeds, counts, threshold) for name, seeds in systems.items()}
    content = {
        "threshold": threshold,
        "bootstrap": {"samples": samples, "seed": seed, "drawn": "videos"},
        "reference": reference,
        "counts": {key: measured[reference].reports[0][key] for key in COUNTS},
        "systems": {name: _system(systems[name], of_system) for name, of_system in measured.items()},
        "differences": {
            name: _differences(of_system, measured[reference])
            for name, of_system in measured.items()
            if name != reference
        },
    }
    if smoothing_sec:
        content["smoothing"] = {"width_sec": smoothing_sec, "systems": {}}
        for name, seeds in systems.items():
            smooth = _measured([smoothed(videos, smoothing_sec) for videos in seeds], counts, threshold)
            entry = {"figures": _figures(smooth), "differences": _differences(smooth, measured[name])}
            content["smoothing"]["systems"][name] = entry
    return content | {"videos": truth}


def classes_of(content):
    """Names of the classes of abnormal videos that were measured."""
    return list(content["systems"][content["reference"]]["classes"])


def _measured(seeds, counts, threshold):
    reports = [evaluate_videos(videos, threshold) for videos in seeds]
    values = _joined([_flat(report) for report in reports])
    draws = None
    if counts is not None:
        drawn = _joined([_flat(evaluate_draws(videos, counts, threshold)) for videos in seeds])
        draws = {key: np.mean(of_seeds, axis=0) for key, of_seeds in drawn.items()}
    return Measured(reports, values, draws)


def _flat(report):
    figures = {name: report[name] for name in FIGURES}
    return figures | {(kind, name): entry[name] for kind, entry in report["classes"].items() for name in OF_CLASS}


def _joined(of_seeds):
    return {key: [figures[key] for figures in of_seeds] for key in of_seeds[0]}


def _system(seeds, measured):
    classes = {}
    for kind, report in measured.reports[0]["classes"].items():
        entries = {name: _figure(measured, (kind, name)) for name in OF_CLASS}
        classes[kind] = {"num_videos": report["num_videos"]} | entries
    by_video = zip(*seeds, strict=True)
    videos = {of_seeds[0]["video_id"]: _video(of_seeds) for of_seeds in by_video}
    return {"num_seeds": len(seeds), "figures": _figures(measured), "classes": classes, "videos": videos}


def _figures(measured):
    return {name: _figure(measured, name) for name in FIGURES}


def _figure(measured, key):
    values = [float(value) for value in measured.values[key]]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    interval = _interval(measured.draws and measured.draws[key])
    return {"seeds": values, "mean": float(np.mean(values)), "sd": spread, "interval_95": interval}


def _differences(measured, reference):
    """Paired: both systems see the same draws of videos."""
    found = {}
    for name in MAIN | FURTHER:
        difference = float(np.mean(measured.values[name]) - np.mean(reference.values[name]))
        low, high = _interval(measured.draws and measured.draws[name] - reference.draws[name])
        noise = None if np.isnan(low) else bool(low <= 0 <= high)
        found[name] = {"difference": difference, "interval_95": [low, high], "noise": noise}
    return found


def _interval(draws):
    if draws is None:
        return [float("nan")] * 2
    interval = interval_of_draws(draws)
    return [float(interval["low"]), float(interval["high"])]


def _video(of_seeds):
    """One video over the seeds: its own AUC where it has frames of both kinds, its highest and its mean score."""
    labels = of_seeds[0].get("frame_labels")
    both = labels is not None and len(np.unique(labels)) == 2
    areas = [frame_auc(labels, video["scores"]) if both else float("nan") for video in of_seeds]
    return {
        "frame_auc": float(np.mean(areas)),
        "frame_auc_seeds": areas,
        "max_score": float(np.mean([np.max(video["scores"]) for video in of_seeds])),
        "mean_score": float(np.mean([np.mean(video["scores"], dtype=np.float64) for video in of_seeds])),
    }
