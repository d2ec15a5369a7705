"""Everything that is reported about a set of scored videos, always together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vad_keras import checks, spec
from vad_keras.metrics.average_precision import average_precision
from vad_keras.metrics.false_alarm_rate import false_alarm_rate
from vad_keras.metrics.frame_auc import frame_auc
from vad_keras.metrics.recall_at_fpr import recall_at_fpr
from vad_keras.metrics.video_auc import video_auc


def evaluate_videos(videos: Sequence[Mapping[str, Any]], threshold: float = 0.5) -> dict[str, Any]:
    """All metrics of one evaluation, always reported together.

    Args:
        videos: list of dicts, one per video:
            ``"scores"``: score of every original frame, ``(num_frames,)``, high = abnormal;
            ``"label"``: 0 or 1, the label of the video;
            ``"frame_labels"``: 0 or 1 per frame, ``(num_frames,)``, or missing / ``None`` where unknown. A normal video
            without them counts as normal throughout; an abnormal one is left out of every frame-level metric;
            ``"class_name"``: optional kind of anomaly.
        threshold: for the false alarm rate.

    Returns:
        Areas and shares lie in [0, 1]; a metric that is not defined (a class is missing) is nan.
        ``frame_auc``: all frames pooled.
        ``frame_auc_abnormal_videos``: frames of abnormal videos pooled, shows localization.
        ``frame_auc_mean_over_videos``: mean of the AUC of each abnormal video that has normal frames too.
        ``average_precision``: all frames pooled.
        ``false_alarm_rate_percent``: frames of normal videos with a score of at least ``threshold``.
        ``recall_at_fpr_1_percent``, ``..._5_percent``, ``..._10_percent``: all frames pooled.
        ``video_auc``: score of a video = maximum over its frames.
        ``frame_auc_constant_per_video``: the video-label oracle; the frame AUC of a guess that knows the label of each
        video and gives it to all its frames.
        ``classes``: for each class of abnormal videos ``frame_auc`` (with all normal videos),
        ``frame_auc_abnormal_videos`` (without them) and ``num_videos``.
        ``num_videos``, ``num_abnormal_videos``, ``num_videos_without_frame_labels``, ``num_frames``,
        ``num_abnormal_frames``: counts; the frames are those of the frame-level metrics.

    Raises:
        ValueError: if a video lacks a key, has no frame, or its numbers of labels and scores differ.

    Example:

    >>> report = evaluate_videos([{"scores": [0.1, 0.2], "label": 0},
    ...                           {"scores": [0.1, 0.9], "label": 1, "frame_labels": [0, 1], "class_name": "Arson"}])
    >>> report["frame_auc"], report["video_auc"], report["classes"]["Arson"]["num_videos"]
    (1.0, 1.0, 1)
    """
    checks.numbers_in("(-inf, inf)", threshold=threshold)
    videos = [checked_video(number, video) for number, video in enumerate(videos)]
    known = [video for video in videos if video["frame_labels"] is not None]
    labels, scores = _column(known, "frame_labels"), _column(known, "scores")
    normal, abnormal = _with_label(known, spec.NORMAL), _with_label(known, spec.ABNORMAL)
    report: dict[str, Any] = {
        "frame_auc": frame_auc(labels, scores),
        "frame_auc_abnormal_videos": _pooled_auc(abnormal),
        "frame_auc_mean_over_videos": _mean_auc(abnormal),
        "average_precision": average_precision(labels, scores),
        "false_alarm_rate_percent": false_alarm_rate(_column(_with_label(videos, spec.NORMAL), "scores"), threshold),
    }
    for percent in (1, 5, 10):
        report[f"recall_at_fpr_{percent}_percent"] = recall_at_fpr(labels, scores, percent / 100)
    report["video_auc"] = video_auc([video["label"] for video in videos], _column(videos, "scores"))
    report["frame_auc_constant_per_video"] = _constant_per_video_auc(known)
    report["classes"] = _by_class(normal, abnormal)
    return report | {
        "num_videos": len(videos),
        "num_abnormal_videos": len(_with_label(videos, spec.ABNORMAL)),
        "num_videos_without_frame_labels": len(videos) - len(known),
        "num_frames": int(sum(frames.size for frames in labels)),
        "num_abnormal_frames": int(sum(frames.sum() for frames in labels)),
    }


def checked_video(number: int, video: Mapping[str, Any]) -> dict[str, Any]:
    """A video as ``evaluate_videos`` uses it: arrays, and the frame labels of a normal video filled in.

    Raises:
        ValueError: if it lacks a key, has no frame, or its numbers of labels and scores differ.
    """
    name = video.get("video_id", f"number {number}")
    missing = [key for key in ("scores", "label") if key not in video]
    if missing or video["label"] not in (0, 1):
        raise ValueError(
            f"video {name} must have 'scores' and a 'label' of 0 or 1. Received the keys {sorted(video)} and the label "
            f"{video.get('label')!r}. Leave videos of unknown label out."
        )
    scores = np.ravel(np.asarray(video["scores"], dtype=np.float64))
    frame_labels = video.get("frame_labels")
    if frame_labels is None:
        frame_labels = np.zeros(scores.size, np.int64) if video["label"] == spec.NORMAL else None
    else:
        frame_labels = np.ravel(np.asarray(frame_labels)).astype(np.int64)
    if not scores.size or (frame_labels is not None and frame_labels.size != scores.size):
        count = 0 if frame_labels is None else frame_labels.size
        raise ValueError(
            f"video {name} must have a score for each of its frames. Received: {scores.size} scores, {count} frame "
            "labels. Expand the scores of sampled frames to every frame first."
        )
    return {
        "scores": scores,
        "label": int(video["label"]),
        "frame_labels": frame_labels,
        "class_name": video.get("class_name") or "",
    }


def _with_label(videos: list[Mapping[str, Any]], label: int) -> list[Mapping[str, Any]]:
    return [video for video in videos if video["label"] == label]


def _column(videos: list[Mapping[str, Any]], key: str) -> list[Any]:
    return [video[key] for video in videos]


def _pooled_auc(videos: list[Mapping[str, Any]]) -> float:
    return frame_auc(_column(videos, "frame_labels"), _column(videos, "scores"))


def _mean_auc(videos: list[Mapping[str, Any]]) -> float:
    each = [frame_auc(video["frame_labels"], video["scores"]) for video in videos]
    defined = [value for value in each if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _constant_per_video_auc(videos: list[Mapping[str, Any]]) -> float:
    guesses = [np.full(video["scores"].size, float(video["label"])) for video in videos]
    return frame_auc(_column(videos, "frame_labels"), guesses)


def _by_class(normal: list[Mapping[str, Any]], abnormal: list[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    classes = {}
    for name in sorted({video["class_name"] for video in abnormal} - {""}):
        of_class = [video for video in abnormal if video["class_name"] == name]
        classes[name] = {
            "frame_auc": _pooled_auc(normal + of_class),
            "frame_auc_abnormal_videos": _pooled_auc(of_class),
            "num_videos": len(of_class),
        }
    return classes
