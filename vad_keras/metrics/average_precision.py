"""Average precision."""

import numpy as np
from numpy.typing import ArrayLike

from vad_keras.metrics.roc import counts_above


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision of all frames pooled, ``sum_n (R_n - R_(n-1)) P_n`` over the distinct thresholds.

    Args:
        labels: 0 or 1 per frame, an array or a list of arrays, one per video.
        scores: the same shape, high = abnormal.

    Returns:
        In [0, 1]; nan when no frame is abnormal.

    Raises:
        ValueError: if lengths differ, a label is not 0 or 1, or a score is not finite.

    Example:

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    false_positives, true_positives = counts_above(labels, scores)
    if not true_positives[-1]:
        return float("nan")
    precision = true_positives[1:] / (true_positives[1:] + false_positives[1:])
    return float(np.sum(np.diff(true_positives) * precision) / true_positives[-1])
