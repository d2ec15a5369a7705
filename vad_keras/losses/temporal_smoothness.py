"""Temporal smoothness of the anomaly scores of a video, the term L_ts of Eq. 9."""

from keras import ops

from vad_keras.losses.bags import spread_mask
from vad_keras.typing import Tensor


def temporal_smoothness(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Sum over time of the squared difference between neighbouring moments of one video.

    ``sum_t m_t m_(t+1) * mean_g((scores[t+1, g] - scores[t, g])^2)`` with ``m_t`` the mask: a step into padding counts
    as 0, and no step leads from one video into the next.

    Args:
        scores: ``(B, T, ...)``, any number of trailing patch axes.
        mask: boolean ``(B, T)``, True for a real frame; ``None`` when all are real.

    Returns:
        float32 ``(B,)``, one value per video; 0 for a video of one frame.

    Raises:
        ValueError: if the shapes do not fit.

    Example:

    >>> import numpy as np
    >>> round(float(temporal_smoothness(np.array([[0.5, 0.0, 1.0]]))[0]), 4)
    1.25

    Reference: Sec 3.4, Eq. 9; [1] Sultani et al., Real-world anomaly detection in surveillance videos, Eq. 7.
    """
    real = spread_mask(scores, mask)
    scores = ops.where(real, ops.cast(scores, "float32"), 0.0)
    steps = ops.where(ops.logical_and(real[:, 1:], real[:, :-1]), scores[:, 1:] - scores[:, :-1], 0.0)
    patch_axes = tuple(range(2, len(scores.shape)))
    squared = ops.square(steps)
    squared = ops.mean(squared, axis=patch_axes) if patch_axes else squared
    return ops.sum(squared, axis=1)
