"""Sparsity of the anomaly scores of a video, the term L_sp of Eq. 9."""

from keras import ops

from vad_keras.losses.bags import spread_mask
from vad_keras.typing import Tensor


def sparsity(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Sum over time of the anomaly score: an anomaly covers a small part of a video.

    ``sum_t m_t * mean_g(scores[t, g])`` with ``m_t`` the mask. The sum over time is that of [1]; the mean over patches
    keeps its size for any number of patches.

    Args:
        scores: ``(B, T, ...)``, any number of trailing patch axes.
        mask: boolean ``(B, T)``, True for a real frame; ``None`` when all are real.

    Returns:
        float32 ``(B,)``, one value per video.

    Raises:
        ValueError: if the shapes do not fit.

    Example:

    >>> import numpy as np
    >>> round(float(sparsity(np.array([[0.5, 0.25, 1.0]]), np.array([[True, True, False]]))[0]), 4)
    0.75

    Reference: Sec 3.4, Eq. 9; [1] Sultani et al., Real-world anomaly detection in surveillance videos, Eq. 7.
    """
    scores = ops.where(spread_mask(scores, mask), ops.cast(scores, "float32"), 0.0)
    patch_axes = tuple(range(2, len(scores.shape)))
    frame_scores = ops.mean(scores, axis=patch_axes) if patch_axes else scores
    return ops.sum(frame_scores, axis=1)
