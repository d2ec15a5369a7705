"""What all baselines share: one vector per frame, masked scores, and loss terms that are metrics too."""

import abc
from typing import Any, Literal, get_args

from keras import ops

from vad_keras import checks, spec
from vad_keras.layers.prior_logit import PriorLogit
from vad_keras.models.bag_model import BagModel
from vad_keras.models.baselines._temporal import from_segments, segment_means
from vad_keras.typing import Shape, Tensor

Patches = Literal["first", "mean"]


class Baseline(BagModel):
    """A published model that scores the moments of a video from one feature vector each, trained on video labels.

    1. One vector per frame: patch 0, the whole frame, or the mean over patches; with ``segments`` the mean of each of
       so many equal parts of a video; then scaled to length 1 with ``normalize``; ``(B, T, C)``. Padded frames are 0.
    2. ``score_frames``, which each baseline defines; ``(B, T)`` in [0, 1], and what its loss needs besides. With
       ``segments`` a frame has the score of its part.
    3. ``loss_terms``, which each baseline defines, on one batch of bags.
    4. With ``late_prior``, outside of training: ``sigmoid(logit(score) + PriorLogit(prior))``. The prior of a frame is
       the highest known one of its patches. Set its scale by ``adapt_prior``.

    Args:
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1). The mean over
            crops stands for the mean of their scores, which most authors report.
        normalize: whether each vector is scaled to length 1. Each baseline starts from what its authors did.
        segments: number of equal parts over which a video is averaged (32 in [1], in training and in test); 0: every
            frame is scored.
        late_prior: add the prior of the inputs to the score of a trained model.
    """

    OF_VIDEO: tuple[str, ...] = ()  # outputs with one row per video instead of one per frame, ``(B, D)``

    def __init__(
        self,
        patches: Patches = "first",
        normalize: bool = False,
        segments: int = 0,
        late_prior: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.choice(get_args(Patches), "Patch 0 is the whole frame.", patches=patches)
        checks.integers(0, segments=segments)
        self.patches, self.normalize, self.segments = patches, normalize, segments
        self.late_prior = late_prior
        self.prior = PriorLogit(name="prior", trainable=False) if late_prior else None

    @property
    def uses_prior(self) -> bool:
        """Whether the inputs must hold a prior."""
        return self.late_prior

    @abc.abstractmethod
    def build_frames(self, feature_dim: int) -> None:
        """Make the weights for vectors of ``feature_dim`` channels."""

    @abc.abstractmethod
    def score_frames(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """``(B, T, C)``, bool ``(B, T)`` -> dict of ``anomaly_score`` ``(B, T)`` and other inputs of ``loss_terms``."""

    def build_nodes(self, nodes_shape: Shape) -> None:
        """Make the weights for nodes of ``(B, T, G, C)``."""
        self.build_frames(checks.channels("nodes", nodes_shape))
        if self.prior is not None and not self.prior.built:  # `adapt_prior` builds it too
            self.prior.build()

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Dict of nodes and mask -> dict of scores."""
        self.check_inputs(inputs)
        nodes = inputs[spec.NODES]
        mask = self.mask_of(inputs)
        x = self.frame_features(nodes)
        if self.segments:
            outputs = self._score_segments(x, mask, training)
        else:
            x = self._scaled(x)
            outputs = self.score_frames(ops.where(mask[:, :, None], x, ops.zeros_like(x)), mask, training)
        scores = ops.cast(outputs[spec.ANOMALY_SCORE], "float32")
        if self.prior is not None and not training:
            scores = _add_logit(scores, self.prior(_prior_of_frames(inputs[spec.PRIOR])))
        scores = ops.where(mask, scores, 0.0)
        patch_scores = scores[:, :, None] * ops.ones_like(nodes[0, 0, :, 0], dtype="float32")
        return {**outputs, spec.ANOMALY_SCORE: scores, spec.PATCH_SCORE: patch_scores}

    def _score_segments(self, x: Tensor, mask: Tensor, training: bool) -> dict[str, Tensor]:
        """Step 2 on the parts of each video; each frame gets the outputs of its part."""
        means = self._scaled(segment_means(x, mask, self.segments))
        outputs = self.score_frames(means, ops.ones(ops.shape(means)[:2], "bool"), training)
        of_frame = {key for key, value in outputs.items() if len(value.shape) > 1 and key not in self.OF_VIDEO}
        return {key: from_segments(value, mask) if key in of_frame else value for key, value in outputs.items()}

    def frame_features(self, nodes: Tensor) -> Tensor:
        """Vectors of step 1 before they are scaled, ``(B, T, G, C)`` -> float32 ``(B, T, C)``."""
        nodes = ops.cast(nodes, "float32")
        return nodes[:, :, 0] if self.patches == "first" else ops.mean(nodes, axis=2)

    def _scaled(self, x: Tensor) -> Tensor:
        return ops.normalize(x, axis=-1) if self.normalize else x

    def attributes(self, *names: str) -> dict[str, Any]:
        """Return attributes of the model by name, for ``get_config``."""
        return {name: getattr(self, name) for name in names}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        names = ("patches", "normalize", "segments", "late_prior")
        return {**super().get_config(), **self.attributes(*names)}


def _prior_of_frames(prior: Tensor) -> Tensor:
    """The highest known prior of each frame, ``(B, T, G)`` or ``(B, T)`` -> ``(B, T)``; infinite if none is known."""
    if len(prior.shape) == 2:
        return prior
    return ops.max(ops.where(ops.isfinite(prior), prior, -float("inf")), axis=2)


def _add_logit(scores: Tensor, logit: Tensor) -> Tensor:
    """Step 4, ``(B, T)``."""
    scores = ops.clip(scores, 1e-6, 1.0 - 1e-6)
    return ops.sigmoid(ops.log(scores) - ops.log1p(-scores) + logit)
