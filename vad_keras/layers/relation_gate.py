"""Inner-product gate over the positions of a snippet."""

from typing import Any

import keras
from keras import ops

from vad_keras import checks
from vad_keras.spec import precision
from vad_keras.typing import Shape, Tensor


@keras.saving.register_keras_serializable("vad_keras")
class RelationGate(keras.layers.Layer):
    """Re-weigh each position of a snippet's feature maps by its relations to all other positions.

    The paper collects ``gamma(a, a') = psi1(d_a) . psi2(d_a')`` for all ``N = K H W`` positions ``a'``, puts them
    beside the feature ``d_a`` and multiplies by a trainable weight ``[w_d; w]`` of length ``C + N``. This is linear in
    gamma, so the same number comes without the ``N x N`` matrix, in ``O(N C)``:

    1. ``context = sum_a' w_a' psi2(d_a')``, over real frames only: ``(B, E)``;
    2. ``logit_a = d_a . w_d + psi1(d_a) . context + bias``: ``(B, K, H, W)``;
    3. ``output_a = sigmoid(logit_a) d_a``.

    Because psi1 and psi2 are linear, the sum is taken before psi2 and psi1 moves onto the context: neither is applied
    to the maps. ``w_d`` and the bias start at 0 and ``w`` near it: all positions start with a gate near 1/2.

    ``w`` has one entry for each position, so a built gate accepts maps of exactly ``(K, H, W)``: a shorter snippet is
    padded and masked, and frames of another size are resized before the backbone.

    Args:
        embedding_dim: size ``E`` of psi1 and psi2.

    Call arguments:
        maps: ``(B, K, H, W, C)``.
        mask: bool ``(B, K)``, True for real frames. None: all frames are real.

    Output shape:
        Same as ``maps``. Padded frames take no part and pass unchanged.

    Raises:
        ValueError: for an ``embedding_dim`` below 1, or maps that are not 5-D, have unknown ``K``, ``H`` or ``W`` or
            other ones than the gate was built for.

    Example:

    >>> import numpy as np
    >>> tuple(RelationGate(embedding_dim=4)(np.ones((2, 8, 7, 7, 16), "float32")).shape)
    (2, 8, 7, 7, 16)

    Reference:
        Purwanto, Chen, Fang, ICCV 2021, Sec 3.2.
    """

    def __init__(self, embedding_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.integers(1, embedding_dim=embedding_dim)
        self.embedding_dim = embedding_dim
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        sizes = [size for size in input_shape[1:] if size is not None]
        if len(input_shape) != 5 or len(sizes) != 4:
            raise ValueError(
                "`maps` must have shape (B, K, H, W, C), all but B known: the gate has a weight for each position. "
                f"Received: {tuple(input_shape)}."
            )
        frames, height, width, channels = sizes
        positions = frames * height * width
        near_zero = keras.initializers.RandomNormal(stddev=0.1 / positions)
        for name in ("psi1", "psi2"):
            kernel = self.add_weight(name=f"{name}_kernel", shape=(channels, self.embedding_dim))
            bias = self.add_weight(name=f"{name}_bias", shape=(self.embedding_dim,), initializer="zeros")
            setattr(self, f"{name}_kernel", kernel)
            setattr(self, f"{name}_bias", bias)
        self.feature_weight = self.add_weight(name="feature_weight", shape=(channels,), initializer="zeros")
        self.position_weight = self.add_weight(
            name="position_weight", shape=(frames, height, width), initializer=near_zero
        )
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")
        super().build(input_shape)

    def _context(self, maps: Tensor, mask: Tensor | None) -> Tensor:
        """Step 1: ``(B, E)``; psi2 after the sum, which is exact since psi2 is linear."""
        channels = maps.shape[-1]
        weight = ops.reshape(self.position_weight, (1, maps.shape[1], -1))
        if mask is not None:
            weight = weight * ops.cast(mask, weight.dtype)[:, :, None]
        weight = ops.broadcast_to(weight, (ops.shape(maps)[0], *weight.shape[1:]))
        weight = ops.reshape(weight, (-1, 1, weight.shape[1] * weight.shape[2]))
        pooled = ops.matmul(weight, ops.reshape(maps, (-1, weight.shape[2], channels)))[:, 0]
        return ops.matmul(pooled, self.psi2_kernel) + ops.sum(weight, axis=-1) * self.psi2_bias

    def _logits(self, maps: Tensor, context: Tensor) -> Tensor:
        """Step 2: ``(B, K, H, W, 1)`` in float32 at least."""
        frames, height, width, channels = maps.shape[1:]
        direction = self.feature_weight + ops.matmul(context, ops.transpose(self.psi1_kernel))
        offset = ops.matmul(context, self.psi1_bias[:, None]) + self.bias
        flat = ops.reshape(maps, (-1, frames * height * width, channels))
        logits = ops.matmul(flat, direction[:, :, None]) + offset[:, None]
        return ops.cast(ops.reshape(logits, (-1, frames, height, width, 1)), precision(self.compute_dtype))

    def call(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        if tuple(maps.shape[1:4]) != tuple(self.position_weight.shape):
            raise ValueError(
                f"The gate was built for maps of (K, H, W) = {tuple(self.position_weight.shape)}. "
                f"Received: {tuple(maps.shape)}. Pad and mask a short snippet, and resize frames of another size."
            )
        gate = ops.sigmoid(self._logits(maps, self._context(maps, mask)))
        if mask is not None:
            gate = ops.where(ops.cast(mask, "bool")[:, :, None, None, None], gate, 1.0)
        return maps * ops.cast(gate, maps.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "embedding_dim": self.embedding_dim}
