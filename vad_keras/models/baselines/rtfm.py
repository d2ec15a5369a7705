"""RTFM of Tian et al.: a multi-scale temporal network whose feature magnitudes mark abnormal moments."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import TopK, check_k, labels_of_bags, top_k_weights
from vad_keras.losses.temporal_smoothness import temporal_smoothness
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.models.baselines._temporal import cross_entropy, length_of, mean_over_pairs, weighted_mean, zero_padding
from vad_keras.typing import Shape, Tensor

DILATIONS = (1, 2, 4)
MagnitudeForm = Literal["squared", "printed"]


@keras.saving.register_keras_serializable("vad_keras")
class RTFM(Baseline):
    """Learn features that are long where a video is abnormal, and score them by three dense layers.

    1. One vector per frame, ``x``: patch 0, the whole frame, or the mean over patches; ``(B, T, C)``.
    2. Multi-scale temporal network (Sec 3.2): three convolutions over 3 frames of dilation 1, 2 and 4 beside a
       self-attention of all frames, ``C / 4`` channels each; one more convolution over 3 frames; plus ``x``: the
       features ``X``; ``(B, T, C)``.
    3. Dense 512 and 128 (ReLU), dense 1 (sigmoid), with dropout before each (Sec 3.4): the scores; ``(B, T)``.
    4. Of each video the ``k`` real frames with the longest features are chosen (Sec 3.3).
    5. Magnitude loss (Sec 3.3) over all pairs of an abnormal and a normal video with magnitudes ``a`` and ``n``.
       ``"squared"``, the form of the authors' code: ``(|margin - a| + n)^2``, a magnitude being the length of the mean
       chosen feature. ``"printed"``: ``max(0, margin - (a - n))``, a magnitude being the mean length of the chosen.
    6. Cross entropy (Sec 3.4) between the label and the mean score of the chosen frames, mean over videos.
    7. Of all scores of the abnormal videos of a batch: the sparsity ``sqrt(sum s^2)`` and the temporal smoothness, the
       sum of squared steps between neighbours.

    ``total = bag_cross_entropy + magnitude_weight * magnitude + sparsity_weight * sparsity + smoothness_weight *
    temporal_smoothness``. ``fit`` takes ``({"nodes", "mask"}, labels)``. Memory grows with ``T * T``.

    Differences from the paper, and what it leaves open: batch normalisation, which the code has behind each convolution
    and in the attention (from an identity on); the attention divides by the number of frames instead of a softmax there
    and here. In training the code hides moments from the choice of step 4 at the rate of the dropout; the same holds
    here. Its magnitude loss pairs videos by position and its smoothness runs across the seams of a batch; here pairs
    are formed by label, all with all, and no step leads from one video to the next. Its sums are kept: sparsity is one
    length and smoothness one sum over the batch, so that both grow with the batch (32 abnormal videos there). It trains
    on ten crops at once and averages their scores; here a frame has one vector. Padded frames enter neither
    convolutions, nor attention, nor the statistics.

    Args:
        units: sizes of the two hidden layers of step 3.
        dropout: rate of step 3 and of the choice in step 4.
        k: number (integer) or share (float) of the real frames of a video that are chosen, or ``"mean"``.
        margin: of the magnitude loss.
        magnitude_form: ``"squared"`` or ``"printed"``.
        magnitude_weight, sparsity_weight, smoothness_weight: of the total.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict of float32: ``"anomaly_score"`` ``(B, T)`` in [0, 1], ``"magnitude"`` ``(B, T)``, the length of each
        feature, ``"bag_magnitude"`` and ``"bag_score"`` ``(B,)`` of the chosen frames, ``"patch_score"`` ``(B, T, G)``,
        the score of the frame repeated. All are 0 in padding.

    Raises:
        ValueError: if ``magnitude_form``, ``k`` or ``patches`` is none of the above or the nodes do not have four axes.

    Example:

    >>> import numpy as np
    >>> model = RTFM()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape), tuple(outputs["bag_magnitude"].shape)
    ((2, 5), (2,))

    Reference: Tian et al., Weakly-supervised video anomaly detection with robust temporal feature magnitude learning,
    ICCV 2021; sizes and rates also from its code, tianyu0207/RTFM (``model.py``, ``train.py``).
    """

    LOSS_TERMS = ("bag_cross_entropy", "magnitude", "sparsity", "temporal_smoothness")

    def __init__(
        self,
        units: Sequence[int] = (512, 128),
        dropout: float = 0.7,
        k: TopK = 3,
        margin: float = 100.0,
        magnitude_form: MagnitudeForm = "squared",
        magnitude_weight: float = 1e-4,
        sparsity_weight: float = 8e-3,
        smoothness_weight: float = 8e-4,
        patches: Patches = "first",
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, **kwargs)
        check_k(k)
        checks.choice(get_args(MagnitudeForm), "'squared' is what the authors ran.", magnitude_form=magnitude_form)
        checks.integer_lists(1, units=units)
        checks.numbers_in("[0, 1)", dropout=dropout)
        self.units, self.k, self.margin, self.magnitude_form = tuple(units), k, margin, magnitude_form
        self.term_weights = {
            "magnitude_weight": magnitude_weight,
            "sparsity_weight": sparsity_weight,
            "smoothness_weight": smoothness_weight,
        }
        checks.numbers_in("[0, inf)", margin=margin, **self.term_weights)
        policy = self.dtype_policy
        self.hidden = [keras.layers.Dense(size, "relu", dtype=policy) for size in self.units]
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")
        self.dropouts = [keras.layers.Dropout(dropout, dtype=policy) for _ in range(len(self.units) + 1)]
        self.hide = keras.layers.Dropout(dropout, dtype="float32")
        self.network = MultiScaleTemporalNetwork(dtype=policy)

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights of network and classifier."""
        self.network.build((None, None, feature_dim))
        size = feature_dim
        for dense in (*self.hidden, self.scorer):
            dense.build((None, None, size))
            size = dense.units

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Steps 2 to 4."""
        features = self.dropouts[0](self.network(x, mask=mask, training=training), training=training)
        magnitude = zero_padding(length_of(features), mask)
        chosen = top_k_weights(self.hide(magnitude, training=training), mask, self.k)
        if self.magnitude_form == "squared":
            bag_magnitude = length_of(weighted_mean(features, chosen))
        else:
            bag_magnitude = weighted_mean(magnitude, chosen)
        hidden = features
        for dense, dropout in zip(self.hidden, self.dropouts[1:], strict=True):
            hidden = dropout(dense(hidden), training=training)
        scores = self.scorer(hidden)[..., 0]
        return {
            spec.ANOMALY_SCORE: scores,
            "magnitude": magnitude,
            "bag_magnitude": bag_magnitude,
            "bag_score": weighted_mean(scores, chosen),
        }

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Steps 5 to 7."""
        labels, scores = labels_of_bags(labels), outputs[spec.ANOMALY_SCORE]
        terms = {
            "bag_cross_entropy": ops.mean(cross_entropy(labels, outputs["bag_score"])),
            "magnitude": self._magnitude_loss(labels, outputs["bag_magnitude"]),
            "sparsity": length_of(ops.where(ops.logical_and(mask, labels[:, None] > 0), scores, 0.0), axis=(0, 1)),
            "temporal_smoothness": ops.sum(temporal_smoothness(scores, mask) * labels),
        }
        weights = (1.0, *self.term_weights.values())
        return {**terms, "total": sum(w * term for w, term in zip(weights, terms.values(), strict=True))}

    def _magnitude_loss(self, labels: Tensor, magnitude: Tensor) -> Tensor:
        """Step 5: ``(B,)``, ``(B,)`` -> scalar; rows are abnormal, columns normal videos."""
        abnormal, normal = ops.expand_dims(magnitude, 1), ops.expand_dims(magnitude, 0)
        if self.magnitude_form == "squared":
            pairs = ops.square(ops.abs(self.margin - abnormal) + normal)
        else:
            pairs = ops.relu(self.margin - (abnormal - normal))
        return mean_over_pairs(pairs, labels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.hide.rate,
            "k": self.k,
            "margin": self.margin,
            "magnitude_form": self.magnitude_form,
            **self.term_weights,
        }


class MultiScaleTemporalNetwork(keras.layers.Layer):
    """Step 2 of ``RTFM``: ``(B, T, C)`` and a mask -> ``(B, T, C)``, with batch statistics of real frames only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Make the weights for ``C`` channels."""
        channels = checks.channels("x", input_shape)
        branch = max(1, channels // 4)
        self.pyramid = [self._convolution(branch, 3, d, use_bias=True) for d in DILATIONS]
        self.reduce = self._convolution(branch, 1, use_bias=False)
        self.fuse = self._convolution(channels, 3, use_bias=False)
        inner = max(1, branch // 2)
        policy = self.dtype_policy
        self.theta, self.phi, self.g = (keras.layers.Dense(inner, dtype=policy) for _ in range(3))
        self.back = keras.layers.Dense(branch, dtype=policy)
        self.norms = [self._norm() for _ in (*DILATIONS, "fuse")]
        self.attention_norm = self._norm(gamma_initializer="zeros")
        for layer in (*self.pyramid, self.reduce):
            layer.build((None, None, channels))
        self.fuse.build((None, None, 4 * branch))
        for layer, size in ((self.theta, branch), (self.phi, branch), (self.g, branch), (self.back, inner)):
            layer.build((None, None, size))
        for norm, size in zip((*self.norms, self.attention_norm), (branch,) * 3 + (channels, branch), strict=True):
            norm.build((None, None, size))
        self.built = True

    def _convolution(self, channels: int, size: int, dilation: int = 1, use_bias: bool = False) -> keras.layers.Conv1D:
        return keras.layers.Conv1D(
            channels,
            size,
            padding="same",
            dilation_rate=dilation,
            activation="relu",
            use_bias=use_bias,
            dtype=self.dtype_policy,
        )

    def _norm(self, **options: Any) -> keras.layers.BatchNormalization:
        """With the defaults of PyTorch, for which the rates were tuned."""
        return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy, **options)

    def call(self, x: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Pyramid and attention side by side, then one convolution over both."""
        x = zero_padding(x, mask)
        scales = [
            norm(convolution(x), training=training, mask=mask)
            for convolution, norm in zip(self.pyramid, self.norms[:-1], strict=True)
        ]
        both = zero_padding(ops.concatenate([*scales, self._attend(self.reduce(x), mask, training)], axis=-1), mask)
        return self.norms[-1](self.fuse(both), training=training, mask=mask) + ops.cast(x, self.compute_dtype)

    def _attend(self, x: Tensor, mask: Tensor, training: bool) -> Tensor:
        """Non-local block: products of all pairs of frames over their number, no softmax."""
        num_real = ops.maximum(ops.sum(ops.cast(mask, "float32"), axis=1), 1.0)[:, None, None]
        phi = self.phi(x) / ops.cast(num_real, x.dtype)  # divided first: float16 ends at 65504
        weights = ops.matmul(self.theta(x), ops.transpose(phi, (0, 2, 1)))
        found = self.back(ops.matmul(weights, zero_padding(self.g(x), mask)))
        return self.attention_norm(found, training=training, mask=mask) + x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return tuple(input_shape)
