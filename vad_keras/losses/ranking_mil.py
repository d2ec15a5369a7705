"""The ranking loss of Sultani et al. [1], the usual loss of weakly supervised detection."""

from typing import Any, Literal, get_args

import keras
from keras import ops

from vad_keras import checks
from vad_keras.losses.bags import bag_score, labels_of_bags, mean_of_bags
from vad_keras.losses.sparsity import sparsity
from vad_keras.losses.temporal_smoothness import temporal_smoothness
from vad_keras.typing import Tensor

Pairing = Literal["all", "paired"]


def ranking_mil(
    labels: Tensor,
    scores: Tensor,
    mask: Tensor | None = None,
    pairing: Pairing = "all",
    margin: float = 1.0,
    sparsity_weight: float = 8e-5,
    smoothness_weight: float = 8e-5,
) -> dict[str, Tensor]:
    """Hinge between the highest score of an abnormal and of a normal video, with sparsity and smoothness.

    1. ``ranking``: mean over pairs (a, n) of ``max(0, margin - max_t scores_a + max_t scores_n)``.
    2. ``sparsity``, ``temporal_smoothness``: mean over the abnormal videos, as in [1].

    ``total = ranking + sparsity_weight * sparsity + smoothness_weight * temporal_smoothness``. Abnormal and normal
    videos are distinguished by ``labels``, never by position.

    Args:
        labels: ``(B,)``, 1 for an abnormal video and 0 for a normal one.
        scores: anomaly scores in [0, 1], ``(B, T, ...)``.
        mask: boolean ``(B, T)``, True for a real frame; ``None`` when all are real.
        pairing: ``"all"`` takes every abnormal with every normal video, ``"paired"`` the i-th abnormal with the i-th
            normal one; a video without a partner is then ignored.
        margin: of the hinge.
        sparsity_weight: 8e-5 in [1].
        smoothness_weight: 8e-5 in [1].

    Returns:
        dict of float32 scalars: ``ranking``, ``sparsity``, ``temporal_smoothness`` (each before its weight) and
        ``total``. ``ranking`` is 0 when the batch has no pair.

    Raises:
        ValueError: if the shapes do not fit or ``pairing`` is unknown.

    Example:

    >>> import numpy as np
    >>> terms = ranking_mil(np.array([0, 1]), np.array([[0.25, 0.0], [0.0, 0.5]]))
    >>> {name: round(float(value), 6) for name, value in terms.items()}
    {'ranking': 0.75, 'sparsity': 0.5, 'temporal_smoothness': 0.25, 'total': 0.75006}

    Reference: [1] Sultani et al., Real-world anomaly detection in surveillance videos, Eq. 6, 7.
    """
    check_ranking(pairing, margin, sparsity_weight, smoothness_weight)
    labels = labels_of_bags(labels)
    highest = bag_score(scores, mask, k=1)
    hinge = ops.relu(margin - ops.expand_dims(highest, 1) + ops.expand_dims(highest, 0))  # (abnormal, normal)
    pairs = _pairs(labels, pairing)
    terms = {
        "ranking": ops.sum(hinge * pairs) / ops.maximum(ops.sum(pairs), 1.0),
        "sparsity": mean_of_bags(sparsity(scores, mask), labels),
        "temporal_smoothness": mean_of_bags(temporal_smoothness(scores, mask), labels),
    }
    terms["total"] = (
        terms["ranking"] + sparsity_weight * terms["sparsity"] + smoothness_weight * terms["temporal_smoothness"]
    )
    return terms


def _pairs(labels: Tensor, pairing: Pairing) -> Tensor:
    """``(B, B)``, 1 where row (abnormal) and column (normal) are compared. A mask, so that shapes stay static."""
    pairs = ops.expand_dims(labels, 1) * ops.expand_dims(1.0 - labels, 0)
    if pairing == "paired":
        abnormal_number = ops.expand_dims(ops.cumsum(labels), 1)
        normal_number = ops.expand_dims(ops.cumsum(1.0 - labels), 0)
        pairs = pairs * ops.cast(ops.equal(abnormal_number, normal_number), "float32")
    return pairs


def check_ranking(pairing: str, margin: float, sparsity_weight: float, smoothness_weight: float) -> None:
    """Raise a ``ValueError`` unless these are arguments of ``ranking_mil``."""
    checks.choice(get_args(Pairing), "Use 'all' as in the code of [1].", pairing=pairing)
    weights = {"sparsity_weight": sparsity_weight, "smoothness_weight": smoothness_weight}
    checks.numbers_in("[0, inf)", margin=margin, **weights)


@keras.saving.register_keras_serializable("vad_keras")
class RankingMIL(keras.losses.Loss):
    """``ranking_mil`` for ``compile(loss=...)`` of a model with one output, ``(B, T, ...)``, without a mask.

    Args:
        pairing, margin, sparsity_weight, smoothness_weight: see ``ranking_mil``.
        name, dtype: as in ``keras.losses.Loss``. The value is one number for the batch, so there is no ``reduction``.

    Raises:
        ValueError: if ``pairing`` is unknown.

    Example:

    >>> import numpy as np
    >>> loss = RankingMIL(sparsity_weight=0.0, smoothness_weight=0.0)
    >>> float(loss(np.array([0.0, 1.0]), np.array([[0.25, 0.0], [0.0, 0.5]])))
    0.75

    Reference: [1] Sultani et al., Real-world anomaly detection in surveillance videos, Eq. 6, 7.
    """

    def __init__(
        self,
        pairing: Pairing = "all",
        margin: float = 1.0,
        sparsity_weight: float = 8e-5,
        smoothness_weight: float = 8e-5,
        name: str = "ranking_mil",
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name=name, reduction="sum_over_batch_size", dtype=dtype)
        check_ranking(pairing, margin, sparsity_weight, smoothness_weight)
        self.pairing, self.margin = pairing, margin
        self.sparsity_weight, self.smoothness_weight = sparsity_weight, smoothness_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Labels ``(B,)`` and scores ``(B, T, ...)`` -> scalar."""
        options = {name: value for name, value in self.get_config().items() if name not in ("name", "dtype")}
        return ranking_mil(y_true, y_pred, **options)["total"]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the loss."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "pairing": self.pairing,
            "margin": self.margin,
            "sparsity_weight": self.sparsity_weight,
            "smoothness_weight": self.smoothness_weight,
        }
