"""UR-DMU of Zhou et al.: two memories, of normal and of abnormal moments, and a latent space for what is normal."""

from typing import Any

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import labels_of_bags, mean_of_bags
from vad_keras.models.baselines._attention import GlobalLocalBlock
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.models.baselines._temporal import (
    cross_entropy,
    length_of,
    mean_over_frames,
    mean_over_pairs,
    top_frames,
    weighted_mean,
)
from vad_keras.typing import Shape, Tensor

SLOTS_PER_CHOICE = 16  # floor(K / 16) + 1 slots are averaged per memory


@keras.saving.register_keras_serializable("vad_keras")
class URDMU(Baseline):
    """Read two memories at each moment, keep the normal one Gaussian, and score features and read-outs together.

    1. One vector per frame: patch 0, the whole frame, or the mean over patches; ``(B, T, C)``.
    2. Convolution over 3 frames to ``units`` (ReLU), then ``depth`` blocks of global and local self-attention: ``x``;
       ``(B, T, D)``.
    3. Dual memory units: of a memory ``M`` ``(K, D)`` the weights are ``sigmoid(x M' / sqrt(D))`` ``(B, T, K)``, the
       read-out is ``weights M`` ``(B, T, D)``, and ``S`` ``(B, T)`` is the mean of the ``floor(K / 16) + 1`` highest
       weights: ``S_a`` of the abnormal memory, ``S_n`` of the normal one.
    4. Normal data uncertainty learning: both read-outs pass ``mu``, a dense layer. Of the normal memory a second one
       gives ``log sigma^2``; in training a normal video takes ``mu + sigma * noise`` of it.
    5. Dense 128 (ReLU), dense 1 (sigmoid) on ``x`` beside the sum of both read-outs: the scores; ``(B, T)``.
    6. Losses; ``top_mean`` is the mean over the ``floor(n / 16) + 1`` frames of highest value of a video's n real ones:

       * ``bag_cross_entropy``: of ``top_mean`` scores and the label, over all videos;
       * ``memory``: of abnormal videos the cross entropy of ``top_mean S_a`` and of ``top_mean (1 - S_n)`` to 1, of
         normal videos that of all ``S_n`` to 1 and of all ``S_a`` to 0;
       * ``triplet``: ``max(0, |n - p| - |n - a| + 1)`` between unit vectors: ``n`` the mean ``x`` of a normal video
         where ``S_n`` is highest, ``p`` and ``a`` those of an abnormal video where ``S_n`` and ``S_a`` are;
       * ``kl``: of the latent of normal videos to the standard Gaussian, summed over time, mean over channels;
       * ``distance``: ``max(0, 100 - |a| + |n|)`` of the mean latents at the frames of ``a`` and ``n`` above.

    ``total = bag_cross_entropy + memory_weight * memory + triplet_weight * triplet + kl_weight * kl + distance_weight *
    distance``. ``fit`` takes ``({"nodes", "mask"}, labels)``. Memory grows with ``T * T``.

    Differences from the paper, and what it leaves open: the authors' code forms triplets and distances of the i-th
    normal and the i-th abnormal video; here all pairs of a normal and an abnormal video, distinguished by label, are
    averaged, and there is none where a label is missing. Its sum of the KL divergence runs over time and its mean over
    channels; the same holds here. It counts all frames of a batch at once in the terms of normal videos; here each
    video counts once. Padded frames are no neighbours and are never chosen.

    Args:
        units: size of features and memories, D.
        heads, head_dim, mlp_units, depth: of the self-attention.
        dropout: rate in the self-attention.
        memory_slots: K of each memory.
        classifier_units: hidden size of step 5.
        margin, distance_margin: 1 and 100 in step 6.
        memory_weight, triplet_weight, kl_weight, distance_weight: of the total.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict of float32: ``"anomaly_score"`` ``(B, T)`` in [0, 1] and ``"patch_score"`` ``(B, T, G)``, the score of the
        frame repeated, both 0 in padding; ``"sampled_score"``, ``"abnormal_memory"`` (S_a), ``"normal_memory"`` (S_n)
        and ``"kl"`` ``(B, T)``; ``"abnormal_center"`` (a) and ``"normal_center"`` (n or p) ``(B, D)``,
        ``"abnormal_latent"`` and ``"normal_latent"``, the lengths of the latents, ``(B,)``.

    Raises:
        ValueError: if ``memory_slots`` is below 1, ``patches`` is unknown or the nodes do not have four axes.

    Example:

    >>> import numpy as np
    >>> model = URDMU(units=16, depth=1)
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape), tuple(outputs["normal_center"].shape)
    ((2, 5), (2, 16))

    Reference: Zhou et al., Dual memory units with uncertainty regulation for weakly supervised video anomaly
    detection, AAAI 2023; sizes and weights from its code, henrryzh1/UR-DMU (``model.py``, ``memory.py``, ``train.py``).
    """

    OF_VIDEO = ("abnormal_center", "normal_center")
    LOSS_TERMS = ("bag_cross_entropy", "memory", "triplet", "kl", "distance")

    def __init__(
        self,
        units: int = 512,
        heads: int = 4,
        head_dim: int = 128,
        mlp_units: int = 512,
        depth: int = 2,
        dropout: float = 0.5,
        memory_slots: int = 60,
        classifier_units: int = 128,
        margin: float = 1.0,
        distance_margin: float = 100.0,
        memory_weight: float = 0.1,
        triplet_weight: float = 0.1,
        kl_weight: float = 0.001,
        distance_weight: float = 0.0001,
        patches: Patches = "first",
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, **kwargs)
        checks.integers(1, units=units, heads=heads, head_dim=head_dim, mlp_units=mlp_units)
        checks.integers(1, memory_slots=memory_slots, classifier_units=classifier_units)
        checks.integers(0, depth=depth)
        checks.numbers_in("[0, 1)", dropout=dropout)
        self.sizes: dict[str, Any] = {"units": units, "heads": heads, "head_dim": head_dim, "mlp_units": mlp_units}
        self.sizes |= {"depth": depth, "dropout": dropout}
        self.sizes |= {"memory_slots": memory_slots, "classifier_units": classifier_units}
        self.loss_options = {"margin": margin, "distance_margin": distance_margin}
        self.term_weights = {
            "memory_weight": memory_weight,
            "triplet_weight": triplet_weight,
            "kl_weight": kl_weight,
            "distance_weight": distance_weight,
        }
        checks.numbers_in("[0, inf)", **self.loss_options, **self.term_weights)
        policy = self.dtype_policy
        self.embed = keras.layers.Conv1D(units, 3, padding="same", activation="relu", dtype=policy)
        self.blocks = [GlobalLocalBlock(heads, head_dim, mlp_units, dropout, dtype=policy) for _ in range(depth)]
        self.abnormal, self.normal = (MemoryUnit(memory_slots, dtype=policy) for _ in range(2))
        self.mu, self.log_variance = (keras.layers.Dense(units, dtype=policy) for _ in range(2))
        self.hidden = keras.layers.Dense(classifier_units, "relu", dtype=policy)
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")
        self.seed_generator = keras.random.SeedGenerator()

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of all parts."""
        units = self.sizes["units"]
        self.embed.build((None, None, feature_dim))
        for layer in (*self.blocks, self.abnormal, self.normal, self.mu, self.log_variance):
            layer.build((None, None, units))
        self.hidden.build((None, None, 2 * units))
        self.scorer.build((None, None, self.sizes["classifier_units"]))

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Steps 2 to 5, and what the losses take of each video."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, mask=mask, training=training)
        (abnormal_memory, abnormal_read), (normal_memory, normal_read) = self.abnormal(x), self.normal(x)
        abnormal_latent, mu, log_variance = self.mu(abnormal_read), self.mu(normal_read), self.log_variance(normal_read)
        mu, log_variance = ops.cast(mu, "float32"), ops.cast(log_variance, "float32")
        sampled = self._sample(mu, log_variance) if training else mu
        where_abnormal, where_normal = top_frames(abnormal_memory, mask), top_frames(normal_memory, mask)
        return {
            spec.ANOMALY_SCORE: self._score(x, abnormal_latent, mu),
            "sampled_score": self._score(x, abnormal_latent, sampled),
            "abnormal_memory": abnormal_memory,
            "normal_memory": normal_memory,
            "kl": -0.5 * ops.mean(1.0 + log_variance - ops.square(mu) - ops.exp(log_variance), axis=-1),
            "abnormal_center": weighted_mean(x, where_abnormal),
            "normal_center": weighted_mean(x, where_normal),
            "abnormal_latent": length_of(weighted_mean(abnormal_latent, where_abnormal)),
            "normal_latent": length_of(weighted_mean(sampled, where_normal)),
        }

    def _sample(self, mu: Tensor, log_variance: Tensor) -> Tensor:
        noise = keras.random.normal(ops.shape(mu), dtype="float32", seed=self.seed_generator)
        return mu + ops.exp(0.5 * log_variance) * noise

    def _score(self, x: Tensor, *latents: Tensor) -> Tensor:
        """Step 5."""
        read = sum(ops.cast(latent, x.dtype) for latent in latents)
        return self.scorer(self.hidden(ops.concatenate([x, read], axis=-1)))[..., 0]

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Step 6."""
        labels = labels_of_bags(labels)
        is_abnormal = ops.expand_dims(labels > 0, 1)
        scores = ops.where(is_abnormal, outputs[spec.ANOMALY_SCORE], outputs["sampled_score"])
        kl = ops.sum(ops.where(mask, outputs["kl"], 0.0), axis=1)
        apart = self.loss_options["distance_margin"] - ops.expand_dims(outputs["abnormal_latent"], 1)
        terms = {
            "bag_cross_entropy": ops.mean(cross_entropy(labels, _top_mean(scores, mask))),
            "memory": _memory_loss(labels, outputs["abnormal_memory"], outputs["normal_memory"], mask),
            "triplet": self._triplet(labels, outputs["normal_center"], outputs["abnormal_center"]),
            "kl": mean_of_bags(kl, 1.0 - labels),
            "distance": mean_over_pairs(ops.relu(apart + ops.expand_dims(outputs["normal_latent"], 0)), labels),
        }
        weights = (1.0, *self.term_weights.values())
        return {**terms, "total": sum(w * term for w, term in zip(weights, terms.values(), strict=True))}

    def _triplet(self, labels: Tensor, normal_center: Tensor, abnormal_center: Tensor) -> Tensor:
        """``(B, D)`` each; rows are abnormal, columns normal videos."""
        normal_center, abnormal_center = _unit(normal_center), _unit(abnormal_center)
        anchor = ops.expand_dims(normal_center, 0)
        to_positive = length_of(anchor - ops.expand_dims(normal_center, 1))
        to_negative = length_of(anchor - ops.expand_dims(abnormal_center, 1))
        return mean_over_pairs(ops.relu(to_positive - to_negative + self.loss_options["margin"]), labels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        return {**super().get_config(), **self.sizes, **self.loss_options, **self.term_weights}


class MemoryUnit(keras.layers.Layer):
    """Step 3 of ``URDMU``: ``(B, T, D)`` -> ``S`` float32 ``(B, T)`` and the read-out ``(B, T, D)`` of one memory.

    Args:
        slots: vectors of the memory, K.
    """

    def __init__(self, slots: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.slots = slots

    def build(self, input_shape: Shape) -> None:
        """Make the memory, uniform in ``+-1 / sqrt(D)`` as in the authors' code."""
        units = checks.channels("x", input_shape)
        bound = units**-0.5
        self.memory = self.add_weight(
            name="memory", shape=(self.slots, units), initializer=keras.initializers.RandomUniform(-bound, bound)
        )
        self.built = True

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights, their highest, and what they read."""
        likeness = ops.matmul(x, ops.transpose(self.memory)) * self.memory.shape[1] ** -0.5
        weights = ops.sigmoid(ops.cast(likeness, "float32"))
        highest = ops.top_k(weights, self.slots // SLOTS_PER_CHOICE + 1)[0]
        return ops.mean(highest, axis=-1), ops.matmul(ops.cast(weights, x.dtype), self.memory)

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """``(B, T)`` and ``(B, T, D)``."""
        return tuple(input_shape[:-1]), tuple(input_shape)


def _top_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the frames of highest value, ``(B, T)`` -> ``(B,)``."""
    return weighted_mean(values, top_frames(values, mask))


def _unit(x: Tensor) -> Tensor:
    return x / ops.maximum(ops.expand_dims(length_of(x), -1), 1e-7)


def _memory_loss(labels: Tensor, abnormal_memory: Tensor, normal_memory: Tensor, mask: Tensor) -> Tensor:
    """The four terms of ``memory`` in step 6."""
    of_abnormal = cross_entropy(1.0, _top_mean(abnormal_memory, mask))
    of_abnormal = of_abnormal + cross_entropy(1.0, _top_mean(1.0 - normal_memory, mask))
    of_normal = mean_over_frames(cross_entropy(1.0, normal_memory) + cross_entropy(0.0, abnormal_memory), mask)
    return mean_of_bags(of_abnormal, labels) + mean_of_bags(of_normal, 1.0 - labels)
