"""The temporal multi-instance ranking with attention of Zhu and Newsam [5]."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import labels_of_bags, mean_of_bags
from vad_keras.losses.ranking_mil import Pairing, check_ranking, ranking_mil
from vad_keras.losses.sparsity import sparsity
from vad_keras.losses.temporal_smoothness import temporal_smoothness
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.typing import Tensor

ScoreSource = Literal["scorer", "attended"]


@keras.saving.register_keras_serializable("vad_keras")
class ZhuNewsamAttention(Baseline):
    """Score each moment by a small network; a video is ranked by the attention-weighted sum of its scores.

    1. One vector per frame, scaled to length 1; ``(B, T, C)``.
    2. Scores ``f``: dense 512 (ReLU), dropout, dense 32, dropout, dense 1 (sigmoid), as in [1]; ``(B, T)``.
    3. Attention block ``w``: dense 256 (tanh), dense 1, softmax over the real frames of the video; ``(B, T)``, sum 1.
    4. Score of a video: ``s = sum_t w_t f_t``, ``(B,)``, instead of the maximum of [1]: all moments take part.
    5. Loss: ``max(0, margin - s_abnormal + s_normal)`` over pairs of videos, plus the sparsity and smoothness of ``f``
       in abnormal videos, as in [1].

    ``compile`` takes an optimizer only; ``fit`` takes ``({"nodes", "mask"}, labels)`` with labels ``(B,)``.

    Differences from the paper, and what it leaves open: half of [5] is a motion-aware feature, learned by an
    auto-encoder of optical flow; on fixed features it cannot be had, and this is the other half, the temporal ranking
    model. [5] is cited here from its abstract, which names the attention block and not its size. These are this
    project's choices: the block is the attention of Ilse et al. with 256 hidden units and a softmax over the video;
    what is reported for a moment is ``f`` (``score_from="attended"`` weights it by ``w_t / max w``); sizes, dropout and
    the other weights are those of [1].

    Args:
        units: sizes of the two hidden layers of the scorer.
        attention_units: of the attention block.
        dropout: rate after each hidden layer of the scorer.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).
        normalize: whether each vector is scaled to length 1.
        score_from: ``"scorer"`` reports ``f``, ``"attended"`` reports ``f_t w_t / max_t w_t``. The loss is the same.
        pairing, margin, sparsity_weight, smoothness_weight: see ``vad_keras.losses.ranking_mil``.

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict of float32: ``"anomaly_score"`` ``(B, T)`` in [0, 1], ``"patch_score"`` ``(B, T, G)``, ``"attention"``
        ``(B, T)`` and ``"frame_score"`` ``(B, T)``, the ``f`` of step 2; all are 0 in padding.

    Raises:
        ValueError: if ``patches``, ``pairing`` or ``score_from`` is unknown or the nodes do not have four axes.

    Example:

    >>> import numpy as np
    >>> model = ZhuNewsamAttention()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape), round(float(outputs["attention"][0, 0]), 3)
    ((2, 5), 0.2)

    Reference: [5] Zhu and Newsam, Motion-aware feature for improved video anomaly detection, BMVC 2019; Ilse, Tomczak,
    Welling, Attention-based deep multiple instance learning, ICML 2018; [1] Sultani et al., CVPR 2018.
    """

    LOSS_TERMS = ("ranking", "sparsity", "temporal_smoothness")

    def __init__(
        self,
        units: Sequence[int] = (512, 32),
        attention_units: int = 256,
        dropout: float = 0.6,
        patches: Patches = "first",
        normalize: bool = True,
        score_from: ScoreSource = "scorer",
        pairing: Pairing = "all",
        margin: float = 1.0,
        sparsity_weight: float = 8e-5,
        smoothness_weight: float = 8e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, normalize, **kwargs)
        checks.integer_lists(1, 2, units=units)
        checks.integers(1, attention_units=attention_units)
        checks.numbers_in("[0, 1)", dropout=dropout)
        check_ranking(pairing, margin, sparsity_weight, smoothness_weight)
        checks.choice(get_args(ScoreSource), score_from=score_from)
        self.units, self.attention_units, self.dropout = tuple(units), attention_units, dropout
        self.score_from = score_from
        self.pairing, self.margin = pairing, margin
        self.sparsity_weight, self.smoothness_weight = sparsity_weight, smoothness_weight
        policy = self.dtype_policy
        activations = ("relu", "linear")
        self.hidden = [
            keras.layers.Dense(size, activation, dtype=policy)
            for size, activation in zip(self.units, activations, strict=True)
        ]
        self.dropouts = [keras.layers.Dropout(dropout) for _ in self.units]
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")
        self.attention_hidden = keras.layers.Dense(attention_units, "tanh", dtype=policy)
        self.attention_logit = keras.layers.Dense(1, dtype="float32")

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of the scorer and of the attention block."""
        for layers in ((*self.hidden, self.scorer), (self.attention_hidden, self.attention_logit)):
            size = feature_dim
            for dense in layers:
                dense.build((None, None, size))
                size = dense.units

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Steps 2 and 3."""
        attention = self.attend(x, mask)
        for dense, dropout in zip(self.hidden, self.dropouts, strict=True):
            x = dropout(dense(x), training=training)
        scores = ops.where(mask, self.scorer(x)[..., 0], 0.0)
        reported = scores
        if self.score_from == "attended":
            reported = scores * attention / ops.max(attention, axis=1, keepdims=True)
        return {spec.ANOMALY_SCORE: reported, "frame_score": scores, "attention": attention}

    def attend(self, x: Tensor, mask: Tensor) -> Tensor:
        """Step 3, ``(B, T, C)`` and bool ``(B, T)`` -> float32 ``(B, T)``, 0 in padding."""
        logits = ops.cast(self.attention_logit(self.attention_hidden(x))[..., 0], "float32")
        return ops.where(mask, ops.softmax(ops.where(mask, logits, -1e9), axis=1), 0.0)

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Steps 4 and 5."""
        scores, labels = outputs["frame_score"], labels_of_bags(labels)
        of_video = ops.sum(outputs["attention"] * scores, axis=1, keepdims=True)
        terms = {
            "ranking": ranking_mil(labels, of_video, None, self.pairing, self.margin)["ranking"],
            "sparsity": mean_of_bags(sparsity(scores, mask), labels),
            "temporal_smoothness": mean_of_bags(temporal_smoothness(scores, mask), labels),
        }
        terms["total"] = (
            terms["ranking"]
            + self.sparsity_weight * terms["sparsity"]
            + self.smoothness_weight * terms["temporal_smoothness"]
        )
        return terms

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        names = (
            "units", "attention_units", "dropout", "score_from", "pairing", "margin", "sparsity_weight",
            "smoothness_weight",
        )
        return {**super().get_config(), **self.attributes(*names)}
