"""False alarms on normal videos."""

import numpy as np
from numpy.typing import ArrayLike

from vad_keras import checks
from vad_keras.metrics.roc import flatten


def false_alarm_rate(scores_of_normal_videos: ArrayLike, threshold: float = 0.5) -> float:
    """Share of the frames of normal videos whose score reaches the threshold, in percent.

    Args:
        scores_of_normal_videos: scores of every frame, an array or a list of arrays, one per video.
        threshold: a score of at least this is an alarm. The "threshold of 0.5%" of Sec 4.1 is 0.5, as in [1].

    Returns:
        In percent, 0 to 100; nan without a frame.

    Raises:
        ValueError: if a score is not finite.

    Example:

    >>> false_alarm_rate([[0.1, 0.5], [0.2, 0.3, 0.1, 0.9, 0.0, 0.4]])
    25.0

    Reference: Sec 4.1, Table 3; [1] Sultani et al., Real-world anomaly detection in surveillance videos.
    """
    checks.numbers_in("(-inf, inf)", threshold=threshold)
    scores = flatten(scores_of_normal_videos)
    if not scores.size:
        return float("nan")
    if not np.isfinite(scores).all():
        raise ValueError("`scores_of_normal_videos` must be finite. Look for a diverged training or a padded frame.")
    return float(100.0 * np.mean(scores >= threshold))
