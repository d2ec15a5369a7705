"""Recall at a given false positive rate."""

import numpy as np
from numpy.typing import ArrayLike

from vad_keras import checks
from vad_keras.metrics.roc import counts_above


def recall_at_fpr(labels: ArrayLike, scores: ArrayLike, fpr: float) -> float:
    """Highest share of abnormal frames found by a threshold that flags at most the share ``fpr`` of the normal frames.

    Only thresholds that exist count; nothing is interpolated between them.

    Args:
        labels: 0 or 1 per frame, an array or a list of arrays, one per video.
        scores: the same shape, high = abnormal.
        fpr: share of normal frames in [0, 1], e.g. 0.01 for one in a hundred.

    Returns:
        In [0, 1]; nan when one of the two classes is missing.

    Raises:
        ValueError: if ``fpr`` lies outside [0, 1], lengths differ, a label is not 0 or 1, or a score is not finite.

    Example:

    >>> recall_at_fpr([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], fpr=0.1)
    0.5
    """
    checks.numbers_in("[0, 1]", fpr=fpr)
    false_positives, true_positives = counts_above(labels, scores)
    if not false_positives[-1] or not true_positives[-1]:
        return float("nan")
    allowed = false_positives / false_positives[-1] <= fpr
    return float(np.max(true_positives[allowed]) / true_positives[-1])
