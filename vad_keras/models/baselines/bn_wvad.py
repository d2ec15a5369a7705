"""BN-WVAD of Zhou et al.: how far features lie from the mean of a batch normalisation marks abnormal moments."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import choose_highest, labels_of_bags, mean_of_bags
from vad_keras.models.baselines._attention import GlobalLocalBlock
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.models.baselines._temporal import length_of, zero_padding
from vad_keras.typing import Tensor

EPSILON = 1e-5  # of the batch normalisation


@keras.saving.register_keras_serializable("vad_keras")
class BNWVAD(Baseline):
    """Multiply the score of a classifier of normal moments by the divergence of features from their running mean.

    1. One vector per frame: patch 0, the whole frame, or the mean over patches; ``(B, T, C)``.
    2. Convolution over 3 frames to ``units`` (ReLU), then ``depth`` blocks of global and local self-attention;
       ``(B, T, units)``.
    3. Head: dense of ``units / 16`` (``f1``), batch normalisation, ReLU, dense of ``units / 32`` (``f2``), batch
       normalisation, ReLU, dense 1 (sigmoid): the classifier ``p``; ``(B, T)``.
    4. Divergence from the mean (DFM) of each batch normalisation with running mean ``m`` and variance ``v``:
       ``d = sqrt(sum_c (f_c - m_c)^2 / v_c)``; ``(B, T)``.
    5. Score: ``p (d1 + d2)``, brought into [0, 1] by ``s / (s + sqrt(C1) + sqrt(C2))``, which changes no order; the
       divergence of an ordinary feature of ``C`` channels is about ``sqrt(C)``.
    6. Sample-batch selection, for each ``d``: of abnormal videos the ``sample_share`` of highest ``d`` in each, and the
       ``batch_share`` of highest ``d`` among all their frames of a batch; of normal videos as many, evenly over videos,
       again those of highest ``d``.
    7. Mean-based pull-push loss: ``max(0, d_n - d_a + margin)`` over all pairs of a chosen normal and a chosen abnormal
       frame, mean, times ``layer_weights``, summed over both layers. No gradient passes through ``m`` and ``v``.
    8. Normal loss: the length over time of ``p`` of a normal video, mean over normal videos.

    ``total = normal_weight * normal + pull_push_weight * pull_push``. ``fit`` takes ``({"nodes", "mask"}, labels)``.
    Memory grows with ``T * T``.

    Differences from the paper, and what it leaves open: the score has no upper bound; step 5 gives it one. The authors'
    code pairs chosen frames in the order in which they come; here all pairs of a batch are averaged, so that no order
    matters, and the loss is 0 where a label is missing. Shares and weights are those that their code takes for
    XD-Violence; it has none for UCF-Crime. The self-attention comes from UR-DMU, without dropout. Padded frames enter
    neither the batch statistics nor a choice.

    Args:
        units: size of the features.
        heads, head_dim, mlp_units, depth: of the self-attention.
        dropout: rate in the self-attention.
        head_ratios: ``units`` over the sizes of both layers of the head.
        sample_share, batch_share: of step 6.
        margin, layer_weights: of step 7.
        normal_weight, pull_push_weight: of the total.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict of float32: ``"anomaly_score"`` ``(B, T)`` in [0, 1], ``"classifier_score"``, ``"divergence_1"`` and
        ``"divergence_2"`` ``(B, T)``, ``"patch_score"`` ``(B, T, G)``, the score of the frame repeated. All are 0 in
        padding.

    Raises:
        ValueError: if a share is not in (0, 1], a ratio leaves no unit, ``patches`` is unknown or the nodes do not have
            four axes.

    Example:

    >>> import numpy as np
    >>> model = BNWVAD(units=32, depth=1)
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape)
    (2, 5)

    Reference: Zhou et al., BatchNorm-based weakly supervised video anomaly detection, IEEE TCSVT 2024; sizes, shares
    and weights from its code, cool-xuan/BN-WVAD (``options.py``, ``models/``, ``losses/``).
    """

    LOSS_TERMS = ("normal", "pull_push")

    def __init__(
        self,
        units: int = 512,
        heads: int = 4,
        head_dim: int = 128,
        mlp_units: int = 512,
        depth: int = 2,
        dropout: float = 0.0,
        head_ratios: Sequence[int] = (16, 32),
        sample_share: float = 0.2,
        batch_share: float = 0.4,
        margin: float = 1.0,
        layer_weights: Sequence[float] = (5.0, 20.0),
        normal_weight: float = 1.0,
        pull_push_weight: float = 1.0,
        patches: Patches = "first",
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, **kwargs)
        checks.integers(1, units=units, heads=heads, head_dim=head_dim, mlp_units=mlp_units)
        checks.integers(0, depth=depth)
        checks.numbers_in("[0, 1)", dropout=dropout)
        checks.numbers_in("(0, 1]", sample_share=sample_share, batch_share=batch_share)
        weights = {"normal_weight": normal_weight, "pull_push_weight": pull_push_weight}
        checks.numbers_in("[0, inf)", margin=margin, **weights)
        checks.number_lists("[0, inf)", 2, layer_weights=layer_weights)
        _check_ratios(units, head_ratios)
        self.sizes: dict[str, Any] = {"units": units, "heads": heads, "head_dim": head_dim, "mlp_units": mlp_units}
        self.sizes |= {"depth": depth, "dropout": dropout, "head_ratios": tuple(head_ratios)}
        self.loss_options: dict[str, Any] = {"sample_share": sample_share, "batch_share": batch_share, "margin": margin}
        self.loss_options |= {"layer_weights": tuple(layer_weights)}
        self.term_weights = weights
        policy = self.dtype_policy
        self.embed = keras.layers.Conv1D(units, 3, padding="same", activation="relu", dtype=policy)
        self.blocks = [GlobalLocalBlock(heads, head_dim, mlp_units, dropout, dtype=policy) for _ in range(depth)]
        self.head = [keras.layers.Dense(units // ratio, dtype=policy) for ratio in head_ratios]
        self.norms = [keras.layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, dtype=policy) for _ in head_ratios]
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of all parts."""
        units = self.sizes["units"]
        self.embed.build((None, None, feature_dim))
        for block in self.blocks:
            block.build((None, None, units))
        size = units
        for dense, norm in zip(self.head, self.norms, strict=True):
            dense.build((None, None, size))
            size = dense.units
            norm.build((None, None, size))
        self.scorer.build((None, None, size))

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Steps 2 to 5."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, mask=mask, training=training)
        divergences = []
        for dense, norm in zip(self.head, self.norms, strict=True):
            features = dense(x)
            x = ops.relu(norm(features, training=training, mask=mask))
            divergences.append(zero_padding(_divergence(features, norm), mask))
        classifier = zero_padding(self.scorer(x)[..., 0], mask)
        score = classifier * sum(divergences)
        ordinary = sum(dense.units**0.5 for dense in self.head)
        return {
            spec.ANOMALY_SCORE: score / (score + ordinary),
            "classifier_score": classifier,
            **{f"divergence_{number}": divergence for number, divergence in enumerate(divergences, start=1)},
        }

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Steps 6 to 8."""
        labels = labels_of_bags(labels)
        divergences = (outputs["divergence_1"], outputs["divergence_2"])
        pull_push = [self._pull_push(labels, divergence, mask) for divergence in divergences]
        layer_weights = self.loss_options["layer_weights"]
        terms = {
            "normal": mean_of_bags(length_of(zero_padding(outputs["classifier_score"], mask)), 1.0 - labels),
            "pull_push": sum(w * term for w, term in zip(layer_weights, pull_push, strict=True)),
        }
        weights = self.term_weights.values()
        return {**terms, "total": sum(w * term for w, term in zip(weights, terms.values(), strict=True))}

    def _pull_push(self, labels: Tensor, divergence: Tensor, mask: Tensor) -> Tensor:
        """Step 7 of one layer, ``(B, T)`` -> scalar."""
        abnormal, normal = self._select(labels, divergence, mask)
        divergence, normal, abnormal = (ops.reshape(x, (-1,)) for x in (divergence, normal, abnormal))
        return mean_hinge(divergence, normal, abnormal, self.loss_options["margin"])

    def _select(self, labels: Tensor, divergence: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Step 6: float32 ``(B, T)``, 1 at the chosen frames of abnormal and of normal videos."""
        is_abnormal = ops.expand_dims(labels > 0, 1)
        of_abnormal, of_normal = ops.logical_and(mask, is_abnormal), ops.logical_and(mask, ops.logical_not(is_abnormal))
        in_video = _share_of(of_abnormal, self.loss_options["sample_share"])
        chosen = choose_highest(divergence, of_abnormal, in_video)
        flat = ops.reshape(of_abnormal, (1, -1))
        in_batch = choose_highest(
            ops.reshape(divergence, (1, -1)), flat, _share_of(flat, self.loss_options["batch_share"])
        )
        abnormal = ops.cast(ops.logical_or(chosen, ops.reshape(in_batch, ops.shape(mask))), "float32")
        each = ops.floor(ops.sum(abnormal) / ops.maximum(ops.sum(1.0 - labels), 1.0)) + 1.0
        return abnormal, ops.cast(choose_highest(divergence, of_normal, each), "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        return {**super().get_config(), **self.sizes, **self.loss_options, **self.term_weights}


def mean_hinge(values: Tensor, normal: Tensor, abnormal: Tensor, margin: float) -> Tensor:
    """Mean of ``max(0, values_i - values_j + margin)`` over pairs of a normal i and an abnormal j, by one sort.

    Thresholds ``values_i + margin`` and the ``values_j`` are put in one order; in it, each threshold has the abnormal
    values that cost it something before it, and running sums give their number and their sum.

    Args:
        values: ``(n,)``.
        normal, abnormal: float32 ``(n,)``, 1 for a value that takes part as such, else 0.
        margin: of the hinge.

    Returns:
        float32 scalar; 0 without a pair. Time grows with ``n log n``.
    """
    both = ops.concatenate([values + margin, values])
    none = ops.zeros_like(normal)
    order = ops.argsort(ops.stop_gradient(both))
    both = ops.take(both, order)
    is_threshold = ops.take(ops.concatenate([normal, none]), order)
    is_abnormal = ops.take(ops.concatenate([none, abnormal]), order)
    costs = both * ops.cumsum(is_abnormal) - ops.cumsum(is_abnormal * both)
    return ops.sum(is_threshold * costs) / ops.maximum(ops.sum(normal) * ops.sum(abnormal), 1.0)


def _divergence(features: Tensor, norm: keras.layers.BatchNormalization) -> Tensor:
    """Step 4: ``(B, T, C)`` -> float32 ``(B, T)``."""
    mean, variance = ops.stop_gradient(norm.moving_mean), ops.stop_gradient(norm.moving_variance)
    return length_of((ops.cast(features, "float32") - mean) / ops.sqrt(variance + EPSILON))


def _share_of(real: Tensor, share: float) -> Tensor:
    """Share of the real frames of each row, at least one: bool ``(rows, n)`` -> float32 ``(rows, 1)``."""
    number = ops.sum(ops.cast(real, "float32"), axis=1, keepdims=True)
    return ops.maximum(ops.floor(number * share + 1e-4), 1.0)  # 1e-4: 0.2 * 5 may be a little less than 1 in float32


def _check_ratios(units: int, head_ratios: Sequence[int]) -> None:
    checks.integer_lists(1, 2, head_ratios=head_ratios)
    if min(units // ratio for ratio in head_ratios) < 1:
        raise ValueError(
            f"`head_ratios` must be two numbers of at most units={units}. Received: {tuple(head_ratios)}. "
            "They divide `units` into the sizes of both layers of the head."
        )
