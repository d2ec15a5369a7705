"""What all baselines share: one vector a frame, masked scores, and loss terms that are metrics too."""

import abc

import keras
from keras import ops

from vad_keras import spec
from vad_keras.metrics.bag_auc import BagAUC

PATCHES = ("first", "mean")


class Baseline(keras.Model, abc.ABC):
    """A published model that scores the moments of a video from one feature vector each, trained on video labels.

    1. One vector a frame: patch 0, the whole frame, or the mean over patches, brought to length 1 with `normalize`;
       `(B, T, C)`. Padded frames are 0.
    2. `score_frames`, which each baseline defines; `(B, T)` in [0, 1], and what its loss needs besides.
    3. `loss_terms`, which each baseline defines, on one batch of bags.

    `compile` takes an optimizer only. The terms named by `LOSS_TERMS` and the AUC of the bags are metrics. What
    regularisers of weights add counts while training only, so that a validation loss tells of videos.

    Args:
        patches: `"first"` or `"mean"`; no matter for features of one vector a frame (G = 1).
        normalize: whether each vector is brought to length 1. Each baseline starts from what its authors did.
    """

    LOSS_TERMS = ()

    def __init__(self, patches="first", normalize=False, **kwargs):
        super().__init__(**kwargs)
        if patches not in PATCHES:
            raise ValueError(f"`patches` must be one of {PATCHES}. Received: {patches!r}. Patch 0 is the whole frame.")
        self.patches, self.normalize = patches, normalize
        self.term_means = [keras.metrics.Mean(name) for name in self.LOSS_TERMS]
        self.bag_auc = BagAUC()

    @abc.abstractmethod
    def build_frames(self, feature_dim):
        """Make the weights for vectors of `feature_dim` channels."""

    @abc.abstractmethod
    def score_frames(self, x, mask, training):
        """`(B, T, C)` and bool `(B, T)` -> dict of `anomaly_score` `(B, T)` and what `loss_terms` needs besides."""

    @abc.abstractmethod
    def loss_terms(self, labels, outputs, mask):
        """Labels `(B,)`, outputs of `call`, bool mask `(B, T)` -> dict of scalars: `LOSS_TERMS` and `total`.

        Where the total means another thing as training goes on, `validation` is a loss that epochs can be compared by.
        """

    def build(self, input_shape):
        """Make the weights for nodes of `(B, T, G, C)`."""
        nodes_shape = input_shape[spec.NODES] if isinstance(input_shape, dict) else input_shape
        self.build_frames(_feature_dim(nodes_shape))
        self.built = True

    def call(self, inputs, training=False):
        """Dict of nodes and mask -> dict of scores."""
        nodes = inputs[spec.NODES]
        _feature_dim(nodes.shape)
        mask = self.mask_of(inputs)
        x = self.frame_features(nodes)
        outputs = self.score_frames(ops.where(mask[:, :, None], x, ops.zeros_like(x)), mask, training)
        scores = ops.where(mask, ops.cast(outputs[spec.ANOMALY_SCORE], "float32"), 0.0)
        patch_scores = scores[:, :, None] * ops.ones_like(nodes[0, 0, :, 0], dtype="float32")
        return {**outputs, spec.ANOMALY_SCORE: scores, spec.PATCH_SCORE: patch_scores}

    def frame_features(self, nodes):
        """Step 1, `(B, T, G, C)` -> float32 `(B, T, C)`."""
        nodes = ops.cast(nodes, "float32")
        x = nodes[:, :, 0] if self.patches == "first" else ops.mean(nodes, axis=2)
        return ops.normalize(x, axis=-1) if self.normalize else x

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of one batch; each term is kept as a metric."""
        mask = self.mask_of(x)
        terms = self.loss_terms(y, y_pred, mask)
        for mean in self.term_means:
            mean.update_state(terms[mean.name])
        self.bag_auc.update_state(y, y_pred[spec.ANOMALY_SCORE], mask=mask)
        if not training:
            return terms.get("validation", terms["total"])
        return terms["total"] + sum(self.losses, start=0.0)

    @staticmethod
    def mask_of(inputs):
        """Boolean `(B, T)`, True for a real frame; without a mask all are."""
        mask = inputs.get(spec.MASK)
        return ops.ones(ops.shape(inputs[spec.NODES])[:2], dtype="bool") if mask is None else ops.cast(mask, "bool")

    def get_config(self):
        """Arguments that make an equal model."""
        return {**super().get_config(), "patches": self.patches, "normalize": self.normalize}


def _feature_dim(shape):
    if len(shape) != 4:
        raise ValueError(
            f"`nodes` must have the axes (videos, frames, patches, channels). Received shape: {tuple(shape)}. "
            "Features of whole frames need a patch axis of size 1: nodes[:, :, None, :]."
        )
    return shape[-1]
