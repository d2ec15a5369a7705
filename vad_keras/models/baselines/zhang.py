"""The temporal convolutional network with complementary inner bag loss of Zhang et al. [4]."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bags import bag_score, labels_of_bags, mean_of_bags
from vad_keras.losses.ranking_mil import Pairing, check_ranking, ranking_mil
from vad_keras.models.baselines._base import Baseline, Patches
from vad_keras.typing import Tensor


@keras.saving.register_keras_serializable("vad_keras")
class ZhangInnerBag(Baseline):
    """Score each moment from itself and what came before; rank videos, and the moments inside a video.

    1. One vector per frame, scaled to length 1; ``(B, T, C)``.
    2. Residual blocks of a temporal convolutional network, ``(B, T, channels)``: two causal convolutions, dilated by
       2^i in block i, each with ReLU and dropout, plus the input (through a dense layer where the sizes differ), ReLU.
       A moment sees ``receptive_field`` frames: itself and preceding ones, never a later one.
    3. Dense 1 (sigmoid); ``(B, T)``.
    4. Outer bag loss, sparsity and smoothness: ``ranking_mil``, as in [1].
    5. Inner bag loss: with the gap ``g = max_t s_t - min_t s_t`` of a video, ``max(0, inner_margin - g)`` in an
       abnormal video, whose gap should be large, and ``g`` in a normal one, whose gap should be small; the mean over
       the videos of each kind, added.

    ``compile`` takes an optimizer only; ``fit`` takes ``({"nodes", "mask"}, labels)`` with labels ``(B,)``.

    Differences from the paper, and what it leaves open: [4] is cited here from its abstract, which fixes the two scores
    each bag contributes, the direction of both gaps and that preceding adjacent instances are encoded. These are this
    project's choices: the hinge with margin 1 for abnormal videos and the gap itself for normal ones, weight 1 of the
    inner bag loss; two blocks of 512 and 32 channels (the layer sizes of [1]) with kernels of 2, which see 7 instances;
    the block is that of Bai et al. without weight normalisation; sparsity and smoothness are kept from [1].

    Args:
        channels: of each block.
        kernel_size: frames a convolution sees.
        dropout: rate after each convolution.
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).
        normalize: whether each vector is scaled to length 1.
        inner_weight: of the inner bag loss.
        inner_margin: an abnormal video of at least this gap has no loss.
        pairing, margin, sparsity_weight, smoothness_weight: see ``vad_keras.losses.ranking_mil``.

    Call arguments:
        inputs: dict of ``"nodes"`` ``(B, T, G, C)`` and, optional, ``"mask"`` boolean ``(B, T)``, True for a real
            frame.

    Output shape:
        dict of float32: ``"anomaly_score"`` ``(B, T)`` in [0, 1] and ``"patch_score"`` ``(B, T, G)``, both 0 in
            padding.

    Raises:
        ValueError: if ``patches`` or ``pairing`` is unknown, ``kernel_size`` is not positive or the nodes do not have
            four axes.

    Example:

    >>> import numpy as np
    >>> model = ZhangInnerBag()
    >>> outputs = model({"nodes": np.ones((2, 5, 1, 8)), "mask": np.ones((2, 5), bool)})
    >>> tuple(outputs["anomaly_score"].shape), model.receptive_field
    ((2, 5), 7)

    Reference: [4] Zhang, Qing, Miao, Temporal convolutional network with complementary inner bag loss for weakly
    supervised anomaly detection, ICIP 2019; Bai, Kolter, Koltun, arXiv:1803.01271; [1] Sultani et al., CVPR 2018.
    """

    LOSS_TERMS = ("ranking", "inner_bag", "sparsity", "temporal_smoothness")

    def __init__(
        self,
        channels: Sequence[int] = (512, 32),
        kernel_size: int = 2,
        dropout: float = 0.6,
        patches: Patches = "first",
        normalize: bool = True,
        inner_weight: float = 1.0,
        inner_margin: float = 1.0,
        pairing: Pairing = "all",
        margin: float = 1.0,
        sparsity_weight: float = 8e-5,
        smoothness_weight: float = 8e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(patches, normalize, **kwargs)
        checks.integer_lists(1, channels=channels)
        checks.integers(1, kernel_size=kernel_size)
        checks.numbers_in("[0, 1)", dropout=dropout)
        checks.numbers_in("[0, inf)", inner_weight=inner_weight, inner_margin=inner_margin)
        check_ranking(pairing, margin, sparsity_weight, smoothness_weight)
        self.channels, self.kernel_size, self.dropout = tuple(channels), kernel_size, dropout
        self.inner_weight, self.inner_margin = inner_weight, inner_margin
        self.loss_options: dict[str, Any] = {
            "pairing": pairing,
            "margin": margin,
            "sparsity_weight": sparsity_weight,
            "smoothness_weight": smoothness_weight,
        }
        positions = [(size, 2**block) for block, size in enumerate(self.channels) for _ in range(2)]
        self.convolutions = [self._convolution(size, dilation) for size, dilation in positions]
        self.dropouts = [keras.layers.Dropout(dropout) for _ in positions]
        self.shortcuts = [keras.layers.Dense(size, dtype=self.dtype_policy) for size in self.channels]
        self.scorer = keras.layers.Dense(1, "sigmoid", dtype="float32")

    def _convolution(self, size: int, dilation: int) -> keras.layers.Conv1D:
        return keras.layers.Conv1D(
            size, self.kernel_size, padding="causal", dilation_rate=dilation, activation="relu", dtype=self.dtype_policy
        )

    @property
    def receptive_field(self) -> int:
        """Frames that a score depends on, its own included."""
        before: int = sum(2 * (self.kernel_size - 1) * 2**block for block in range(len(self.channels)))
        return 1 + before

    def build_frames(self, feature_dim: int) -> None:
        """Make the weights; a block whose size stays needs no shortcut."""
        size = feature_dim
        for block, channels in enumerate(self.channels):
            self.convolutions[2 * block].build((None, None, size))
            self.convolutions[2 * block + 1].build((None, None, channels))
            if size != channels:
                self.shortcuts[block].build((None, None, size))
            size = channels
        self.scorer.build((None, None, size))

    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Steps 2 and 3."""
        for block, shortcut in enumerate(self.shortcuts):
            skip = shortcut(x) if shortcut.built else x
            for layer in (2 * block, 2 * block + 1):
                x = self.dropouts[layer](self.convolutions[layer](x), training=training)
            x = ops.relu(x + ops.cast(skip, x.dtype))
        return {spec.ANOMALY_SCORE: self.scorer(x)[..., 0]}

    def inner_bag_loss(self, labels: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
        """Step 5, ``(B,)``, ``(B, T)``, bool ``(B, T)`` -> scalar."""
        gap = bag_score(scores, mask, k=1) + bag_score(-scores, mask, k=1)
        abnormal = mean_of_bags(ops.relu(self.inner_margin - gap), labels)
        return abnormal + mean_of_bags(gap, 1.0 - labels)

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Steps 4 and 5."""
        scores = outputs[spec.ANOMALY_SCORE]
        terms = ranking_mil(labels, scores, mask, **self.loss_options)
        terms["inner_bag"] = self.inner_bag_loss(labels_of_bags(labels), scores, mask)
        terms["total"] = terms["total"] + self.inner_weight * terms["inner_bag"]
        return terms

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        names = ("channels", "kernel_size", "dropout", "inner_weight", "inner_margin")
        return {**super().get_config(), **self.attributes(*names), **self.loss_options}
