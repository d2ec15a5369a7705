"""The surroundings of each frame over a long stretch of time, and whether anything abnormal happens in them."""

from typing import Any, get_args

import keras
from keras import ops

from vad_keras import checks
from vad_keras.cliques import Alignment
from vad_keras.spec import precision
from vad_keras.typing import Shape, Tensor

LENGTH = 10.0  # of the surroundings: at length 1 an optimizer takes thousands of steps to the weights


@keras.saving.register_keras_serializable("vad_keras")
class TemporalContext(keras.layers.Layer):
    """Take the maximum of each channel over the ``W`` frames around each frame.

    Windows of doubled length are built from pairs of shorter ones, so a call takes ``log2(W)`` maxima per element.

    Args:
        frames: ``W``, the length of the window. At the ends of a video the window is cut.
        alignment: ``"centered"``: frames ``t - (W - 1) // 2`` to ``t + W // 2``; ``"causal"``: ``t - W + 1`` to ``t``,
            for streams.

    Call arguments:
        features: ``(B, T, ...)``.
        mask: bool ``(B, T)``, True for real frames. None: all frames are real.

    Output shape:
        Same as ``features``; 0 in padded frames.

    Example:

    >>> import numpy as np
    >>> layer = TemporalContext(frames=3)
    >>> [float(value) for value in layer(np.array([[5.0, 1.0, 0.0, 2.0]], "float32"))[0]]
    [5.0, 5.0, 2.0, 2.0]
    """

    def __init__(self, frames: int, alignment: Alignment = "centered", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.integers(1, frames=frames)
        checks.choice(get_args(Alignment), alignment=alignment)
        self.frames = frames
        self.alignment = alignment
        self.supports_masking = True

    def call(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        lowest = ops.full_like(features, float("-inf"))
        real = None if mask is None else _spread(ops.cast(mask, "bool"), features)
        values = features if real is None else ops.where(real, features, lowest)
        before = self.frames - 1 if self.alignment == "causal" else (self.frames - 1) // 2
        values = _pad(values, before, self.frames - 1 - before)
        length, num_frames = 1, ops.shape(features)[1]
        while 2 * length <= self.frames:  # values[t] is the maximum of `length` frames from t on
            values = ops.maximum(values[:, :-length], values[:, length:])
            length *= 2
        rest = self.frames - length
        values = ops.maximum(values[:, :num_frames], values[:, rest : rest + num_frames])
        return values if real is None else ops.where(real, values, ops.zeros_like(values))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frames": self.frames, "alignment": self.alignment}


@keras.saving.register_keras_serializable("vad_keras")
class ContextScore(keras.layers.Layer):
    """Classify the surroundings of each frame as a whole, ``(B, T, G, C)`` -> ``(B, T)``.

    1. the mean of the nodes over the patches of each frame, ``(B, T, C)``;
    2. the maximum of each channel over the ``W`` frames around each frame (``TemporalContext``), scaled to one length;
    3. a logistic regression with dropout and an L2 penalty.

    A single label per video teaches well whether a video holds an abnormal event, and badly when. So this layer answers
    the first question for a window as long as a video; another score says when (``AnomalyDetector``).

    Args:
        frames: ``W``, the length of the window.
        alignment: ``"centered"`` or ``"causal"``.
        dropout: rate on the channels.
        penalty: of the squared length of the weights, for surroundings of length 1.

    Call arguments:
        nodes: ``(B, T, G, C)``.
        mask: bool ``(B, T)``, True for real frames. None: all frames are real.

    Output shape:
        ``(B, T)`` in [0, 1], float32; 0 in padded frames.

    Example:

    >>> import numpy as np
    >>> tuple(ContextScore(frames=8)(np.ones((2, 5, 3, 6), "float32")).shape)
    (2, 5)
    """

    def __init__(
        self, frames: int, alignment: Alignment = "centered", dropout: float = 0.0, penalty: float = 3e-4, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        checks.numbers_in("[0, 1)", dropout=dropout)
        checks.numbers_in("[0, inf)", penalty=penalty)
        self.penalty = penalty
        self.context = TemporalContext(frames, alignment, dtype=self.dtype_policy, name="context")
        self.unit = keras.layers.UnitNormalization(dtype="float32", name="unit")
        self.dropout = keras.layers.Dropout(dropout, dtype="float32", name="dropout")
        ridge = keras.regularizers.L2(penalty * LENGTH**2)
        self.classifier = keras.layers.Dense(1, kernel_regularizer=ridge, dtype="float32", name="classifier")
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4:
            raise ValueError(f"`nodes` must have shape (B, T, G, C). Received: {tuple(input_shape)}.")
        shape = (*input_shape[:2], input_shape[3])
        self.unit.build(shape)
        self.classifier.build(shape)
        self.built = True

    def call(self, nodes: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        dtype = precision(self.compute_dtype)
        surroundings = self.context(ops.mean(ops.cast(nodes, dtype), axis=2), mask=mask)
        surroundings = self.dropout(LENGTH * self.unit(surroundings), training=training)
        score = ops.sigmoid(self.classifier(surroundings)[..., 0])
        return score if mask is None else ops.where(ops.cast(mask, "bool"), score, 0.0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape[:2])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "frames": self.context.frames,
            "alignment": self.context.alignment,
            "dropout": self.dropout.rate,
            "penalty": self.penalty,
        }


def _pad(values: Tensor, before: int, after: int) -> Tensor:
    """Add frames of minus infinity."""
    widths = [(0, 0), (before, after)] + [(0, 0)] * (len(values.shape) - 2)
    return ops.pad(values, widths, constant_values=float("-inf"))


def _spread(mask: Tensor, features: Tensor) -> Tensor:
    for _ in features.shape[2:]:
        mask = ops.expand_dims(mask, -1)
    return mask
