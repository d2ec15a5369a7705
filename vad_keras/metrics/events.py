"""Metrics of whole events, as an operator counts them: events found at a number of false alarms, and how late."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vad_keras import checks
from vad_keras.metrics.report import checked_video
from vad_keras.metrics.roc import check_frames, counts_above
from vad_keras.metrics.segments import runs, segment_metrics

DAY_SEC = 86_400.0
NO_LABELS = "no test video has both frame labels and an event"
NO_RATE = "the frame rate of a video is unknown"
NONE_FOUND = "no event is found"

Video: TypeAlias = dict[str, Any]  # of `checked_video`, with its frame rate
Event: TypeAlias = tuple[NDArray[np.float64], float]  # its scores, and the frame rate
Step: TypeAlias = tuple[float, float, float]  # low, high and weight, see `_step_sum`


def evaluate_events(videos: Sequence[Mapping[str, Any]], rates: Sequence[float] = (1.0, 6.0, 24.0)) -> dict[str, Any]:
    """Metrics of events and alarms.

    An event is a run of abnormal frames of a video. An alarm is a run of frames whose score reaches a threshold; it is
    false if it shares no frame with an event. A camera-day is 24 hours of test video.

    The threshold of an operating point is the lowest score such that neither it nor any higher score, taken as the
    threshold, gives more false alarms than allowed. Allowed are none (``no_false_alarm``), or the whole part of a rate
    times the camera-days.

    Args:
        videos: list of dicts, as for ``evaluate_videos``, each with ``"fps"``, frames per second. Abnormal videos
            without frame labels are left out.
        rates: false alarms per camera-day.

    Returns:
        A value that cannot be computed is nan, and ``missing`` holds its name and the reason.
        ``event_recall_<point>``: share of the events with a frame that reaches the threshold. A point is
        ``no_false_alarm`` or ``at_<rate>_per_day``.
        ``time_to_detection_sec_<point>``: median over the events found of the seconds from the start of the event to
        its first frame that reaches the threshold.
        ``latency_aware_ap``: as average precision, but recall is the mean credit of the events: the share of an event
        that is left at its first frame that reaches the threshold. A constant score gives the share of abnormal frames.
        ``map_at_iou_<percent>`` and ``map_at_iou_mean``: see ``segment_metrics``.
        ``num_events``, ``camera_days``: what they are counted in.

    Raises:
        ValueError: if a video is not as ``evaluate_videos`` asks for, or a rate is not positive.

    Example:

    >>> videos = [{"scores": [0.1, 0.4, 0.2], "label": 0, "fps": 2.0},
    ...           {"scores": [0.1, 0.3, 0.9, 0.8], "label": 1, "frame_labels": [0, 1, 1, 1], "fps": 2.0}]
    >>> found = evaluate_events(videos)
    >>> found["event_recall_no_false_alarm"], found["time_to_detection_sec_no_false_alarm"]
    (1.0, 0.5)
    >>> found["missing"]["event_recall_at_24_per_day"]
    '24 per day are less than one false alarm in 0.1 minutes of test video'
    """
    checks.number_lists("(0, inf)", rates=rates)
    frame_rates = [video.get("fps") for video in videos]
    checked = [checked_video(number, video) for number, video in enumerate(videos)]
    known = [video | {"fps": fps} for video, fps in zip(checked, frame_rates, strict=True)]
    known = [video for video in known if video["frame_labels"] is not None]
    for video in known:
        check_frames(video["frame_labels"], video["scores"])
    events = [found for video in known for found in _events(video)]
    has_rate = all(video["fps"] for video in known)
    days = sum(video["scores"].size / video["fps"] for video in known) / DAY_SEC if has_rate else float("nan")
    found, missing = _operating_points(known, events, rates, days)
    found["latency_aware_ap"] = _latency_aware_ap(known, events)
    if not events:
        missing["latency_aware_ap"] = NO_LABELS
    segments, of_segments = segment_metrics(known)
    return found | segments | {"num_events": len(events), "camera_days": days, "missing": missing | of_segments}


def _events(video: Video) -> list[Event]:
    """``(scores, fps)`` of each event."""
    return [(video["scores"][start:end], video["fps"]) for start, end in runs(video["frame_labels"])]


def _operating_points(
    videos: list[Video], events: list[Event], rates: Sequence[float], days: float
) -> tuple[dict[str, float], dict[str, str]]:
    """Recall and time to detection at each point, and what is missing."""
    found: dict[str, float] = {}
    missing: dict[str, str] = {}
    points = {"no_false_alarm": 0} | {f"at_{rate:g}_per_day": rate for rate in rates}
    thresholds, false_alarms = _false_alarms(videos)
    for point, rate in points.items():
        recall, delay = f"event_recall_{point}", f"time_to_detection_sec_{point}"
        allowed = 0 if rate == 0 else np.floor(rate * days)
        reason = NO_LABELS if not events else NO_RATE if np.isnan(days) and rate else ""
        if not reason and rate and allowed < 1:
            reason = f"{rate:g} per day are less than one false alarm in {days * 1440:,.1f} minutes of test video"
        if reason:
            found |= {recall: float("nan"), delay: float("nan")}
            missing |= {recall: reason, delay: reason}
            continue
        within = np.logical_and.accumulate(false_alarms <= allowed)
        threshold = thresholds[within][-1] if within[0] else np.inf
        frames = [(np.argmax(scores >= threshold), fps) for scores, fps in events if scores.max() >= threshold]
        found[recall] = len(frames) / len(events)
        reason = "" if frames and not np.isnan(days) else NO_RATE if frames else NONE_FOUND
        found[delay] = float("nan") if reason else float(np.median([frame / fps for frame, fps in frames]))
        missing |= {delay: reason} if reason else {}
    return found, missing


def _false_alarms(videos: list[Video]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every distinct score, falling, and the number of false alarms with it as the threshold.

    A run of scores begins where the score before is below the threshold and its own is not. It is false unless it
    reaches into an event on either side of its normal stretch.
    """
    steps = [step for video in videos for step in _false_alarm_steps(video)]
    scores = [video["scores"] for video in videos]
    thresholds = np.unique(np.concatenate(scores))[::-1] if scores else np.zeros(0)
    return thresholds, _step_sum(steps, thresholds)


def _false_alarm_steps(video: Video) -> Iterator[Step]:
    """``(low, high, weight)``: how the number of false alarms changes for thresholds above low, up to high."""
    scores = video["scores"]
    for start, end in runs(video["frame_labels"] == 0):
        before = np.append(scores[start - 1] if start else -np.inf, scores[start : end - 1])
        begins = scores[start:end] > before
        yield from zip(before[begins], scores[start:end][begins], itertools.repeat(1.0), strict=False)
        if end < scores.size:  # runs that reach the event after the stretch, unless they came from the one before it
            low = min(before[0], scores[start:end].min())
            high = min(scores[end - 1], scores[end])
            if high > low:
                yield low, high, -1.0


def _step_sum(steps: Iterable[Step], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the weights of the steps that hold at each threshold, ``low < threshold <= high``."""
    low, high, weight = np.reshape(np.array(list(steps), dtype=np.float64), (-1, 3)).T

    def reaching(ends: NDArray[np.float64]) -> NDArray[np.float64]:
        order = np.argsort(ends)
        sums = np.append(0.0, np.cumsum(weight[order]))
        reached: NDArray[np.float64] = sums[-1] - sums[np.searchsorted(ends[order], thresholds, "left")]
        return reached

    return np.round(reaching(high) - reaching(low), 9)


def _latency_aware_ap(videos: list[Video], events: list[Event]) -> float:
    if not events:
        return float("nan")
    labels, scores = [video["frame_labels"] for video in videos], [video["scores"] for video in videos]
    false_positives, true_positives = (counts[1:] for counts in counts_above(labels, scores))
    thresholds = np.unique(np.concatenate(scores))[::-1]
    steps: list[Step] = []
    for of_event, _ in events:
        highest = np.maximum.accumulate(of_event)
        before = np.append(-np.inf, highest[:-1])
        credit = 1.0 - np.arange(of_event.size) / of_event.size
        rises = highest > before
        steps += zip(before[rises], highest[rises], credit[rises] / len(events), strict=True)
    recall = _step_sum(steps, thresholds)
    precision = true_positives / (true_positives + false_positives)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
