"""The maximum of features over a long stretch of time around each frame."""

import keras
from keras import ops

from vad_keras import checks
from vad_keras.cliques import ALIGNMENTS


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
    >>> layer(np.array([[5.0, 1.0, 0.0, 2.0]], "float32")).tolist()
    [[5.0, 5.0, 2.0, 2.0]]
    """

    def __init__(self, frames, alignment="centered", **kwargs):
        super().__init__(**kwargs)
        checks.integers(1, frames=frames)
        checks.choice(ALIGNMENTS, alignment=alignment)
        self.frames = frames
        self.alignment = alignment
        self.supports_masking = True

    def call(self, features, mask=None):
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

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "frames": self.frames, "alignment": self.alignment}


def _pad(values, before, after):
    """Add frames of minus infinity."""
    widths = [(0, 0), (before, after)] + [(0, 0)] * (len(values.shape) - 2)
    return ops.pad(values, widths, constant_values=float("-inf"))


def _spread(mask, features):
    for _ in features.shape[2:]:
        mask = ops.expand_dims(mask, -1)
    return mask
