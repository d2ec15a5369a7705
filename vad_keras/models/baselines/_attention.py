"""The transformer block of UR-DMU, which BN-WVAD reuses: each frame attends to all frames and to its neighbours."""

from typing import Any

import keras
from keras import ops

from vad_keras import checks
from vad_keras.models.baselines._temporal import proximity, softmax_over_keys, zero_padding
from vad_keras.typing import Shape, Tensor


class GlobalLocalBlock(keras.layers.Layer):
    """Multi-head self-attention with a global and a local part, then a feed-forward network, both residual.

    1. ``q, k, v, t = LayerNorm(x) W``; ``(B, T, heads, head_dim)`` each, no bias.
    2. Global: ``softmax(q k' / sqrt(head_dim)) v``. Local: ``A t`` with ``A_ij`` proportional to ``exp(-|i - j| / e)``,
       rows summing to 1.
    3. ``x + Dropout([global, local] W_o)``; ``(B, T, C)``.
    4. ``x + MLP(LayerNorm(x))`` with one hidden layer of ``mlp_units`` and GELU.

    Args:
        heads, head_dim: of the attention.
        mlp_units: hidden size of step 4.
        dropout: rate after both parts and in step 4.

    Call arguments:
        x: ``(B, T, C)``.
        mask: bool ``(B, T)``; padded frames are neither keys nor neighbours.

    Output shape:
        ``(B, T, C)``, 0 in padding.

    Raises:
        ValueError: if ``heads`` or ``head_dim`` is below 1.

    Example:

    >>> import numpy as np
    >>> block = GlobalLocalBlock(heads=2, head_dim=3, mlp_units=5)
    >>> tuple(block(np.ones((2, 4, 6), "float32"), mask=np.ones((2, 4), bool)).shape)
    (2, 4, 6)

    Reference: Zhou et al., Dual memory units with uncertainty regulation for weakly supervised video anomaly
    detection, AAAI 2023, "Global and local feature learning".
    """

    def __init__(self, heads: int, head_dim: int, mlp_units: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.integers(1, heads=heads, head_dim=head_dim, mlp_units=mlp_units)
        checks.numbers_in("[0, 1)", dropout=dropout)
        self.supports_masking = True
        self.heads, self.head_dim, self.mlp_units = heads, head_dim, mlp_units
        policy = self.dtype_policy
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-5, dtype=policy) for _ in range(2)]
        self.to_qkvt = keras.layers.Dense(4 * heads * head_dim, use_bias=False, dtype=policy)
        self.expand = keras.layers.Dense(mlp_units, activation="gelu", dtype=policy)
        self.dropouts = [keras.layers.Dropout(dropout, dtype=policy) for _ in range(3)]

    def build(self, input_shape: Shape) -> None:
        """Make the weights for ``(B, T, C)``."""
        units = checks.channels("x", input_shape)
        shape = (None, None, units)
        for norm in self.norms:
            norm.build(shape)
        self.to_qkvt.build(shape)
        self.join = keras.layers.Dense(units, dtype=self.dtype_policy)
        self.join.build((None, None, 2 * self.heads * self.head_dim))
        self.expand.build(shape)
        self.contract = keras.layers.Dense(units, dtype=self.dtype_policy)
        self.contract.build((None, None, self.mlp_units))
        self.built = True

    def call(self, x: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Steps 1 to 4."""
        x = x + self.dropouts[0](self._attend(self.norms[0](x), mask), training=training)
        hidden = self.dropouts[1](self.expand(self.norms[1](x)), training=training)
        return zero_padding(x + self.dropouts[2](self.contract(hidden), training=training), mask)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        """Steps 1 to 3, before the residual."""
        batch, num_frames = ops.shape(x)[:2]
        qkvt = ops.reshape(self.to_qkvt(x), (batch, num_frames, 4, self.heads, self.head_dim))
        q, k, v, t = (ops.transpose(qkvt[:, :, part], (0, 2, 1, 3)) for part in range(4))  # (B, heads, T, head_dim)
        energies = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) * self.head_dim**-0.5
        weights = ops.cast(softmax_over_keys(energies, mask), x.dtype)
        near = proximity(mask)
        near = near / ops.maximum(ops.sum(near, axis=-1, keepdims=True), 1e-7)
        near = ops.expand_dims(ops.cast(near, x.dtype), 1)
        both = ops.concatenate([ops.matmul(weights, v), ops.matmul(near, t)], axis=-1)
        both = ops.reshape(ops.transpose(both, (0, 2, 1, 3)), (batch, num_frames, 2 * self.heads * self.head_dim))
        return self.join(both)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return tuple(input_shape)
