"""What all baselines share: one vector per frame, masked scores, and loss terms that are metrics too."""

import abc

from keras import ops

from vad_keras import checks, spec
from vad_keras.models.bag_model import BagModel

PATCHES = ("first", "mean")


class Baseline(BagModel):
    """A published model that scores the moments of a video from one feature vector each, trained on video labels.

    1. One vector per frame: patch 0, the whole frame, or the mean over patches, scaled to length 1 with ``normalize``;
       ``(B, T, C)``. Padded frames are 0.
    2. ``score_frames``, which each baseline defines; ``(B, T)`` in [0, 1], and what its loss needs besides.
    3. ``loss_terms``, which each baseline defines, on one batch of bags.

    Args:
        patches: ``"first"`` or ``"mean"``; without effect for features of one vector per frame (G = 1).
        normalize: whether each vector is scaled to length 1. Each baseline starts from what its authors did.
    """

    def __init__(self, patches="first", normalize=False, **kwargs):
        super().__init__(**kwargs)
        checks.choice(PATCHES, "Patch 0 is the whole frame.", patches=patches)
        self.patches, self.normalize = patches, normalize

    @abc.abstractmethod
    def build_frames(self, feature_dim):
        """Make the weights for vectors of ``feature_dim`` channels."""

    @abc.abstractmethod
    def score_frames(self, x, mask, training):
        """``(B, T, C)``, bool ``(B, T)`` -> dict of ``anomaly_score`` ``(B, T)`` and other inputs of ``loss_terms``."""

    def build_nodes(self, nodes_shape):
        """Make the weights for nodes of ``(B, T, G, C)``."""
        self.build_frames(nodes_shape[-1])

    def call(self, inputs, training=False):
        """Dict of nodes and mask -> dict of scores."""
        self.check_inputs(inputs)
        nodes = inputs[spec.NODES]
        mask = self.mask_of(inputs)
        x = self.frame_features(nodes)
        outputs = self.score_frames(ops.where(mask[:, :, None], x, ops.zeros_like(x)), mask, training)
        scores = ops.where(mask, ops.cast(outputs[spec.ANOMALY_SCORE], "float32"), 0.0)
        patch_scores = scores[:, :, None] * ops.ones_like(nodes[0, 0, :, 0], dtype="float32")
        return {**outputs, spec.ANOMALY_SCORE: scores, spec.PATCH_SCORE: patch_scores}

    def frame_features(self, nodes):
        """Step 1, ``(B, T, G, C)`` -> float32 ``(B, T, C)``."""
        nodes = ops.cast(nodes, "float32")
        x = nodes[:, :, 0] if self.patches == "first" else ops.mean(nodes, axis=2)
        return ops.normalize(x, axis=-1) if self.normalize else x

    def attributes(self, *names):
        """Return attributes of the model by name, for ``get_config``."""
        return {name: getattr(self, name) for name in names}

    def get_config(self):
        """Return the arguments that rebuild the model."""
        return {**super().get_config(), **self.attributes("patches", "normalize")}
