"""The graph convolutional label noise cleaner of Zhong et al. [2], beside the classifier it cleans labels for."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vad_keras import checks, cliques, spec
from vad_keras.losses.bag_cross_entropy import bag_cross_entropy
from vad_keras.losses.bags import labels_of_bags, spread_mask, top_k_weights
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.models.baselines._temporal import mean_over_frames
from vad_keras.typing import Shape, Tensor


class LabelNoiseCleaner(keras.layers.Layer):
    """Two graph convolutional branches over the frames of a video, ``(B, T, C)`` -> logits ``(B, T)``.

    Time is cut into graphs of ``graph_frames`` frames. A layer computes ``D^-1/2 A D^-1/2 X W``, with a ReLU between
    the two layers of a branch; the branches differ in the edges:

    * feature similarity: ``A_ij = exp(x_i . x_j - max_k x_i . x_k)``;
    * temporal consistency: ``A_ij = exp(-|i - j|)``.

    Args:
        units: of the two dense layers, and of the hidden layer of both branches.
        dropout: rate after each dense layer.
        graph_frames: largest graph.
    """

    def __init__(self, units: Sequence[int], dropout: float, graph_frames: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.dropout, self.graph_frames = units, dropout, graph_frames
        self.compress = [keras.layers.Dense(size, "relu", dtype=self.dtype_policy) for size in units[:2]]
        self.dropouts = [keras.layers.Dropout(dropout) for _ in self.compress]
        self.similarity_kernels = self._branch()
        self.consistency_kernels = self._branch()

    def dense_layers(self) -> tuple[keras.layers.Dense, ...]:
        """All layers with weights."""
        return (*self.compress, *self.similarity_kernels, *self.consistency_kernels)

    def _branch(self) -> list[keras.layers.Dense]:
        return [keras.layers.Dense(size, use_bias=False, dtype=self.dtype_policy) for size in (self.units[2], 1)]

    def build(self, input_shape: Shape) -> None:
        """Make the weights for vectors of ``(B, T, C)``."""
        size = input_shape[-1]
        for dense in self.compress:
            dense.build((None, None, size))
            size = dense.units
        for first, second in (self.similarity_kernels, self.consistency_kernels):
            first.build((None, None, None, size))
            second.build((None, None, None, first.units))
        self.built = True

    def call(self, x: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """``(B, T, C)`` and bool ``(B, T)`` -> float32 ``(B, T)``."""
        for dense, dropout in zip(self.compress, self.dropouts, strict=True):
            x = dropout(dense(x), training=training)
        num_frames = ops.shape(mask)[1]
        real = cliques.split_blocks(mask[:, :, None], self.graph_frames)  # (B, N, S, 1)
        pairs = ops.logical_and(real, ops.swapaxes(real, 2, 3))
        x = ops.where(real, cliques.split_blocks(ops.cast(x, "float32"), self.graph_frames), 0.0)
        similar = propagate(similarity_edges(x, pairs), x, self.similarity_kernels)
        near = propagate(consistency_edges(pairs), x, self.consistency_kernels)
        return cliques.join_blocks((similar + near) / 2.0, num_frames)[..., 0]


def similarity_edges(x: Tensor, pairs: Tensor) -> Tensor:
    """Feature similarity graph, ``(B, N, S, F)`` -> ``(B, N, S, S)``; 0 outside ``pairs``."""
    products = ops.matmul(x, ops.swapaxes(x, 2, 3))
    highest = ops.max(ops.where(pairs, products, -1e9), axis=3, keepdims=True)
    return ops.where(pairs, ops.exp(ops.where(pairs, products - highest, 0.0)), 0.0)


def consistency_edges(pairs: Tensor) -> Tensor:
    """Temporal consistency graph, ``(B, N, S, S)``; 0 outside ``pairs``."""
    frame = ops.arange(pairs.shape[3], dtype="float32")
    return ops.where(pairs, ops.exp(-ops.abs(frame[:, None] - frame)), 0.0)


def propagate(edges: Tensor, x: Tensor, kernels: Sequence[keras.layers.Dense]) -> Tensor:
    """Two graph convolutions with a ReLU between, ``(B, N, S, S)`` and ``(B, N, S, F)`` -> float32 ``(B, N, S, 1)``."""
    degrees = ops.sum(edges, axis=3, keepdims=True)
    scale = ops.where(degrees > 0, ops.rsqrt(ops.where(degrees > 0, degrees, 1.0)), 0.0)
    edges = scale * edges * ops.swapaxes(scale, 2, 3)
    first, second = kernels
    hidden = ops.relu(ops.matmul(edges, ops.cast(first(x), "float32")))
    return ops.matmul(edges, ops.cast(second(hidden), "float32"))


@keras.saving.register_keras_serializable("vad_keras")
class ZhongLabelCleaner(Baseline):
    """Score each moment by a classifier whose noisy labels a graph convolutional network cleans while it trains.

    1. One vector per frame, scaled to length 1; ``(B, T, C)``.
    2. Classifier: dense 512 (ReLU), dropout, dense 1 (sigmoid); ``p``, ``(B, T)``. It alone gives the scores.
    3. Cleaner: dense 512 and 128 (ReLU, dropout), then a feature similarity and a temporal consistency branch of two
       graph convolutions, 32 and 1, whose logits are averaged, sigmoid; ``q``, ``(B, T)``. See ``LabelNoiseCleaner``.
    4. Ensemble: the same cleaner with an exponential moving average of its weights; ``e``, ``(B, T)``.
    5. Loss of the classifier: cross-entropy of ``p`` to labels without gradient: first the label of the video at every
       frame; once a cleaner has been trained 0 in normal and ``(q - min q) / (max q - min q)`` in abnormal videos.
    6. Loss of the cleaner: direct supervision, cross-entropy of ``q`` to ``p`` without gradient at the share of frames
       of an abnormal video where ``|p - 1/2|`` is largest, and to 0 at every frame of a normal video; indirect
       supervision, ``mean |q - e|`` in abnormal videos and 0 in normal ones.

    The alternation of [2] runs inside one ``fit``, by a counter of training steps that is saved with the model:
    ``warmup_steps`` train the classifier on video labels, then cleaner and classifier take turns of ``phase_steps``,
    the cleaner first. The loss of the part whose turn it is not is multiplied by 0. So that a validation loss does not
    jump with the phases, it is ``bag_cross_entropy`` of ``p`` at all times. ``compile`` takes an optimizer only;
    ``fit`` takes ``({"nodes", "mask"}, labels)`` with labels ``(B,)``.

    Differences from the paper, and what it leaves open: the action classifier of [2] is C3D or TSN, trained end to
    end; here it is a head on the vectors. [2] takes the 30 % of snippets whose predictions differ least between ten
    crops for confident; one vector has no crops, so distance from 1/2 stands in. [2] averages the past predictions of
    each video, half and half every epoch; bags are sampled again and carry no identity, so weights are averaged instead
    (mean teacher); its momentum halves in 14 steps, a fraction of a turn. Layer sizes, edges, dropout, the rescaled
    labels, both supervisions and their equal weight are those of the authors' code
    (github.com/jx-zhong-for-academic-purpose/GCN-Anomaly-Detection), which cuts graphs at 4,000 confident snippets;
    ``graph_frames`` is 256 here. The lengths of the phases and the width of the classifier are this project's choices.

    Args:
        units: hidden layer of the classifier.
        cleaner_units: two dense layers and the hidden graph convolution of the cleaner.
        dropout: rate after each dense layer.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).
        normalize: whether each vector is scaled to length 1.
        graph_frames: consecutive frames that share a graph.
        confident_share: share of the frames of an abnormal video that supervise the cleaner directly.
        ensemble_momentum: of the moving average of step 4.
        indirect_weight: of the indirect supervision.
        warmup_steps, phase_steps: training steps, see above.

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame; padding is at the end.

    Output shape:
        dict of float32: ``"anomaly_score"`` ``(B, T)`` in [0, 1], ``"patch_score"`` ``(B, T, G)``, ``"cleaned_label"``
        (q) and ``"ensembled_label"`` (e), both ``(B, T)`` in [0, 1]; all are 0 in padding.

    Raises:
        ValueError: if ``patches`` is unknown, ``confident_share`` is no share, ``phase_steps`` or ``graph_frames`` is
            not positive or the nodes do not have four axes.

    Example:

    >>> import numpy as np
    >>> model = ZhongLabelCleaner()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape), tuple(outputs["cleaned_label"].shape)
    ((2, 5), (2, 5))

    Reference: [2] Zhong et al., Graph convolutional label noise cleaner: Train a plug-and-play action classifier for
    anomaly detection, CVPR 2019; Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017.
    """

    LOSS_TERMS = ("classification", "direct", "indirect", "bag_cross_entropy")

    def __init__(
        self,
        units: int = 512,
        cleaner_units: Sequence[int] = (512, 128, 32),
        dropout: float = 0.6,
        patches: Patches = "first",
        normalize: bool = True,
        graph_frames: int = 256,
        confident_share: float = 0.3,
        ensemble_momentum: float = 0.95,
        indirect_weight: float = 1.0,
        warmup_steps: int = 200,
        phase_steps: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, normalize, **kwargs)
        checks.integers(1, units=units, phase_steps=phase_steps, graph_frames=graph_frames)
        checks.integers(0, warmup_steps=warmup_steps)
        checks.integer_lists(1, 3, cleaner_units=cleaner_units)
        checks.numbers_in("[0, 1)", dropout=dropout)
        checks.numbers_in("(0, 1]", confident_share=confident_share)
        checks.numbers_in("[0, 1]", ensemble_momentum=ensemble_momentum)
        checks.numbers_in("[0, inf)", indirect_weight=indirect_weight)
        self.units, self.cleaner_units, self.dropout = units, tuple(cleaner_units), dropout
        self.graph_frames, self.confident_share = graph_frames, float(confident_share)
        self.ensemble_momentum, self.indirect_weight = ensemble_momentum, indirect_weight
        self.warmup_steps, self.phase_steps = warmup_steps, phase_steps
        self.hidden = keras.layers.Dense(units, "relu", dtype=self.dtype_policy)
        self.hidden_dropout = keras.layers.Dropout(dropout)
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")
        options = {"dropout": dropout, "graph_frames": graph_frames, "dtype": self.dtype_policy}
        self.cleaner = LabelNoiseCleaner(self.cleaner_units, **options)
        self.ensemble = LabelNoiseCleaner(self.cleaner_units, **options)
        for twin, layer in zip(self.ensemble.dense_layers(), self.cleaner.dense_layers(), strict=True):
            twin.kernel_initializer = layer.kernel_initializer  # one seed, so that the average starts as a copy

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights."""
        self.hidden.build((None, None, feature_dim))
        self.scorer.build((None, None, self.units))
        self.cleaner.build((None, None, feature_dim))
        self.ensemble.build((None, None, feature_dim))
        self.ensemble.trainable = False
        self.steps = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="steps")

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Steps 2 to 4; in training the counter goes on and the average moves."""
        if training:
            self.steps.assign(self.steps + 1)
            self._move_average()
        hidden = self.hidden_dropout(self.hidden(x), training=training)
        cleaned = ops.sigmoid(self.cleaner(x, mask, training=training))
        ensembled = ops.sigmoid(ops.stop_gradient(self.ensemble(x, mask, training=False)))
        return {
            spec.ANOMALY_SCORE: self.scorer(hidden)[..., 0],
            "cleaned_label": ops.where(mask, cleaned, 0.0),
            "ensembled_label": ops.where(mask, ensembled, 0.0),
        }

    def _move_average(self) -> None:
        for average, weight in zip(self.ensemble.weights, self.cleaner.weights, strict=True):
            moved = self.ensemble_momentum * average + (1.0 - self.ensemble_momentum) * weight
            average.assign(ops.stop_gradient(moved))

    def turns(self) -> tuple[Tensor, Tensor]:
        """Whose turn it is, from the counter: float32 scalars in {0, 1}, warm-up and cleaner."""
        done = ops.maximum(self.steps - 1, 0)  # before this step
        warmup = done < self.warmup_steps
        phase = ops.maximum(done - self.warmup_steps, 0) // self.phase_steps
        cleaner = ops.logical_and(ops.logical_not(warmup), ops.equal(phase % 2, 0))
        return ops.cast(warmup, "float32"), ops.cast(cleaner, "float32")

    def classifier_labels(self, labels: Tensor, cleaned: Tensor, mask: Tensor) -> Tensor:
        """Step 5 after the warm-up, ``(B,)``, ``(B, T)``, bool ``(B, T)`` -> float32 ``(B, T)`` without gradient."""
        lowest = ops.min(ops.where(mask, cleaned, 1.0), axis=1, keepdims=True)
        span = ops.max(ops.where(mask, cleaned, 0.0), axis=1, keepdims=True) - lowest
        spread = (cleaned - lowest) / ops.where(span > 0, span, 1.0)
        return ops.stop_gradient(ops.where(span > 0, spread, 1.0) * labels[:, None])

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Steps 5 and 6: means over frames, then over videos; ``validation`` is the loss that no phase changes."""
        labels, scores = labels_of_bags(labels), outputs[spec.ANOMALY_SCORE]
        cleaned, mask = outputs["cleaned_label"], spread_mask(scores, mask)
        warmup, cleaner = self.turns()
        targets = warmup * labels[:, None] + (1.0 - warmup) * self.classifier_labels(labels, cleaned, mask)
        every = top_k_weights(scores, mask, "mean")
        given = ops.stop_gradient(scores)
        confident = top_k_weights(ops.abs(given - 0.5), mask, self.confident_share)
        direct = ops.where(labels[:, None] > 0.5, confident, every) * _cross_entropy(given * labels[:, None], cleaned)
        apart = ops.abs(cleaned - ops.stop_gradient(outputs["ensembled_label"]))
        terms = {
            "classification": ops.mean(mean_over_frames(_cross_entropy(targets, scores), mask)),
            "direct": ops.mean(ops.sum(direct, axis=1)),
            "indirect": ops.mean(labels * mean_over_frames(apart, mask)),
            "bag_cross_entropy": ops.mean(bag_cross_entropy(labels, scores, mask)),
        }
        of_cleaner = terms["direct"] + self.indirect_weight * terms["indirect"]
        terms["total"] = (1.0 - cleaner) * terms["classification"] + cleaner * of_cleaner
        terms["validation"] = terms["bag_cross_entropy"]
        return terms

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        names = (
            "units", "cleaner_units", "dropout", "graph_frames", "confident_share", "ensemble_momentum",
            "indirect_weight", "warmup_steps", "phase_steps",
        )
        return {**super().get_config(), **self.attributes(*names)}


def _cross_entropy(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Elementwise, finite at 0 and 1."""
    epsilon = keras.config.epsilon()
    probabilities = ops.clip(probabilities, epsilon, 1.0 - epsilon)
    return -(targets * ops.log(probabilities) + (1.0 - targets) * ops.log(1.0 - probabilities))
