"""The self-reasoning network of Zaheer et al. [8]: pseudo labels from two clusters of a video's features."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import labels_of_bags, mean_of_bags, spread_mask
from vad_keras.losses.sparsity import sparsity
from vad_keras.losses.temporal_smoothness import temporal_smoothness
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.models.baselines._temporal import mean_over_frames
from vad_keras.models.baselines._two_means import clustering_loss, two_means
from vad_keras.typing import Tensor


@keras.saving.register_keras_serializable("vad_keras")
class ZaheerSelfReasoning(Baseline):
    """Score each moment by a small network that is trained on pseudo labels from clustering.

    1. One vector per frame, scaled to length 1; ``(B, T, C)``.
    2. Dense 512 (ReLU), dropout, dense 32 (ReLU), dropout, dense 1 (sigmoid); ``(B, T)``.
    3. Pseudo labels in {0, 1}, ``(B, T)``, without gradient: 0 in a normal video. The frames of an abnormal video are
       split by k-means, k = 2, on the first hidden layer, ``(B, T, 512)``; the cluster with the higher mean score of
       step 2 is called anomalous. In the first ``warmup_steps`` training steps all frames of an abnormal video count as
       anomalous, so that the scores are trained on normal frames before they choose a cluster.
    4. Loss: squared error to the pseudo labels; clustering distance loss, ``min(bound, d)`` in a normal and ``1 / d``
       in an abnormal video, ``d`` being the distance between the two cluster centres; sparsity and smoothness of [1].

    So the clusters clean the labels of abnormal videos, the network says which cluster is the anomalous one, and the
    distance loss makes its features easier to split. ``compile`` takes an optimizer only; ``fit`` takes ``({"nodes",
    "mask"}, labels)`` with labels ``(B,)``.

    Differences from the paper, and what it leaves open: [8] is cited here from its abstract (self-reasoning by binary
    clustering, pseudo labels, network and clusters helping each other); its text was not available, so these are this
    project's choices: which layer is clustered, how the anomalous cluster is chosen, the warm-up, the form of the
    distance loss (that of the same authors' [9]), its bound (1) and weight (0.01), and ten k-means steps from the two
    frames that lie farthest apart instead of random starts, so that a video always gets the same labels. Clusters are
    those of the current bag, not of the whole video. Layer sizes, dropout, sparsity and smoothness are those of [1]. A
    validation loss never counts the warm-up.

    Args:
        units: sizes of the two hidden layers.
        dropout: rate after each hidden layer.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).
        normalize: whether each vector is scaled to length 1.
        warmup_steps: training steps before pseudo labels are used; they are counted in the saved model.
        distance_bound: the clusters of a normal video are penalized up to this distance.
        clustering_weight, sparsity_weight, smoothness_weight: of the terms of the loss.

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict of float32: ``"anomaly_score"`` ``(B, T)`` in [0, 1] and ``"patch_score"`` ``(B, T, G)``, both 0 in
        padding, and ``"embedding"`` ``(B, T, 512)``, the layer that is clustered.

    Raises:
        ValueError: if ``patches`` is unknown, ``distance_bound`` is not positive or the nodes do not have four axes.

    Example:

    >>> import numpy as np
    >>> model = ZaheerSelfReasoning()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape)
    (2, 5)

    Reference: [8] Zaheer et al., A self-reasoning framework for anomaly detection using video-level labels, IEEE SPL
    2020; [9] CLAWS, ECCV 2020; [1] Sultani et al., CVPR 2018.
    """

    LOSS_TERMS = ("regression", "clustering", "sparsity", "temporal_smoothness")

    def __init__(
        self,
        units: Sequence[int] = (512, 32),
        dropout: float = 0.6,
        patches: Patches = "first",
        normalize: bool = True,
        warmup_steps: int = 200,
        distance_bound: float = 1.0,
        clustering_weight: float = 0.01,
        sparsity_weight: float = 8e-5,
        smoothness_weight: float = 8e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, normalize, **kwargs)
        checks.integer_lists(1, units=units)
        checks.integers(0, warmup_steps=warmup_steps)
        checks.numbers_in("[0, 1)", dropout=dropout)
        checks.numbers_in("(0, inf)", distance_bound=distance_bound)
        weights = {"sparsity_weight": sparsity_weight, "smoothness_weight": smoothness_weight}
        checks.numbers_in("[0, inf)", clustering_weight=clustering_weight, **weights)
        self.units, self.dropout = tuple(units), dropout
        self.distance_bound = distance_bound
        self.warmup_steps, self.clustering_weight = warmup_steps, clustering_weight
        self.sparsity_weight, self.smoothness_weight = sparsity_weight, smoothness_weight
        self.hidden = [keras.layers.Dense(size, "relu", dtype=self.dtype_policy) for size in self.units]
        self.dropouts = [keras.layers.Dropout(dropout) for _ in self.units]
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of the three layers."""
        size = feature_dim
        for dense in (*self.hidden, self.scorer):
            dense.build((None, None, size))
            size = dense.units
        self.steps = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="steps")

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Step 2; in training the counter goes on."""
        if training:
            self.steps.assign(self.steps + 1)
        layers = []
        for dense, dropout in zip(self.hidden, self.dropouts, strict=True):
            layers.append(dense(x))
            x = dropout(layers[-1], training=training)
        return {spec.ANOMALY_SCORE: self.scorer(x)[..., 0], spec.EMBEDDING: ops.cast(layers[0], "float32")}

    def pseudo_labels(self, labels: Tensor, scores: Tensor, in_second: Tensor, mask: Tensor) -> Tensor:
        """Step 3 from the clusters, ``(B,)``, ``(B, T)`` three times -> float32 ``(B, T)``."""
        second = ops.cast(in_second, "float32")
        first = ops.cast(mask, "float32") - second
        second_is_meant = _mean_score(scores, second) > _mean_score(scores, first)
        anomalous = ops.where(second_is_meant[:, None], second, first)
        return ops.stop_gradient(anomalous * labels[:, None])

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Step 4: means over the videos, of the last two over the abnormal ones; ``validation`` is without warm-up."""
        labels, scores = labels_of_bags(labels), outputs[spec.ANOMALY_SCORE]
        mask = spread_mask(scores, mask)
        in_second = two_means(outputs[spec.EMBEDDING], mask)
        reasoned = ops.square(scores - self.pseudo_labels(labels, scores, in_second, mask))
        given = ops.square(scores - labels[:, None])
        clustering = clustering_loss(labels, outputs[spec.EMBEDDING], in_second, mask, self.distance_bound)
        terms = {
            "regression": ops.mean(mean_over_frames(reasoned, mask)),
            "clustering": ops.mean(clustering),
            "sparsity": mean_of_bags(sparsity(scores, mask), labels),
            "temporal_smoothness": mean_of_bags(temporal_smoothness(scores, mask), labels),
        }
        terms["validation"] = (
            terms["regression"]
            + self.clustering_weight * terms["clustering"]
            + self.sparsity_weight * terms["sparsity"]
            + self.smoothness_weight * terms["temporal_smoothness"]
        )
        warmup = ops.cast(ops.maximum(self.steps - 1, 0) < self.warmup_steps, "float32")  # steps before this one
        in_place = ops.mean(mean_over_frames(given, mask)) - terms["regression"]
        terms["total"] = terms["validation"] + warmup * in_place
        return terms

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        names = (
            "units", "dropout", "warmup_steps", "distance_bound", "clustering_weight", "sparsity_weight",
            "smoothness_weight",
        )
        return {**super().get_config(), **self.attributes(*names)}


def _mean_score(scores: Tensor, cluster: Tensor) -> Tensor:
    """``(B, T)`` twice -> ``(B,)``; below every score for an empty cluster."""
    number = ops.sum(cluster, axis=1)
    return ops.where(number > 0, ops.sum(scores * cluster, axis=1) / ops.maximum(number, 1.0), -1.0)
