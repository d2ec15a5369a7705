"""What happens to frames in front of a backbone: another size, then its normalisation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from vad_keras.typing import Tensor


def resize_frames(frames: Tensor, size: int) -> Tensor:
    """Resize square frames, bilinear and antialiased, by two matrix products, which every compiler takes.

    Args:
        frames: ``(N, S, S, C)``, float.
        size: side of the result, ``S'``.

    Returns:
        ``(N, S', S', C)``; the frames themselves when they have this size.

    Example:

    >>> frames = np.arange(4, dtype="float32")[None, :, None, None] * np.ones((1, 4, 4, 1), "float32")
    >>> [round(float(value), 3) for value in resize_frames(frames, 2)[0, :, 0, 0]]
    [0.714, 2.286]
    """
    if frames.shape[1] == size:
        return frames
    matrix = ops.convert_to_tensor(resize_matrix(frames.shape[1], size), dtype=frames.dtype)
    return ops.einsum("qw,npwc->npqc", matrix, ops.einsum("ph,nhwc->npwc", matrix, frames))


def resize_matrix(length: int, target: int) -> NDArray[np.float32]:
    """Weights of ``length`` pixels in each of ``target`` pixels, ``(target, length)``: a triangle, rows sum to 1."""
    scale = length / target
    centers = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(length) + 0.5 - centers[:, None]) / max(scale, 1.0)
    weights = np.maximum(1.0 - distance, 0.0)
    matrix: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return matrix.astype(np.float32)


def normalize_frames(frames: Tensor, expected: Mapping[str, Any]) -> Tensor:
    """Bring frames to the numbers that a backbone expects.

    Args:
        frames: ``(..., 3)``, RGB in 0..255, float.
        expected: entry of ``BACKBONES``: ``channels``, ``scale`` and ``offset``.
    """
    if expected["channels"] == "BGR":
        frames = ops.flip(frames, axis=-1)
    scale, offset = (ops.convert_to_tensor(expected[key], dtype="float32") for key in ("scale", "offset"))
    return frames * scale - offset
