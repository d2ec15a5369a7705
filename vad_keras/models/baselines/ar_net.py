"""AR-Net of Wan et al. [48]: a small regressor with a dynamic multiple-instance loss and a centre loss."""

from typing import Any

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import labels_of_bags, mean_of_bags, top_k_weights
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.models.baselines._temporal import cross_entropy, mean_over_frames, weighted_mean
from vad_keras.typing import Tensor


@keras.saving.register_keras_serializable("vad_keras")
class ARNet(Baseline):
    """Regress the anomaly score of each moment by two dense layers, trained on the highest scores of each video.

    1. One vector per frame: patch 0, the whole frame, or the mean over patches; ``(B, T, C)``.
    2. Dense of ``units`` (ReLU), dropout, dense 1 (sigmoid): the scores ``s``; ``(B, T)``.
    3. Dynamic multiple-instance loss: of each video the ``k = ceil(n / alpha)`` highest scores, ``n`` its real frames,
       each with the cross entropy to the label of the video: ``mean_k -(y log s + (1 - y) log(1 - s))``; mean over
       videos.
    4. Centre loss: of each normal video ``mean_t (s_t - c)^2`` with ``c = mean_t s_t``; mean over the normal videos, 0
       without one.

    ``total = dynamic_mil + center_weight * center``. Each moment is scored independently. ``fit`` takes ``({"nodes",
    "mask"}, labels)``.

    Differences from the paper, and what it leaves open: the size of the hidden layer is that of the features in the
    authors' code; the same holds here. Their code averages step 3 over all chosen moments of a batch, so that long
    videos weigh more, and takes the unbiased variance in step 4; here each video counts once and the variance is the
    mean, as the loss is written. The share of chosen moments (``alpha = 4``), the weight of the centre loss (20) and
    dropout 0.7 are theirs.

    Args:
        units: size of the hidden layer; 0: as many as a feature has channels.
        dropout: rate after the hidden layer.
        alpha: one in ``alpha`` moments is averaged per video.
        center_weight: weight of the centre loss.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict: ``"anomaly_score"`` float32 ``(B, T)`` in [0, 1] and ``"patch_score"`` ``(B, T, G)``, the score of the
        frame repeated. Both are 0 in padding.

    Raises:
        ValueError: if ``alpha`` is below 1, ``patches`` is unknown or the nodes do not have four axes.

    Example:

    >>> import numpy as np
    >>> model = ARNet()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape)
    (2, 5)

    Reference: [48] Wan et al., Weakly supervised video anomaly detection via center-guided discriminative learning,
    ICME 2020; sizes and rates from its code, wanboyang/Anomaly_AR_Net_ICME_2020 (``options.py``, ``model.py``).
    """

    LOSS_TERMS = ("dynamic_mil", "center")

    def __init__(
        self,
        units: int = 0,
        dropout: float = 0.7,
        alpha: float = 4,
        center_weight: float = 20.0,
        patches: Patches = "first",
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, **kwargs)
        checks.integers(0, units=units)
        checks.numbers_in("[0, 1)", dropout=dropout)
        checks.numbers_in("[1, inf)", alpha=alpha)
        checks.numbers_in("[0, inf)", center_weight=center_weight)
        self.units, self.alpha, self.center_weight = units, alpha, center_weight
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of the two layers."""
        self.hidden = keras.layers.Dense(self.units or feature_dim, "relu", dtype=self.dtype_policy)
        self.hidden.build((None, None, feature_dim))
        self.scorer.build((None, None, self.hidden.units))

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Step 2."""
        return {spec.ANOMALY_SCORE: self.scorer(self.dropout(self.hidden(x), training=training))[..., 0]}

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Steps 3 and 4."""
        labels, scores = labels_of_bags(labels), outputs[spec.ANOMALY_SCORE]
        surprise = cross_entropy(ops.expand_dims(labels, 1), scores)
        chosen = top_k_weights(scores, mask, 1.0 / self.alpha)
        center = ops.expand_dims(mean_over_frames(scores, mask), 1)
        spread = mean_over_frames(ops.square(scores - center), mask)
        terms = {
            "dynamic_mil": ops.mean(weighted_mean(surprise, chosen)),
            "center": mean_of_bags(spread, 1.0 - labels),
        }
        return {**terms, "total": terms["dynamic_mil"] + self.center_weight * terms["center"]}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout.rate,
            "alpha": self.alpha,
            "center_weight": self.center_weight,
        }
