"""Counting above every threshold, which all ranking metrics share. NumPy in float64, no backend."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def flatten(values: ArrayLike) -> NDArray[Any]:
    """One flat array from an array or from a list of arrays of different length, one per video."""
    if isinstance(values, (list, tuple)) and any(np.ndim(value) for value in values):
        return np.concatenate([np.ravel(value) for value in values])
    return np.ravel(np.asarray(values))


def counts_above(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positives at every distinct score, from the strictest threshold to the loosest.

    Args:
        labels: 0 or 1 per frame, an array or a list of arrays, one per video.
        scores: the same shape, high = abnormal.

    Returns:
        float64 arrays ``(false_positives, true_positives)``; equal scores share one entry, and both begin with 0
        (threshold above every score).

    Raises:
        ValueError: if lengths differ, a label is not 0 or 1, or a score is not finite.
    """
    labels, scores = flatten(labels), flatten(scores).astype(np.float64)
    check_frames(labels, scores)
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order].astype(np.float64), scores[order]
    last_of_equal = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1) if scores.size else np.zeros(0, int)
    true_positives = np.append(0.0, np.cumsum(labels)[last_of_equal])
    false_positives = np.append(0.0, np.cumsum(1.0 - labels)[last_of_equal])
    return false_positives, true_positives


def check_frames(labels: NDArray[Any], scores: NDArray[Any]) -> None:
    """Raise a ValueError unless there are as many labels as scores, all 0 or 1, and all scores are finite."""
    if labels.shape != scores.shape:
        raise ValueError(
            f"`labels` and `scores` must have one entry per frame. Received: {labels.size} labels and {scores.size} "
            "scores. Expand the scores of sampled frames to every frame first."
        )
    if not np.isin(labels, (0, 1)).all():
        strange = np.unique(labels[~np.isin(labels, (0, 1))])[:5].tolist()
        raise ValueError(
            f"`labels` must be 0 (normal) or 1 (abnormal). Received also: {strange}. Leave such frames out."
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            f"`scores` must be finite. Received {int((~np.isfinite(scores)).sum())} of {scores.size} that are not. "
            "Look for a diverged training or a padded frame among them."
        )
