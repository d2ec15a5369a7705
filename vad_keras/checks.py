"""Checks of arguments and labels that every layer, loss, metric and model shares.

Each raises a ``ValueError`` that names the argument, what came and what was expected.
"""

import math
import numbers

import numpy as np


def integers(minimum, **arguments):
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


def integer_lists(minimum, length=None, **arguments):
    """Refuse an argument that is not a list of ``length`` (None: one or more) integers of at least ``minimum``."""
    for name, values in arguments.items():
        _check_list(name, values, length, f"integers of at least {minimum}")
        for position, value in enumerate(values):
            integers(minimum, **{f"{name}[{position}]": value})


def numbers_in(interval, **arguments):
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
        inside = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
        if inside:
            above = value >= low if interval[0] == "[" else value > low
            inside = above and (value <= high if interval[-1] == "]" else value < high)
        if not inside:
            raise ValueError(f"`{name}` must be a number in {interval}. Received: {value!r}.")


def number_lists(interval, length=None, **arguments):
    """Refuse an argument that is not a list of ``length`` (None: one or more) finite numbers in an interval."""
    for name, values in arguments.items():
        _check_list(name, values, length, f"numbers in {interval}")
        for position, value in enumerate(values):
            numbers_in(interval, **{f"{name}[{position}]": value})


def _check_list(name, values, length, expected):
    good = isinstance(values, (list, tuple)) and (len(values) == length if length else len(values) > 0)
    if not good:
        raise ValueError(f"`{name}` must be a tuple of {length or 'one or more'} {expected}. Received: {values!r}.")


def seed(value):
    """Refuse a seed that is neither None nor a non-negative integer."""
    if value is not None:
        integers(0, seed=value)


def choice(choices, hint="", **arguments):
    """Refuse an argument that is none of the choices."""
    for name, value in arguments.items():
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {choices}. Received: {value!r}.{hint and ' '}{hint}")


def labels(values):
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
