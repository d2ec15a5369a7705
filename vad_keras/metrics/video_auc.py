"""Area under the ROC curve of whole videos."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vad_keras.metrics.frame_auc import frame_auc


def video_auc(video_labels: Sequence[int] | NDArray[Any], scores: Sequence[ArrayLike]) -> float:
    """Area under the ROC curve of whole videos, the score of a video being the maximum over its frames.

    Args:
        video_labels: 0 or 1 per video, ``(N,)``.
        scores: list of N arrays, the scores of the frames of each video.

    Returns:
        In [0, 1]; nan when all videos have the same label.

    Raises:
        ValueError: if the numbers of videos differ or a video has no frame.

    Example:

    >>> video_auc([0, 1, 1], [[0.1, 0.3], [0.2], [0.0, 0.9, 0.1]])
    0.5
    """
    if len(video_labels) != len(scores):
        raise ValueError(
            f"`video_labels` and `scores` must have one entry per video. "
            f"Received: {len(video_labels)} and {len(scores)}. Pass the scores as a list of arrays, one per video."
        )
    empty = [number for number, frames in enumerate(scores) if not np.size(frames)]
    if empty:
        raise ValueError(f"each video needs at least one score. Received none for the entries {empty}. Leave them out.")
    return frame_auc(np.asarray(video_labels), np.array([np.max(frames) for frames in scores], dtype=np.float64))
