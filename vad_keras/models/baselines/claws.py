"""CLAWS of Zaheer et al. [9]: normalcy suppression, clustering loss and training on runs of consecutive segments."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vad_keras import checks, cliques, spec
from vad_keras.losses.bags import labels_of_bags, spread_mask
from vad_keras.losses.temporal_smoothness import temporal_smoothness
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.models.baselines._temporal import mean_over_frames
from vad_keras.models.baselines._two_means import clustering_loss, two_means
from vad_keras.typing import Tensor


@keras.saving.register_keras_serializable("vad_keras")
class Claws(Baseline):
    """Score each moment by a small network in which the moments of a run compete by a softmax.

    1. One vector per frame, scaled to length 1; ``(B, T, C)``. Time is cut into runs of ``run_frames`` consecutive
       frames ("batches" in [9]); nothing passes from one run to another.
    2. Twice, with 512 and 32 units: ``h = ReLU(P * (x W + b))``, dropout; ``(B, T, units)``. The normalcy suppression
       ``P = softmax(x V + c)`` runs over the frames of the run, one distribution per unit: what it ignores becomes 0.
    3. Dense 1 (sigmoid); ``(B, T)``.
    4. Loss: squared error to the label of the video, at every frame; mean score (sparsity) and mean squared step
       between neighbours (temporal consistency) of every video; for both layers ``h`` of step 2 the clustering loss:
       with ``d`` the distance between the centres of two k-means clusters, ``min(bound, d)`` in a normal and ``1 / d``
       in an abnormal video.

    A bag of the random batch selector of [9] is a run from a random place of a random video: sample bags with
    ``sampling="window"`` and ``bag_frames`` equal to ``run_frames``. ``compile`` takes an optimizer only; ``fit`` takes
    ``({"nodes", "mask"}, labels)`` with labels ``(B,)``.

    Differences from the paper, and what it leaves open: [9] trains on one run at a time in random order; here a step
    averages over the runs of a batch, each judged by itself. The parts are those of the abstract of [9]; the text was
    not available, so the sizes, the place of the softmax before the ReLU, the means in the loss and its weights (8e-5
    each) are those of a public reimplementation (github.com/Umair0343/UCF_Anomaly_detection), whose clustering follows
    a later paper. The distance form of the clustering loss, its bound 1, k-means without random starts and runs of 32
    frames are this project's choices. A last, short run is normalised over the frames it has. A softmax over n frames
    makes activations about n times smaller, twice, which slows learning at small rates; ``rescale`` multiplies P by n.

    Args:
        units: sizes of the two hidden layers.
        run_frames: consecutive frames that compete.
        rescale: whether the weights of a run have mean 1 instead of sum 1.
        dropout: rate after each hidden layer.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).
        normalize: whether each vector is scaled to length 1.
        distance_bound: the clusters of a normal video are penalized up to this distance.
        clustering_weight, sparsity_weight, smoothness_weight: of the terms of the loss.

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame; padding is at the end.

    Output shape:
        dict of float32: ``"anomaly_score"`` ``(B, T)`` in [0, 1] and ``"patch_score"`` ``(B, T, G)``, both 0 in
        padding; ``"hidden_1"`` ``(B, T, 512)`` and ``"hidden_2"`` ``(B, T, 32)``, the layers that are clustered.

    Raises:
        ValueError: if ``patches`` is unknown, ``units`` are not two, ``run_frames`` is not positive or the nodes do not
            have four axes.

    Example:

    >>> import numpy as np
    >>> model = Claws()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape), tuple(outputs["hidden_2"].shape)
    ((2, 5), (2, 5, 32))

    Reference: [9] Zaheer et al., CLAWS: Clustering assisted weakly supervised learning with normalcy suppression for
    anomalous event detection, ECCV 2020.
    """

    LOSS_TERMS = ("regression", "clustering", "sparsity", "temporal_smoothness")

    def __init__(
        self,
        units: Sequence[int] = (512, 32),
        run_frames: int = 32,
        rescale: bool = False,
        dropout: float = 0.6,
        patches: Patches = "first",
        normalize: bool = True,
        distance_bound: float = 1.0,
        clustering_weight: float = 8e-5,
        sparsity_weight: float = 8e-5,
        smoothness_weight: float = 8e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, normalize, **kwargs)
        checks.integer_lists(1, 2, units=units)
        checks.integers(1, run_frames=run_frames)
        checks.numbers_in("[0, 1)", dropout=dropout)
        weights = {"sparsity_weight": sparsity_weight, "smoothness_weight": smoothness_weight}
        checks.numbers_in("(0, inf)", distance_bound=distance_bound)
        checks.numbers_in("[0, inf)", clustering_weight=clustering_weight, **weights)
        self.units, self.run_frames = tuple(units), run_frames
        self.rescale, self.dropout = rescale, dropout
        self.distance_bound = distance_bound
        self.clustering_weight = clustering_weight
        self.sparsity_weight, self.smoothness_weight = sparsity_weight, smoothness_weight
        self.hidden = [keras.layers.Dense(size, dtype=self.dtype_policy) for size in self.units]
        self.suppressors = [keras.layers.Dense(size, dtype=self.dtype_policy) for size in self.units]
        self.dropouts = [keras.layers.Dropout(dropout) for _ in self.units]
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of both paths."""
        size = feature_dim
        for dense, suppressor in zip(self.hidden, self.suppressors, strict=True):
            dense.build((None, None, size))
            suppressor.build((None, None, size))
            size = dense.units
        self.scorer.build((None, None, size))

    def suppression(self, logits: Tensor, mask: Tensor) -> Tensor:
        """``P`` of step 2, ``(B, T, F)`` and bool ``(B, T)`` -> float32 ``(B, T, F)``, 0 in padding."""
        real = cliques.split_blocks(mask[:, :, None], self.run_frames)
        logits = cliques.split_blocks(ops.cast(logits, "float32"), self.run_frames)
        weights = ops.softmax(ops.where(real, logits, -1e9), axis=2)
        if self.rescale:
            weights = weights * ops.sum(ops.cast(real, "float32"), axis=2, keepdims=True)
        return cliques.join_blocks(ops.where(real, weights, 0.0), ops.shape(mask)[1])

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Steps 2 and 3."""
        layers = []
        for dense, suppressor, dropout in zip(self.hidden, self.suppressors, self.dropouts, strict=True):
            suppressed = ops.cast(dense(x), "float32") * self.suppression(suppressor(x), mask)
            layers.append(ops.relu(suppressed))
            x = dropout(layers[-1], training=training)
        return {spec.ANOMALY_SCORE: self.scorer(x)[..., 0], "hidden_1": layers[0], "hidden_2": layers[1]}

    def clustering_terms(self, labels: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        """Clustering loss of one layer ``(B, T, F)``, mean over the videos."""
        in_second = two_means(hidden, mask)
        return ops.mean(clustering_loss(labels, hidden, in_second, mask, self.distance_bound))

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Step 4: means over the videos."""
        labels, scores = labels_of_bags(labels), outputs[spec.ANOMALY_SCORE]
        mask = spread_mask(scores, mask)
        number = ops.sum(ops.cast(mask, "float32"), axis=1)
        terms = {
            "regression": ops.mean(mean_over_frames(ops.square(scores - labels[:, None]), mask)),
            "clustering": sum(self.clustering_terms(labels, outputs[f"hidden_{i}"], mask) for i in (1, 2)),
            "sparsity": ops.mean(mean_over_frames(scores, mask)),
            "temporal_smoothness": ops.mean(temporal_smoothness(scores, mask) / ops.maximum(number - 1.0, 1.0)),
        }
        terms["total"] = (
            terms["regression"]
            + self.clustering_weight * terms["clustering"]
            + self.sparsity_weight * terms["sparsity"]
            + self.smoothness_weight * terms["temporal_smoothness"]
        )
        return terms

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        names = (
            "units", "run_frames", "rescale", "dropout", "distance_bound", "clustering_weight", "sparsity_weight",
            "smoothness_weight",
        )
        return {**super().get_config(), **self.attributes(*names)}
