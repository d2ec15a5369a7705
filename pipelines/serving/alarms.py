"""Alarms: the stretches of a video whose score reaches the threshold."""

from typing import NamedTuple

import numpy as np


class Alarm(NamedTuple):
    """Consecutive frames at or above the threshold; ``end_frame`` and ``end_sec`` are exclusive."""

    start_frame: int
    end_frame: int
    start_sec: float
    end_sec: float
    max_score: float


def find_alarms(scores, times_sec, threshold, frame_duration_sec):
    """Find the alarms of a video, in order.

    Args:
        scores: One score per frame, ``(num_frames,)``.
        times_sec: Presentation time of each frame, ``(num_frames,)``.
        threshold: A score at or above it is an alarm.
        frame_duration_sec: How long the last frame is shown.

    Example:

    >>> find_alarms([0.1, 0.7, 0.9, 0.2], [0.0, 0.5, 1.0, 1.5], threshold=0.5, frame_duration_sec=0.5)
    [Alarm(start_frame=1, end_frame=3, start_sec=0.5, end_sec=1.5, max_score=0.9)]
    """
    scores = np.asarray(scores)
    ends_sec = [*map(float, times_sec[1:]), float(times_sec[-1]) + frame_duration_sec]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], scores >= threshold, [False]])))
    return [
        Alarm(int(start), int(end), float(times_sec[start]), ends_sec[end - 1], float(scores[start:end].max()))
        for start, end in edges.reshape(-1, 2)
    ]
