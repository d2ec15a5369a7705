"""Mean average precision of segments in time, class by class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vad_keras import spec

IOU_PERCENTS = (10, 20, 30, 40, 50)
LEVELS = 10
SUPPRESSION_IOU = 0.5
NO_CLASSES = "no abnormal video has both a class and frame labels"


def segment_metrics(videos: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, str]]:
    """Mean average precision of detected segments at an intersection over union of 0.1 to 0.5.

    1. Detections of a video: for nine levels, evenly spaced between the lowest and the highest score of all videos, the
       runs of frames that reach the level. The score of a run is the mean of its frames.
    2. From the highest score down, a detection is dropped if its intersection over union with a kept one of the same
       video is above 0.5.
    3. For each class: the detections in its videos and in all normal videos, from the highest score down. A detection
       is right if its intersection over union with an event of its video that no detection has taken reaches the
       threshold; it takes the one with the highest. Average precision is ``sum_n (R_n - R_(n-1)) P_n``.
    4. The mean over the classes.

    The scores name no class: a class is that of the video. So this measures when, not what.

    Args:
        videos: list of dicts with ``scores``, ``frame_labels``, ``label`` and ``class_name``, as arrays and text.

    Returns:
        ``(metrics, missing)``: ``map_at_iou_10_percent`` to ``map_at_iou_50_percent`` and ``map_at_iou_mean``, and the
        reasons of those that are nan.

    Example:

    >>> found, _ = segment_metrics([{"scores": np.array([0.0, 0.1, 0.9, 0.8]), "label": 1, "class_name": "Arson",
    ...                              "frame_labels": np.array([0, 0, 1, 1])}])
    >>> found["map_at_iou_50_percent"]
    1.0
    """
    names = [f"map_at_iou_{percent}_percent" for percent in IOU_PERCENTS]
    with_event = [video for video in videos if video["label"] == spec.ABNORMAL and video["frame_labels"].any()]
    kinds = sorted({video["class_name"] for video in with_event} - {""})
    if not kinds:
        names.append("map_at_iou_mean")
        return dict.fromkeys(names, float("nan")), dict.fromkeys(names, NO_CLASSES)
    low, high = (pick([pick(video["scores"]) for video in videos]) for pick in (np.min, np.max))
    levels = low + (high - low) * np.arange(1, LEVELS) / LEVELS
    detections = [_detections(video["scores"], levels) for video in videos]
    found = {}
    for name, percent in zip(names, IOU_PERCENTS, strict=True):
        pairs = zip(videos, detections, strict=True)
        right = [_right(runs(video["frame_labels"]), rows, percent / 100) for video, rows in pairs]
        found[name] = float(np.mean([_average_precision(videos, detections, right, kind) for kind in kinds]))
    return found | {"map_at_iou_mean": float(np.mean(list(found.values())))}, {}


def runs(flags: ArrayLike) -> NDArray[np.intp]:
    """``(N, 2)``, start and exclusive end of each run of true values.

    Example:

    >>> runs([0, 1, 1, 0, 1]).tolist()
    [[1, 3], [4, 5]]
    """
    steps = np.diff(np.concatenate([[0], np.asarray(flags, dtype=bool).astype(np.int8), [0]]))
    return np.flatnonzero(steps).reshape(-1, 2)


def _detections(scores: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps 1 and 2: ``(N, 3)`` start, end and score, from the highest score down."""
    found = np.unique(np.concatenate([runs(scores >= level) for level in levels]), axis=0)
    sums = np.append(0.0, np.cumsum(scores))
    means = (sums[found[:, 1]] - sums[found[:, 0]]) / (found[:, 1] - found[:, 0])
    order = np.argsort(-means, kind="stable")
    kept: list[np.intp] = []
    for number in order:
        if not kept or iou(found[number], found[kept]).max() <= SUPPRESSION_IOU:
            kept.append(number)
    return np.column_stack([found[kept], means[kept]])


def iou(segment: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of a segment ``(2,)`` with each of ``(N, 2)``.

    Example:

    >>> iou((0, 4), np.array([[2, 6], [4, 8]])).round(3).tolist()
    [0.333, 0.0]
    """
    shared = np.minimum(segment[1], others[:, 1]) - np.maximum(segment[0], others[:, 0])
    union = np.maximum(segment[1], others[:, 1]) - np.minimum(segment[0], others[:, 0])
    shares: NDArray[np.float64] = np.maximum(shared, 0) / union
    return shares


def _right(events: NDArray[np.intp], detections: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Whether each detection of a video takes an event, ``(N,)`` of 0 and 1."""
    taken, right = np.zeros(len(events), bool), np.zeros(len(detections))
    for number, detection in enumerate(detections if len(events) else ()):
        overlap = np.where(taken, -1.0, iou(detection, events))
        best = np.argmax(overlap)
        if overlap[best] >= threshold:
            taken[best], right[number] = True, 1.0
    return right


def _average_precision(
    videos: Sequence[Mapping[str, Any]],
    detections: list[NDArray[np.float64]],
    right: list[NDArray[np.float64]],
    kind: str,
) -> float:
    """Step 3, given which detections are right."""
    of_class = [video["label"] == spec.NORMAL or video["class_name"] == kind for video in videos]
    num_events = sum(len(runs(video["frame_labels"])) for video, chosen in zip(videos, of_class, strict=True) if chosen)
    scores, hits = (
        np.concatenate([rows for rows, chosen in zip(columns, of_class, strict=True) if chosen])
        for columns in ([rows[:, 2] for rows in detections], right)
    )
    hits = hits[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, hits.size + 1)
    return float(np.sum(precision * hits) / num_events)
