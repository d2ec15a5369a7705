"""Checks of arguments and labels that every layer, loss, metric and model shares.

Each raises a ``ValueError`` that names the argument, what came and what was expected.
"""

import math
import numbers
from collections.abc import Sequence

import numpy as np

from vad_keras.typing import Shape, Tensor


def integers(minimum: int, **arguments: object) -> None:
    """Refuse an argument that is not an integer of at least ``minimum``.

    Example:

    >>> integers(1, key_dim=4, value_dim=8)
    >>> integers(1, key_dim=2.5)
    Traceback (most recent call last):
    ValueError: `key_dim` must be an integer of at least 1. Received: 2.5.
    """
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
            raise ValueError(f"`{name}` must be an integer of at least {minimum}. Received: {value!r}.")


def integer_lists(minimum: int, length: int | None = None, **arguments: object) -> None:
    """Refuse an argument that is not a list of ``length`` (None: one or more) integers of at least ``minimum``."""
    for name, values in arguments.items():
        expected = f"integers of at least {minimum}"
        for position, value in enumerate(_checked_list(name, values, length, expected)):
            integers(minimum, **{f"{name}[{position}]": value})


def numbers_in(interval: str, **arguments: object) -> None:
    """Refuse an argument that is not a finite number in an interval.

    Args:
        interval: as in mathematics: ``"[0, 1)"`` holds 0 and not 1.

    Example:

    >>> numbers_in("[0, 1)", dropout=0.5)
    >>> numbers_in("[0, 1)", dropout=float("nan"))
    Traceback (most recent call last):
    ValueError: `dropout` must be a number in [0, 1). Received: nan.
    """
    low, high = (float(edge) for edge in interval[1:-1].split(","))
    for name, value in arguments.items():
        inside = False
        if isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
            number = float(value)
            above = number >= low if interval[0] == "[" else number > low
            inside = above and (number <= high if interval[-1] == "]" else number < high)
        if not inside:
            raise ValueError(f"`{name}` must be a number in {interval}. Received: {value!r}.")


def number_lists(interval: str, length: int | None = None, **arguments: object) -> None:
    """Refuse an argument that is not a list of ``length`` (None: one or more) finite numbers in an interval."""
    for name, values in arguments.items():
        for position, value in enumerate(_checked_list(name, values, length, f"numbers in {interval}")):
            numbers_in(interval, **{f"{name}[{position}]": value})


def _checked_list(name: str, values: object, length: int | None, expected: str) -> Sequence[object]:
    if not isinstance(values, (list, tuple)) or (len(values) != length if length else not values):
        raise ValueError(f"`{name}` must be a tuple of {length or 'one or more'} {expected}. Received: {values!r}.")
    return values


def channels(name: str, shape: Shape) -> int:
    """The channels, the last axis of a shape. Refuse a shape that leaves them open.

    Example:

    >>> channels("nodes", (None, None, 14, 256))
    256
    """
    size = shape[-1]
    if size is None:
        raise ValueError(f"the channels of `{name}` must be known. Received shape: {tuple(shape)}.")
    return size


def seed(value: object) -> None:
    """Refuse a seed that is neither None nor a non-negative integer."""
    if value is not None:
        integers(0, seed=value)


def choice(choices: tuple[object, ...], hint: str = "", **arguments: object) -> None:
    """Refuse an argument that is none of the choices."""
    for name, value in arguments.items():
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {choices}. Received: {value!r}.{hint and ' '}{hint}")


def labels(values: Tensor) -> Tensor:
    """Refuse labels that are not one 0 or 1 per video, ``(B,)`` or ``(B, 1)``.

    The numbers are read where they are at hand, in a list or a NumPy array. Those of a tensor are not.

    Returns:
        The labels; a list as an array.
    """
    if values is None:
        raise ValueError("the labels are missing. Pass one label per video, 0 (normal) or 1 (abnormal), as `y`.")
    if isinstance(values, (list, tuple, numbers.Real)):
        values = np.asarray(values)
    shape = tuple(values.shape)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        raise ValueError(
            f"`labels` must hold one label per video, shape (B,). Received shape: {shape}. "
            "Frame labels are for evaluation only; pass the label of the video."
        )
    if isinstance(values, np.ndarray) and not np.isin(values, (0, 1)).all():
        strange = np.unique(values[~np.isin(values, (0, 1))])[:5].tolist()
        raise ValueError(
            f"`labels` must be 0 (normal) or 1 (abnormal). Received also: {strange}. "
            "Convert them, for example with (labels > 0).astype('int32')."
        )
    return values
