"""Area under the ROC curve."""

import numpy as np
from numpy.typing import ArrayLike

from vad_keras.metrics.roc import counts_above


def frame_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve of all frames pooled, the main metric of the field.

    It is the chance that a random abnormal frame scores higher than a random normal one, a tie counting one half.

    Args:
        labels: 0 or 1 per frame, an array or a list of arrays, one per video.
        scores: the same shape, high = abnormal.

    Returns:
        In [0, 1]; nan when one of the two classes is missing.

    Raises:
        ValueError: if lengths differ, a label is not 0 or 1, or a score is not finite.

    Example:

    >>> frame_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75

    Reference: Sec 4.1.
    """
    false_positives, true_positives = counts_above(labels, scores)
    pairs = false_positives[-1] * true_positives[-1]
    return float(np.trapezoid(true_positives, false_positives) / pairs) if pairs else float("nan")
