"""Arithmetic over the frames of a video that several baselines share; padding never takes part."""

import math

from keras import ops

from vad_keras.losses.bags import choose_highest, mean_of_bags
from vad_keras.typing import Tensor

FRAMES_PER_CHOICE = 16  # k = floor(T / 16) + 1 frames are averaged per video in [10] and its successors


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """``(B, T, ...)`` with 0 in padding, as a convolution pads the end of a video."""
    for _ in x.shape[2:]:
        mask = ops.expand_dims(mask, -1)
    return ops.where(mask, x, ops.zeros_like(x))


def softmax_over_keys(energies: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the real frames of the last axis: ``(B, ..., T)`` and bool ``(B, T)`` -> float32, same shape."""
    for _ in energies.shape[2:]:
        mask = ops.expand_dims(mask, 1)
    return ops.softmax(ops.where(mask, ops.cast(energies, "float32"), -1e9), axis=-1)


def proximity(mask: Tensor) -> Tensor:
    """``exp(-|i - j| / e)`` from query i to key j, 0 for padded keys: bool ``(B, T)`` -> float32 ``(B, T, T)``."""
    time = ops.cast(ops.arange(ops.shape(mask)[1]), "float32")
    distance = ops.abs(ops.expand_dims(time, 1) - ops.expand_dims(time, 0))
    decay = ops.exp(-distance / math.e)
    return ops.expand_dims(decay, 0) * ops.cast(ops.expand_dims(mask, 1), "float32")


def mean_over_frames(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real frames of each video, ``(B, T)`` -> ``(B,)``."""
    real = ops.cast(mask, "float32")
    values = ops.where(mask, ops.cast(values, "float32"), 0.0)
    return ops.sum(values, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)


def top_frames(values: Tensor, mask: Tensor, frames_per_choice: int = FRAMES_PER_CHOICE) -> Tensor:
    """Weights of the mean over the ``floor(n / frames_per_choice) + 1`` frames of highest value, n the real frames.

    Args:
        values: ``(B, T)``, by which the frames are ranked.
        mask: bool ``(B, T)``.
        frames_per_choice: 16 in [10].

    Returns:
        float32 ``(B, T)``; no gradient passes through it.
    """
    num_real = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
    number = ops.floor(num_real / frames_per_choice) + 1.0
    chosen = ops.cast(choose_highest(values, mask, number), "float32")
    return chosen / ops.maximum(ops.sum(chosen, axis=1, keepdims=True), 1.0)


def weighted_mean(x: Tensor, weights: Tensor) -> Tensor:
    """``sum_t weights[t] x[t]`` of each video in float32: ``(B, T)`` -> ``(B,)``, ``(B, T, C)`` -> ``(B, C)``."""
    x = ops.cast(x, "float32")
    if len(x.shape) == 2:
        return ops.sum(ops.where(weights > 0, x, 0.0) * weights, axis=1)
    return ops.einsum("bt,btc->bc", weights, zero_padding(x, weights > 0))


def length_of(x: Tensor, axis: int | tuple[int, ...] = -1) -> Tensor:
    """Euclidean length over an axis, or several, in float32, with gradient 0 (not NaN) where the vector is 0."""
    squared = ops.sum(ops.square(ops.cast(x, "float32")), axis=axis)
    apart = squared > 0
    return ops.where(apart, ops.sqrt(ops.where(apart, squared, 1.0)), 0.0)


def cross_entropy(target: Tensor | float, probability: Tensor) -> Tensor:
    """``-(y log p + (1 - y) log(1 - p))`` in float32, element by element."""
    target = ops.cast(target, "float32")
    probability = ops.clip(ops.cast(probability, "float32"), 1e-7, 1.0 - 1e-7)
    return -(target * ops.log(probability) + (1.0 - target) * ops.log(1.0 - probability))


def segment_means(x: Tensor, mask: Tensor, segments: int) -> Tensor:
    """Mean of each of ``segments`` equal parts of the real frames of a video: ``(B, T, C)`` -> ``(B, segments, C)``.

    Part i of n real frames begins at frame ``floor(i n / segments)``, as in [1]; a video with fewer frames than
    segments repeats some. Padding is at the end. A video of ``segments`` frames stays as it is.
    """
    num_real = _num_real(mask)
    bounds = ops.expand_dims(ops.arange(segments + 1, dtype="int32"), 0) * num_real // segments
    first = bounds[:, :-1]
    last = ops.maximum(bounds[:, 1:], first + 1)
    sums = ops.pad(ops.cumsum(zero_padding(x, mask), axis=1), ((0, 0), (1, 0), (0, 0)))
    upper, lower = (ops.take_along_axis(sums, ops.expand_dims(bound, -1), axis=1) for bound in (last, first))
    return (upper - lower) / ops.cast(ops.expand_dims(last - first, -1), x.dtype)


def from_segments(values: Tensor, mask: Tensor) -> Tensor:
    """Give each real frame the value of its part, see ``segment_means``: ``(B, segments, ...)`` -> ``(B, T, ...)``."""
    segments, num_frames = values.shape[1], ops.shape(mask)[1]
    frame = ops.expand_dims(ops.arange(1, num_frames + 1, dtype="int32"), 0)
    part = ops.minimum((frame * segments - 1) // ops.maximum(_num_real(mask), 1), segments - 1)
    for _ in values.shape[2:]:
        part = ops.expand_dims(part, -1)
    return zero_padding(ops.take_along_axis(values, part, axis=1), mask)


def _num_real(mask: Tensor) -> Tensor:
    """``(B, 1)`` int32."""
    return ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)


def mean_over_pairs(values: Tensor, labels: Tensor) -> Tensor:
    """Mean of ``values`` ``(B, B)`` over the pairs of an abnormal row and a normal column; 0 without a pair."""
    pairs = ops.expand_dims(labels, 1) * ops.expand_dims(1.0 - labels, 0)
    return mean_of_bags(ops.reshape(values, (-1,)), ops.reshape(pairs, (-1,)))
