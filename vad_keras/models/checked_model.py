"""What every model checks before it starts: its inputs and the labels at hand. A failed call changes nothing."""

import difflib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vad_keras import checks
from vad_keras.typing import Tensor


class CheckedModel(keras.Model):
    """A model that refuses wrong inputs and labels before it makes a weight.

    ``check_inputs`` runs whenever the model is called. ``fit``, ``evaluate``, ``train_on_batch`` and ``test_on_batch``
    also check labels that are arrays. Of other sources, such as a ``tf.data.Dataset``, the numbers are not known before
    the step runs: a label other than 0 and 1 then makes the loss NaN.
    """

    def check_inputs(self, inputs: Any) -> None:
        """Raise a ``ValueError`` for inputs that the model cannot read."""

    def check_weights(self, class_weight: dict[int, float] | None = None, sample_weight: Tensor | None = None) -> None:
        """Raise a ``ValueError`` for weights of videos that the loss cannot use."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the model on inputs that fit."""
        self.check_inputs(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def _checked(self, method: Callable[..., Any], x: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method of ``keras.Model`` once its data is checked."""
        given = inspect.signature(method).bind(x, y, *args, **kwargs).arguments
        self.check_weights(given.get("class_weight"), given.get("sample_weight"))
        y = self._check_data(x, y)
        validation = given.get("validation_data")
        if isinstance(validation, (tuple, list)):
            self._check_data(*validation[:2])
        return method(x, y, *args, **kwargs)

    def _check_data(self, x: Any, y: Any) -> Any:
        """Check what is at hand; a data set or a generator is not opened."""
        if not _at_hand(x):
            return y
        self.check_inputs(x)
        if hasattr(y, "shape") and not isinstance(y, np.ndarray):
            y = np.asarray(ops.convert_to_numpy(y))
        return checks.labels(y)

    @functools.wraps(keras.Model.fit)
    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        return self._checked(super().fit, x, y, *args, **kwargs)

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self._checked(super().evaluate, x, y, *args, **kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        if _at_hand(x):
            self.check_inputs(x)
        return super().predict(x, *args, **kwargs)

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self._checked(super().train_on_batch, x, y, *args, **kwargs)

    @functools.wraps(keras.Model.test_on_batch)
    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self._checked(super().test_on_batch, x, y, *args, **kwargs)


def _at_hand(x: object) -> bool:
    """Whether these are inputs, and not a data set or a generator of them."""
    return isinstance(x, (dict, list, tuple)) or hasattr(x, "shape")


def check_keys(inputs: object, known: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse inputs of a model that are not a dict of tensors under known keys, ``needed`` among them.

    Args:
        inputs: what the model was called with.
        known: the keys that the model reads.
        needed: keys of which at least one must be there.
    """
    first = needed[0]
    if not isinstance(inputs, dict):
        raise ValueError(
            f"the inputs must be a dict with the key '{first}'. Received: {_describe(inputs)}. "
            f"Pass {{'{first}': array}}, and the mask of real frames as 'mask'."
        )
    for key in inputs:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"The model reads {', '.join(map(repr, known))}."
            raise ValueError(f"unknown key {key!r} in the inputs. {hint}")
    if not any(inputs.get(key) is not None for key in needed):
        raise ValueError(f"the inputs lack the key {' or '.join(map(repr, needed))}. Received: {sorted(inputs)}.")
    for key, value in inputs.items():
        if value is not None and not hasattr(value, "shape"):
            raise ValueError(f"`{key}` must be an array or a tensor. Received: {_describe(value)}. Use numpy.asarray.")


def check_features(name: str, values: Tensor, axes: str, hint: str = "") -> None:
    """Refuse features that are not numbers, or do not have the axes written as ``"(B, T, G, C)"``."""
    shape = tuple(values.shape)
    if len(shape) != axes.count(",") + 1:
        raise ValueError(f"`{name}` must have shape {axes}. Received: {shape}.{hint and ' '}{hint}")
    dtype, kind = _dtype_of(values)
    if kind not in ("float", "int"):
        raise ValueError(f"`{name}` must hold numbers. Received: {dtype}. Convert it to float32.")


def check_mask(mask: Tensor, name: str, values: Tensor) -> None:
    """Refuse a mask that is not boolean (or 0 and 1 as integers) of the first two axes of ``values``.

    Tensors of floats pass, nonzero is a real frame: Keras traces a SavedModel with floats for every input.
    """
    shape, expected = tuple(mask.shape), tuple(values.shape[:2])
    differ = any(None not in (a, b) and a != b for a, b in zip(shape, expected, strict=False))
    if len(shape) != 2 or differ:
        raise ValueError(
            f"`mask` must have the first two axes of `{name}`, {expected}. Received shape: {shape}. "
            "Pass one boolean per frame, True for a real frame."
        )
    dtype, kind = _dtype_of(mask)
    if kind == "other" or (kind == "float" and isinstance(mask, np.ndarray)):
        raise ValueError(
            f"`mask` must be boolean, True for a real frame. Received: {dtype}. Convert it with mask.astype(bool)."
        )


def _dtype_of(values: Tensor) -> tuple[str, str]:
    """The type of an array or tensor and its kind, ``"float"``, ``"int"``, ``"bool"`` or ``"other"``."""
    try:
        dtype = keras.backend.standardize_dtype(values.dtype)
    except ValueError:  # an array of texts or of objects
        return str(values.dtype), "other"
    return dtype, next((kind for kind in ("float", "int", "bool") if kind in dtype), "other")


def _describe(value: object) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array of shape {tuple(shape)}"
