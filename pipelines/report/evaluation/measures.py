"""All metrics of one or more systems on the same videos: over seeds, with intervals, and as paired differences."""

from dataclasses import dataclass

import numpy as np

from pipelines.report.evaluation.events import measure_events
from pipelines.report.evaluation.location import measure_location
from pipelines.report.evaluation.scored_videos import aligned, smoothed
from pipelines.report.evaluation.seeds import over_seeds
from vad_keras.metrics import evaluate_draws, evaluate_videos, frame_auc, interval_of_jackknife, leave_one_out

MAIN_METRICS = {
    "frame_auc": "frame AUC",
    "frame_auc_abnormal_videos": "AUC inside abnormal videos",
    "average_precision": "AP",
    "false_alarm_rate_percent": "FAR (%)",
    "video_auc": "video AUC",
}
FURTHER_METRICS = {
    "frame_auc_mean_over_videos": "AUC inside, mean over videos",
    "recall_at_fpr_1_percent": "recall at 1 % FPR",
    "recall_at_fpr_5_percent": "recall at 5 % FPR",
    "recall_at_fpr_10_percent": "recall at 10 % FPR",
}
ORACLE = "frame_auc_constant_per_video"
METRICS = MAIN_METRICS | FURTHER_METRICS | {ORACLE: "video-label oracle"}
CLASS_METRICS = ("frame_auc", "frame_auc_abnormal_videos")
COUNTS = (
    "num_videos",
    "num_abnormal_videos",
    "num_videos_without_frame_labels",
    "num_frames",
    "num_abnormal_frames",
)


@dataclass(frozen=True)
class Measured:
    """The metrics of one system. A key is a name of ``METRICS``, or a pair of a class and a name of ``CLASS_METRICS``.

    Args:
        reports: Result of ``evaluate_videos`` for each seed.
        values: Key -> one float per seed.
        left_out: Key -> mean over the seeds without each of the videos, ``(num_videos,)``.
    """

    reports: list
    values: dict
    left_out: dict


def measure(systems, *, threshold, reference=None, smoothing_sec=0.0, unranked=()):
    """Measure systems that scored the same videos.

    Args:
        systems: ``{name: [videos of a seed, ...]}``, see ``write_report``.
        threshold: Threshold of the false alarm rate.
        reference: Name of the system that the others are compared with; None: the first.
        smoothing_sec: Width of the moving average that is reported beside the raw scores; 0: none.
        unranked: Names of systems that are not compared with the reference.

    Returns:
        dict: ``counts``, ``systems`` (their ``metrics``, ``classes`` and ``videos``), ``differences``, ``smoothing``,
        ``videos`` (their labels) and the settings. A metric is ``{"seeds": [...], "mean", "sd", "interval_95": [low,
        high]}`` with the interval of the mean over seeds, see ``interval_of_jackknife``. A difference is
        ``{"difference", "interval_95", "significant"}``: significant when its interval excludes 0, None without an
        interval. ``events`` and ``location`` are those of ``measure_events`` and ``measure_location``.

    Raises:
        ValueError: The systems were not scored on the same videos, or ``reference`` is not one of them.
    """
    systems, truth = aligned(systems)
    reference = next(iter(systems)) if reference is None else reference
    if reference not in systems:
        raise ValueError(f"`reference` must be one of the systems {list(systems)}. Received: {reference!r}.")
    measured = {name: _measured(seeds, threshold) for name, seeds in systems.items()}
    content = {
        "threshold": threshold,
        "intervals": {"percent": 95, "method": "jackknife", "left_out": "videos"},
        "reference": reference,
        "counts": {key: measured[reference].reports[0][key] for key in COUNTS},
        "systems": {name: _system(systems[name], of_system) for name, of_system in measured.items()},
        "differences": {
            name: _differences(of_system, measured[reference])
            for name, of_system in measured.items()
            if name != reference and name not in unranked
        },
    }
    content |= {"events": measure_events(systems), "location": measure_location(systems)}
    if smoothing_sec:
        content["smoothing"] = _smoothing(systems, measured, threshold, smoothing_sec)
    return content | {"videos": truth}


def classes_of(content):
    """Return the names of the measured classes of abnormal videos."""
    return list(content["systems"][content["reference"]]["classes"])


def _measured(seeds, threshold):
    reports = [evaluate_videos(videos, threshold) for videos in seeds]
    values = _joined([_flat(report) for report in reports])
    counts = leave_one_out(len(seeds[0]))
    left_out = _joined([_flat(evaluate_draws(videos, counts, threshold)) for videos in seeds])
    return Measured(reports, values, {key: np.mean(of_seeds, axis=0) for key, of_seeds in left_out.items()})


def _flat(report):
    metrics = {name: report[name] for name in METRICS}
    return metrics | {(kind, name): entry[name] for kind, entry in report["classes"].items() for name in CLASS_METRICS}


def _joined(of_seeds):
    return {key: [metrics[key] for metrics in of_seeds] for key in of_seeds[0]}


def _system(seeds, measured):
    classes = {}
    for kind, report in measured.reports[0]["classes"].items():
        entries = {name: _metric(measured, (kind, name)) for name in CLASS_METRICS}
        classes[kind] = {"num_videos": report["num_videos"]} | entries
    by_video = zip(*seeds, strict=True)
    videos = {of_seeds[0]["video_id"]: _video(of_seeds) for of_seeds in by_video}
    return {"num_seeds": len(seeds), "metrics": _metrics(measured), "classes": classes, "videos": videos}


def _smoothing(systems, measured, threshold, width_sec):
    """The metrics of the smoothed scores, and their differences to those of the raw scores."""
    entries = {}
    for name, seeds in systems.items():
        smooth = _measured([smoothed(videos, width_sec) for videos in seeds], threshold)
        entries[name] = {"metrics": _metrics(smooth), "differences": _differences(smooth, measured[name])}
    return {"width_sec": width_sec, "systems": entries}


def _metrics(measured):
    return {name: _metric(measured, name) for name in METRICS}


def _metric(measured, key):
    found = over_seeds(measured.values[key])
    limits = (0, 100) if key == "false_alarm_rate_percent" else (0, 1)
    return found | {"interval_95": _interval(found["mean"], measured.left_out[key], limits)}


def _differences(measured, reference):
    """Paired differences: both systems lack the same video."""
    entries = {}
    for name in MAIN_METRICS | FURTHER_METRICS:
        difference = float(np.mean(measured.values[name]) - np.mean(reference.values[name]))
        low, high = _interval(difference, measured.left_out[name] - reference.left_out[name])
        significant = None if np.isnan(low) else not low <= 0 <= high
        entries[name] = {"difference": difference, "interval_95": [low, high], "significant": significant}
    return entries


def _interval(value, left_out, limits=None):
    interval = interval_of_jackknife(value, left_out, limits)
    return [interval["low"], interval["high"]]


def _video(of_seeds):
    """Metrics of one video: mean over seeds of its AUC, if it has frames of both labels, and of its scores."""
    labels = of_seeds[0].get("frame_labels")
    both = labels is not None and len(np.unique(labels)) == 2
    areas = [frame_auc(labels, video["scores"]) if both else float("nan") for video in of_seeds]
    return {
        "frame_auc": float(np.mean(areas)),
        "frame_auc_seeds": areas,
        "max_score": float(np.mean([np.max(video["scores"]) for video in of_seeds])),
        "mean_score": float(np.mean([np.mean(video["scores"], dtype=np.float64) for video in of_seeds])),
    }
