"""HL-Net of Wu et al. [10]: graph convolutions over three graphs of a video, and a causal branch for streams."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import labels_of_bags
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.models.baselines._temporal import (
    cross_entropy,
    mean_over_frames,
    proximity,
    softmax_over_keys,
    top_frames,
    weighted_mean,
    zero_padding,
)
from vad_keras.typing import Shape, Tensor

KERNEL = 5  # frames, of the residual and of the causal convolution


@keras.saving.register_keras_serializable("vad_keras")
class HLNet(Baseline):
    """Score each moment by graphs of similar, near and alike scored frames; an online branch learns from the scores.

    1. One vector per frame, ``x``: patch 0, the whole frame, or the mean over patches; ``(B, T, C)``.
    2. Two dense layers of ``units`` (ReLU), each with dropout: ``f``; ``(B, T, 128)``.
    3. HLC approximator: dense 64 and 32 (ReLU), a causal convolution over 5 frames: the online logits; ``(B, T)``. It
       sees no later frame.
    4. Three graphs, ``(B, T, T)``. Holistic: the softmax over a row of the cosine similarity of ``x``, set to 0 where
       it is not above ``similarity_threshold``. Localized: ``exp(-|i - j| / e)``. Score: the softmax over a row of ``1
       / (1 + exp(-(1 - |p_i - p_j| - 0.5) / 0.1))``, ``p`` the sigmoids of the online logits, without gradient.
    5. A branch for each graph ``A``: twice ``ReLU(A h W + R(h))`` with dropout, ``R`` a convolution over 5 frames at
       first, then the identity; ``(B, T, branch_units)``.
    6. Dense 1 on the three branches together: the logits; ``(B, T)``. The scores are their sigmoids.
    7. Loss: the cross entropy to the label of the video of ``sigmoid(mean of the floor(n / 16) + 1 highest logits)``,
       for the logits and for the online logits, plus ``distillation_weight`` times ``-mean_t p_t log q_t``, the scores
       ``p`` without gradient and ``q`` the online scores.

    ``fit`` takes ``({"nodes", "mask"}, labels)``. The graphs need memory that grows with ``T * T``.

    Differences from the paper, and what it leaves open: how a graph treats padding; here padded frames are no
    neighbours. The range of the localized graph (exponent 1, divisor e), 16 frames for each chosen one, dropout 0.6,
    and the sizes of all layers are those of the authors' code. The distillation loss is one-sided as printed: it asks
    for high online scores where scores are high and nothing where they are low, which the second cross entropy does.
    Their approximator learns at half the rate of the rest; here one rate serves all. All rates fall to a tenth after 10
    epochs there, 310 steps of 128 videos: ``train_detector.drop_steps``.

    Args:
        units: sizes of the two layers of step 2.
        branch_units: size of each branch.
        dropout: rate of steps 2 and 5.
        similarity_threshold: of step 4.
        distillation_weight: of step 7.
        online: report the score of the approximator, which sees no later frame, as the anomaly score.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict of float32: ``"anomaly_score"`` and ``"online_score"`` ``(B, T)`` in [0, 1], ``"logit"`` and
        ``"online_logit"`` ``(B, T)``, ``"patch_score"`` ``(B, T, G)``, the score of the frame repeated. All are 0 in
        padding.

    Raises:
        ValueError: if ``similarity_threshold`` is not in [0, 1), ``patches`` is unknown or the nodes do not have four
            axes.

    Example:

    >>> import numpy as np
    >>> model = HLNet()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape), tuple(outputs["online_score"].shape)
    ((2, 5), (2, 5))

    Reference: [10] Wu et al., Not only look, but also listen: learning multimodal violence detection under weak
    supervision, ECCV 2020; sizes and rates from its code, Roc-Ng/XDVioDet (``model.py``, ``layers.py``, ``train.py``).
    """

    LOSS_TERMS = ("bag_cross_entropy", "online_cross_entropy", "distillation")

    def __init__(
        self,
        units: Sequence[int] = (512, 128),
        branch_units: int = 32,
        dropout: float = 0.6,
        similarity_threshold: float = 0.7,
        distillation_weight: float = 5.0,
        online: bool = False,
        patches: Patches = "first",
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, **kwargs)
        checks.integer_lists(1, units=units)
        checks.integers(1, branch_units=branch_units)
        checks.numbers_in("[0, 1)", dropout=dropout, similarity_threshold=similarity_threshold)
        checks.numbers_in("[0, inf)", distillation_weight=distillation_weight)
        self.units, self.branch_units, self.dropout = tuple(units), branch_units, dropout
        self.similarity_threshold, self.distillation_weight = similarity_threshold, distillation_weight
        self.online = online
        policy = self.dtype_policy
        self.embed = [keras.layers.Dense(size, "relu", dtype=policy) for size in self.units]
        self.dropouts = [keras.layers.Dropout(dropout, dtype=policy) for _ in range(len(self.units) + 6)]
        self.approximator = [keras.layers.Dense(size, "relu", dtype=policy) for size in (64, 32)]
        self.causal = keras.layers.Conv1D(1, KERNEL, padding="causal", dtype="float32")
        self.branches = [[GraphConvolution(branch_units, dtype=policy) for _ in range(2)] for _ in range(3)]
        self.scorer = keras.layers.Dense(1, dtype="float32")

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of all branches."""
        size = _build_in_turn(self.embed, feature_dim)
        self.causal.build((None, None, _build_in_turn(self.approximator, size)))
        for first, second in self.branches:
            first.build((None, None, size))
            second.build((None, None, self.branch_units))
        self.scorer.build((None, None, 3 * self.branch_units))

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Steps 2 to 6."""
        dropouts = iter(self.dropouts)
        h = x
        for dense in self.embed:
            h = next(dropouts)(dense(h), training=training)
        online_logit = self._approximate(h)
        graphs = (self._holistic(x, mask), proximity(mask), self._alike(online_logit, mask))
        found = []
        for graph, branch in zip(graphs, self.branches, strict=True):
            hidden = h
            for layer in branch:
                hidden = next(dropouts)(layer(hidden, graph=graph, mask=mask), training=training)
            found.append(hidden)
        logit = self.scorer(ops.concatenate(found, axis=-1))[..., 0]
        logits = {"logit": zero_padding(logit, mask), "online_logit": zero_padding(online_logit, mask)}
        online_score = zero_padding(ops.sigmoid(online_logit), mask)
        score = online_score if self.online else ops.sigmoid(logit)
        return {spec.ANOMALY_SCORE: score, "online_score": online_score, **logits}

    def _approximate(self, h: Tensor) -> Tensor:
        """Step 3; padding comes after all real frames, where a causal convolution does not look."""
        for dense in self.approximator:
            h = dense(h)
        return self.causal(h)[..., 0]

    def _holistic(self, x: Tensor, mask: Tensor) -> Tensor:
        directions = ops.normalize(x, axis=-1)
        similarity = ops.matmul(directions, ops.transpose(directions, (0, 2, 1)))
        similarity = ops.where(similarity > self.similarity_threshold, similarity, 0.0)
        return softmax_over_keys(similarity, mask)

    @staticmethod
    def _alike(online_logit: Tensor, mask: Tensor) -> Tensor:
        scores = ops.stop_gradient(ops.sigmoid(online_logit))
        likeness = 1.0 - ops.abs(ops.expand_dims(scores, 2) - ops.expand_dims(scores, 1))
        return softmax_over_keys(ops.sigmoid((likeness - 0.5) / 0.1), mask)

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Step 7."""
        labels = labels_of_bags(labels)
        logit, online_logit = outputs["logit"], outputs["online_logit"]
        online_surprise = cross_entropy(1.0, ops.sigmoid(online_logit))  # -log q
        terms = {
            "bag_cross_entropy": _top_mean_cross_entropy(labels, logit, mask),
            "online_cross_entropy": _top_mean_cross_entropy(labels, online_logit, mask),
            "distillation": ops.mean(
                mean_over_frames(ops.stop_gradient(ops.sigmoid(logit)) * online_surprise, mask),
            ),
        }
        total = terms["bag_cross_entropy"] + terms["online_cross_entropy"]
        return {**terms, "total": total + self.distillation_weight * terms["distillation"]}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        names = ("units", "branch_units", "dropout", "similarity_threshold", "distillation_weight", "online")
        return {**super().get_config(), **self.attributes(*names)}


class GraphConvolution(keras.layers.Layer):
    """Step 5 of ``HLNet``: ``ReLU(A h W + R(h))`` for features ``h`` and one of its graphs ``A``."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = units
        self.dense = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy)

    def build(self, input_shape: Shape) -> None:
        """Make the weights for ``(B, T, C)``; the residual needs some where ``C`` is not ``units``."""
        self.dense.build(input_shape)
        self.residual = None
        if input_shape[-1] != self.units:
            self.residual = keras.layers.Conv1D(self.units, KERNEL, padding="same", dtype=self.dtype_policy)
            self.residual.build(input_shape)
        self.built = True

    def call(self, h: Tensor, graph: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, C)``, ``(B, T, T)`` and bool ``(B, T)`` -> ``(B, T, units)``."""
        skip = h if self.residual is None else self.residual(zero_padding(h, mask))
        return ops.relu(ops.matmul(ops.cast(graph, h.dtype), self.dense(h)) + skip)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """``(B, T, units)``."""
        return (*input_shape[:-1], self.units)


def _build_in_turn(layers: Sequence[keras.layers.Dense], size: int) -> int:
    """Build dense layers one behind the other; the size of the last."""
    for dense in layers:
        dense.build((None, None, size))
        size = dense.units
    return size


def _top_mean_cross_entropy(labels: Tensor, logit: Tensor, mask: Tensor) -> Tensor:
    """Mean over videos of the cross entropy of step 7."""
    chosen = top_frames(logit, mask)
    return ops.mean(cross_entropy(labels, ops.sigmoid(weighted_mean(logit, chosen))))
