"""Two clusters of the frames of a video, and how far apart they are: used by [8] and [9]."""

from keras import ops

from vad_keras.typing import Tensor

SMALLEST_DISTANCE = 0.01  # keeps 1 / distance and its gradient finite where the centres meet


def two_means(x: Tensor, mask: Tensor, iterations: int = 10) -> Tensor:
    """Split the real frames of each video in two by k-means, k = 2, without randomness.

    1. The first centre is the frame farthest from the mean of the video, the second the frame farthest from the first.
    2. ``iterations`` times: each frame goes to the nearer centre, each centre to the mean of its frames.

    Args:
        x: ``(B, T, F)``.
        mask: boolean ``(B, T)``, True for a real frame.
        iterations: of step 2.

    Returns:
        boolean ``(B, T)``, True in the second cluster, False in padding. No gradient passes through it. A video whose
        frames are all equal has an empty second cluster.

    Example:

    >>> import numpy as np
    >>> x = np.array([[[0.0], [0.1], [5.0]]])
    >>> [bool(second) for second in two_means(x, np.ones((1, 3), bool))[0]]
    [True, True, False]
    """
    x = ops.stop_gradient(ops.cast(x, "float32"))
    mask = ops.cast(mask, "bool")
    first = _farthest(x, _mean_of(x, mask, 0.0), mask)
    second = _farthest(x, first, mask)
    in_second = _nearer_to_second(x, first, second, mask)
    for _ in range(iterations):
        first = _mean_of(x, ops.logical_and(mask, ops.logical_not(in_second)), first)
        second = _mean_of(x, in_second, second)
        in_second = _nearer_to_second(x, first, second, mask)
    return in_second


def cluster_distance(x: Tensor, in_second: Tensor, mask: Tensor) -> Tensor:
    """Euclidean distance between the means of the two clusters of each video, with a gradient by ``x``.

    ``d = sqrt(||c_1 - c_2||^2 + 0.01^2)``.

    Args:
        x: ``(B, T, F)``.
        in_second: boolean ``(B, T)``, of ``two_means``.
        mask: boolean ``(B, T)``, True for a real frame.

    Returns:
        float32 ``(B,)``, 0 for a video with an empty cluster.
    """
    x, mask = ops.cast(x, "float32"), ops.cast(mask, "bool")
    in_first = ops.logical_and(mask, ops.logical_not(in_second))
    between = _mean_of(x, in_first, 0.0) - _mean_of(x, in_second, 0.0)
    squared = ops.sum(ops.square(between), axis=(1, 2))
    both = ops.logical_and(ops.any(in_first, axis=1), ops.any(in_second, axis=1))
    return ops.where(both, ops.sqrt(squared + SMALLEST_DISTANCE**2), 0.0)


def clustering_loss(labels: Tensor, x: Tensor, in_second: Tensor, mask: Tensor, bound: float = 1.0) -> Tensor:
    """Draw the two clusters of a normal video together, and those of an abnormal one apart.

    Normal: ``min(bound, d)``. Abnormal: ``1 / d``. ``d`` is ``cluster_distance``.

    Args:
        labels: float32 ``(B,)``, 1 for an abnormal video.
        x, in_second, mask: see ``cluster_distance``.
        bound: from this distance on a normal video costs no more.

    Returns:
        float32 ``(B,)``, 0 for a video with an empty cluster.
    """
    distance = cluster_distance(x, in_second, mask)
    inverse = ops.where(distance > 0, 1.0 / ops.maximum(distance, SMALLEST_DISTANCE), 0.0)
    return ops.where(labels > 0.5, inverse, ops.minimum(distance, bound))


def _squared_distance(x: Tensor, centre: Tensor) -> Tensor:
    """``(B, T, F)``, ``(B, 1, F)`` -> ``(B, T)``."""
    return ops.sum(ops.square(x - centre), axis=-1)


def _nearer_to_second(x: Tensor, first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    return ops.logical_and(_squared_distance(x, second) < _squared_distance(x, first), mask)


def _farthest(x: Tensor, centre: Tensor, mask: Tensor) -> Tensor:
    """The real frame farthest from a centre, ``(B, 1, F)``."""
    distance = ops.where(mask, _squared_distance(x, centre), -1.0)
    return ops.take_along_axis(x, ops.argmax(distance, axis=1)[:, None, None], axis=1)


def _mean_of(x: Tensor, chosen: Tensor, otherwise: Tensor | float) -> Tensor:
    """Mean of the chosen frames, ``(B, 1, F)``; ``otherwise`` where there is none."""
    chosen = ops.cast(chosen, "float32")[..., None]
    number = ops.sum(chosen, axis=1, keepdims=True)
    return ops.where(number > 0, ops.sum(x * chosen, axis=1, keepdims=True) / ops.maximum(number, 1.0), otherwise)
