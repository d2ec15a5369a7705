"""Arithmetic of masked bags that several losses need: labels, masks and the choice of the top-k nodes."""

import numbers
from typing import Literal, TypeAlias

from keras import ops

from vad_keras import checks
from vad_keras.typing import Tensor

TopK: TypeAlias = int | float | Literal["mean"]  # nodes that are averaged per bag: their number, share, or all


def labels_of_bags(labels: Tensor) -> Tensor:
    """Video labels ``(B,)`` or ``(B, 1)`` as float32 ``(B,)``, 1 for abnormal.

    A label other than 0 and 1 raises a ``ValueError`` in an array. In a tensor it becomes NaN, and so does the loss: a
    compiled step cannot raise an error for what a batch holds.
    """
    labels = ops.cast(ops.reshape(checks.labels(labels), (-1,)), "float32")
    return ops.where(ops.logical_or(ops.equal(labels, 0.0), ops.equal(labels, 1.0)), labels, float("nan"))


def spread_mask(scores: Tensor, mask: Tensor | None) -> Tensor:
    """The mask of frames ``(B, T)`` spread over the trailing axes of ``scores`` ``(B, T, ...)``, boolean.

    ``None`` means that every frame is real.
    """
    shape = tuple(scores.shape)
    if len(shape) < 2:
        raise ValueError(
            f"`scores` must have the axes (videos, frames, ...). Received shape: {shape}. "
            "Add the missing axis, e.g. scores[None] for a single video."
        )
    if mask is None:
        return ops.ones_like(scores, dtype="bool")
    mask_shape = tuple(mask.shape)
    unequal = any(a is not None and b is not None and a != b for a, b in zip(mask_shape, shape[:2], strict=False))
    if len(mask_shape) != 2 or unequal:
        raise ValueError(
            f"`mask` must have the first two axes of `scores`, (videos, frames)={shape[:2]}. "
            f"Received shape: {mask_shape}. Pass one boolean per frame, True for a real frame."
        )
    mask = ops.cast(mask, "bool")
    for _ in shape[2:]:
        mask = ops.expand_dims(mask, -1)
    return ops.logical_and(mask, ops.ones_like(scores, dtype="bool"))


def mean_of_bags(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of ``values`` ``(B,)`` over the bags in which ``chosen`` ``(B,)`` is 1; 0 when there is none."""
    return ops.sum(values * chosen) / ops.maximum(ops.sum(chosen), 1.0)


def top_k_weights(scores: Tensor, mask: Tensor | None = None, k: TopK = 0.1) -> Tensor:
    """Weights that average over the ``k`` highest-scored real nodes of each bag.

    Args:
        scores: ``(B, T, ...)``, any number of trailing patch axes.
        mask: boolean ``(B, T)``, True for a real frame. Padded nodes are never chosen.
        k: an integer is a number of nodes (at most all real ones); a float in (0, 1] is a share of the real nodes of
            that video, rounded up; ``"mean"`` takes every real node. Note that ``1`` is the maximum and ``1.0`` the
            mean.

    Returns:
        float32 of the shape of ``scores``: ``1 / k`` at the chosen nodes, 0 elsewhere. No gradient passes through it.

    Raises:
        ValueError: if ``k`` is none of the above.
    """
    check_k(k)
    real = spread_mask(scores, mask)
    num_bags = ops.shape(scores)[0]
    flat_real = ops.reshape(real, (num_bags, -1))
    num_real = ops.sum(ops.cast(flat_real, "float32"), axis=-1, keepdims=True)
    if k == "mean":
        number, chosen = num_real, flat_real
    else:
        number = _number_to_choose(num_real, k)
        chosen = choose_highest(ops.reshape(scores, (num_bags, -1)), flat_real, number)
    weights = ops.cast(chosen, "float32") / ops.maximum(number, 1.0)
    return ops.reshape(weights, ops.shape(scores))


def choose_highest(values: Tensor, real: Tensor, number: Tensor) -> Tensor:
    """Mark the ``number`` ``(rows, 1)`` highest real values of each row: ``(rows, n)``, bool ``(rows, n)`` -> bool."""
    lowered = ops.where(real, ops.stop_gradient(ops.cast(values, "float32")), float("-inf"))
    order = ops.argsort(-lowered, axis=-1)
    rank = ops.cast(ops.argsort(order, axis=-1), "float32")  # 0 for the highest value
    return ops.logical_and(rank < number, real)


def bag_score(scores: Tensor, mask: Tensor | None = None, k: TopK = 0.1) -> Tensor:
    """Mean of the ``k`` highest real scores of each bag, ``(B, T, ...)`` -> ``(B,)``; ``k=1`` is the maximum."""
    weights = top_k_weights(scores, mask, k)
    scores = ops.where(weights > 0, ops.cast(scores, "float32"), 0.0)
    return ops.sum(scores * weights, axis=tuple(range(1, len(scores.shape))))


def check_k(k: object) -> None:
    """Raise a ``ValueError`` unless ``k`` is a count, a share or ``"mean"``."""
    if isinstance(k, str):
        good = k == "mean"
    elif isinstance(k, bool):
        good = False
    elif isinstance(k, numbers.Integral):
        good = int(k) >= 1
    else:
        good = isinstance(k, numbers.Real) and 0 < float(k) <= 1
    if not good:
        raise ValueError(
            "`k` must be a number of nodes (integer >= 1), a share of them (float in (0, 1]) or 'mean'. "
            f"Received: {k!r}. Use 1 for the maximum."
        )


def _number_to_choose(num_real: Tensor, k: int | float) -> Tensor:
    if isinstance(k, numbers.Integral):
        return ops.minimum(num_real, float(k))
    return ops.ceil(num_real * float(k) - 1e-4)  # 1e-4: 0.1 * 10 is a little more than 1 in float32
