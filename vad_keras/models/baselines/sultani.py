"""The three-layer network and ranking loss of Sultani et al. [1], the common baseline of the field."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import labels_of_bags
from vad_keras.losses.ranking_mil import Pairing, check_ranking, ranking_mil
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.typing import Tensor


@keras.saving.register_keras_serializable("vad_keras")
class SultaniRanker(Baseline):
    """Score each moment of a video by a small fully connected network, trained to rank videos.

    1. One vector per frame: patch 0, the whole frame, or the mean over patches; ``(B, T, C)``.
    2. L2 normalisation of each vector, as in [1].
    3. Dense 512 (ReLU), dropout, dense 32 (linear, as in the code of [1]), dropout, dense 1 (sigmoid); ``(B, T)``.

    Each moment is scored independently. ``compile`` takes an optimizer only (Adagrad 0.001 in [1], 0.01 in its code).
    The loss is ``ranking_mil`` times the number of abnormal videos in the batch: the code of [1] sums over abnormal
    videos and averages over normal ones. With a mean over both, ``kernel_l2`` would weigh 30 times as much. The terms,
    as means, and the AUC of the bags are reported as metrics. ``fit`` takes ``({"nodes", "mask"}, labels)`` with labels
    ``(B,)``.

    Args:
        units: sizes of the two hidden layers.
        dropout: rate after each hidden layer.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).
        normalize: whether each vector is scaled to length 1.
        kernel_l2: weight of the squared kernels in the loss, 0.001 in the code of [1].
        pairing, margin, sparsity_weight, smoothness_weight: see ``vad_keras.losses.ranking_mil``.

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict: ``"anomaly_score"`` float32 ``(B, T)`` in [0, 1] and ``"patch_score"`` ``(B, T, G)``, the score of the
        frame repeated, since this model does not distinguish patches. Both are 0 in padding.

    Raises:
        ValueError: if ``patches`` or ``pairing`` is unknown or the nodes do not have four axes.

    Example:

    >>> import numpy as np
    >>> model = SultaniRanker()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape)
    (2, 5)

    Reference: [1] Sultani et al., Real-world anomaly detection in surveillance videos, Sec 3 and 5.1.
    """

    LOSS_TERMS = ("ranking", "sparsity", "temporal_smoothness")

    def __init__(
        self,
        units: Sequence[int] = (512, 32),
        dropout: float = 0.6,
        patches: Patches = "first",
        normalize: bool = True,
        kernel_l2: float = 0.001,
        pairing: Pairing = "all",
        margin: float = 1.0,
        sparsity_weight: float = 8e-5,
        smoothness_weight: float = 8e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, normalize, **kwargs)
        checks.integer_lists(1, 2, units=units)
        checks.numbers_in("[0, 1)", dropout=dropout)
        checks.numbers_in("[0, inf)", kernel_l2=kernel_l2)
        check_ranking(pairing, margin, sparsity_weight, smoothness_weight)
        self.units, self.dropout, self.kernel_l2 = tuple(units), dropout, kernel_l2
        self.loss_options: dict[str, Any] = {
            "pairing": pairing,
            "margin": margin,
            "sparsity_weight": sparsity_weight,
            "smoothness_weight": smoothness_weight,
        }
        activations = ("relu", "linear")
        self.hidden = [self._dense(size, activation) for size, activation in zip(self.units, activations, strict=True)]
        self.dropouts = [keras.layers.Dropout(dropout) for _ in self.units]
        self.scorer = self._dense(1, "sigmoid", dtype="float32")

    def _dense(self, units: int, activation: str, dtype: str | None = None) -> keras.layers.Dense:
        regularizer = keras.regularizers.L2(self.kernel_l2) if self.kernel_l2 else None
        return keras.layers.Dense(
            units,
            activation,
            kernel_initializer="glorot_normal",
            kernel_regularizer=regularizer,
            dtype=dtype or self.dtype_policy,
        )

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of the three layers."""
        size = feature_dim
        for dense in (*self.hidden, self.scorer):
            dense.build((None, None, size))
            size = dense.units

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Step 3."""
        for dense, dropout in zip(self.hidden, self.dropouts, strict=True):
            x = dropout(dense(x), training=training)
        return {spec.ANOMALY_SCORE: self.scorer(x)[..., 0]}

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Ranking loss of the batch, summed over abnormal videos."""
        terms = ranking_mil(labels, outputs[spec.ANOMALY_SCORE], mask, **self.loss_options)
        return {**terms, "total": terms["total"] * ops.maximum(ops.sum(labels_of_bags(labels)), 1.0)}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout,
            "kernel_l2": self.kernel_l2,
            **self.loss_options,
        }
