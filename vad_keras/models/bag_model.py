"""What the anomaly detector and every baseline share: inputs, loss terms and metrics."""

import abc
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from vad_keras import checks, spec
from vad_keras.layers.normal_memory import NormalMemory
from vad_keras.layers.prior_logit import PriorLogit
from vad_keras.losses.bags import labels_of_bags
from vad_keras.metrics.bag_auc import BagAUC
from vad_keras.models.checked_model import CheckedModel, check_features, check_keys, check_mask
from vad_keras.typing import Shape, Tensor

NODE_AXES = "(B, T, G, C)"
PATCH_HINT = "Features of whole frames need a patch axis of size 1: nodes[:, :, None, :]."


class BagModel(CheckedModel, abc.ABC):
    """A model that scores the frames of videos from their nodes, trained with a single label per video.

    1. ``call`` scores every frame, ``(B, T)``; padding scores 0.
    2. ``loss_terms`` compares the videos of a batch; the model brings its own loss, so ``compile`` takes no ``loss``.

    Each term of ``LOSS_TERMS`` and the AUC of the bags are metrics. A metric given to ``compile`` gets one label and
    one score per video, ``(B, 1)``: the highest score of its frames. Regularizers and ``add_loss`` count in training
    only, so that a validation loss depends on the videos alone. Terms between videos have no weight per video, so
    ``class_weight`` and ``sample_weight`` are refused. A batch of one label has no pairs: its terms between videos are
    0.
    """

    LOSS_TERMS: tuple[str, ...] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.term_means = [keras.metrics.Mean(name=term) for term in self.LOSS_TERMS]
        self.bag_auc = BagAUC()
        self.num_channels: int | None = None  # of a node, known once the model is built
        self.prior: PriorLogit | None = None
        self.memory: NormalMemory | None = None  # see ``MemoryModel``

    @abc.abstractmethod
    def build_nodes(self, nodes_shape: Shape) -> None:
        """Make the weights for nodes of ``(None, None, G, C)``."""

    @abc.abstractmethod
    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Labels ``(B,)``, outputs of ``call``, bool mask ``(B, T)`` -> dict of scalars: ``LOSS_TERMS`` and ``total``.

        Where the total changes its meaning during training, ``validation`` is a loss that compares epochs.
        """

    def build(self, input_shape: Shape | dict[str, Shape]) -> None:
        """Make the weights for nodes of ``(B, T, G, C)``, the shape itself or under the key ``nodes``."""
        shape = input_shape.get(spec.NODES) if isinstance(input_shape, dict) else input_shape
        if shape is None or len(shape) != 4:
            received = sorted(map(str, input_shape)) if shape is None else tuple(shape)
            raise ValueError(f"`nodes` must have shape {NODE_AXES}. Received: {received}. {PATCH_HINT}")
        channels = checks.channels("nodes", shape)
        self.build_nodes((None, None, *shape[2:]))
        self.num_channels = channels
        self.built = True

    @property
    def uses_prior(self) -> bool:
        """Whether the inputs must hold a prior."""
        return False

    def adapt_prior(self, priors: Sequence[NDArray[Any]]) -> None:
        """Set the scale of the prior: the highest patches of normal frames get mean 0 and deviation 1.

        Args:
            priors: of normal training videos, all of whose frames are known to be normal; each ``(T, G)`` or ``(T,)``.

        Raises:
            ValueError: for a model without a prior.
        """
        if self.prior is None:
            raise ValueError(
                f'{type(self).__name__} has no prior. Set `unary_from="prior"` or `prior_in_score=True` (a detector) '
                "or `late_prior=True` (a baseline) when you make the model."
            )
        known = [np.where(np.isfinite(prior), prior, -np.inf) for prior in priors]
        self.prior.adapt(np.concatenate([prior.max(axis=1) if prior.ndim == 2 else prior for prior in known]))

    def check_inputs(self, inputs: dict[str, Tensor]) -> None:
        """Raise a ``ValueError`` unless the inputs are a dict of nodes ``(B, T, G, C)`` and, optional, their mask."""
        check_keys(inputs, (spec.NODES, spec.MASK, spec.PRIOR), (spec.NODES,))
        nodes, mask = inputs[spec.NODES], inputs.get(spec.MASK)
        check_features(spec.NODES, nodes, NODE_AXES, PATCH_HINT)
        if self.num_channels not in (None, nodes.shape[-1]):
            raise ValueError(
                f"`nodes` must have the {self.num_channels} channels that this model was built for. "
                f"Received shape: {tuple(nodes.shape)}."
            )
        if mask is not None:
            check_mask(mask, spec.NODES, nodes)
        if self.uses_prior:
            check_prior(inputs.get(spec.PRIOR), nodes)

    def check_weights(self, class_weight: dict[int, float] | None = None, sample_weight: Tensor | None = None) -> None:
        """Raise a ``ValueError`` for weights of videos."""
        for name, value in (("class_weight", class_weight), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"{type(self).__name__} takes no `{name}`: its loss compares the videos of a batch. "
                    "Fill the batches with as many videos of each label as they should count."
                )

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configure the training as ``keras.Model.compile`` does; the loss is that of the model.

        Args:
            optimizer: name or instance.
            loss, loss_weights: not taken.
            **kwargs: the other arguments of ``keras.Model.compile``.

        Raises:
            ValueError: for a ``loss`` or ``loss_weights``.
        """
        for name, value in (("loss", loss), ("loss_weights", loss_weights)):
            if value is not None:
                raise ValueError(
                    f"{type(self).__name__} brings its own loss and takes no `{name}`. Received: {value!r}. Set its "
                    "terms by the arguments of the model, or override `loss_terms` in a subclass."
                )
        super().compile(optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model. Keras leaves this to a model with a ``compile`` of its own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss of one batch; each term is kept as a metric."""
        self.check_weights(sample_weight=sample_weight)
        mask = self.mask_of(x)
        terms = self.loss_terms(labels_of_bags(y), y_pred, mask)
        for mean in self.term_means:
            mean.update_state(terms[mean.name])
        self.bag_auc.update_state(y, y_pred[spec.ANOMALY_SCORE], mask=mask)
        if not training:
            return terms.get("validation", terms["total"])
        return terms["total"] + sum(self.losses, start=0.0)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the metrics of ``compile`` with the labels and scores of the videos, ``(B, 1)``."""
        scores = ops.max(y_pred[spec.ANOMALY_SCORE], axis=1, keepdims=True)
        labels = ops.reshape(labels_of_bags(y), (-1, 1))
        metrics: dict[str, Any] = super().compute_metrics(x, labels, scores, sample_weight)
        return metrics

    @property
    def _default_save_signature(self) -> Any:
        """No function but the signatures in a SavedModel: the one that Keras traces from ``build`` lacks the prior."""
        return None if self.uses_prior else super()._default_save_signature

    @staticmethod
    def mask_of(inputs: dict[str, Tensor]) -> Tensor:
        """Boolean ``(B, T)``, True for a real frame; without a mask all are."""
        mask = inputs.get(spec.MASK)
        return ops.ones(ops.shape(inputs[spec.NODES])[:2], dtype="bool") if mask is None else ops.cast(mask, "bool")


def check_prior(prior: Tensor | None, nodes: Tensor) -> None:
    """Refuse a prior that is missing, or is neither one number per node nor one per frame."""
    expected = f"shape (B, T, G) or (B, T) of `{spec.NODES}`, {tuple(nodes.shape[:3])}"
    if prior is None:
        raise ValueError(f"the inputs lack the key '{spec.PRIOR}': this model takes a prior, {expected}.")
    shape = tuple(prior.shape)
    differ = any(None not in (a, b) and a != b for a, b in zip(shape, nodes.shape, strict=False))
    if len(shape) not in (2, 3) or differ:
        raise ValueError(f"`{spec.PRIOR}` must have {expected}. Received shape: {shape}.")
