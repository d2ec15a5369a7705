"""Relation-aware feature extractor: frames -> multi-scale patch features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import ops

from vad_keras import checks
from vad_keras.layers.patch_pooling import MultiScalePatchPooling, Pooling
from vad_keras.layers.relation_gate import RelationGate
from vad_keras.layers.temporal_relation import TemporalRelation, repeat_last_frame
from vad_keras.losses.bags import labels_of_bags
from vad_keras.models.action_logits import ActionLogits, load_action_logits
from vad_keras.models.backbones import Backbone
from vad_keras.models.checked_model import check_features, check_keys, check_mask
from vad_keras.models.frame_encoder import FrameEncoder
from vad_keras.models.video_networks import VIDEO_BACKBONES, VideoBackbone
from vad_keras.spec import DEFAULT_CLIP_FRAMES, DEFAULT_SCALES, MASK, NODES, PRIOR
from vad_keras.typing import Shape, Tensor

FRAMES = "frames"
MAPS = "maps"
LOGITS = "logits"
ANOMALY_PROBABILITY = "anomaly_probability"


@keras.saving.register_keras_serializable("vad_keras")
class RelationAwareExtractor(FrameEncoder):
    """Turn snippets of ``K`` frames into node features, and learn them by classifying snippets as abnormal or normal.

    1. frames -> feature maps of the last convolutional block, ``(B, K, h, w, C)``; with ``video_backbone`` the maps of
       both networks side by side; with ``motion`` each position also gets how much it differs from the frame before,
       ``(B, K, h, w, 2 C)``;
    2. the relation gate re-weighs the positions of a snippet by their inner products;
    3. multi-scale patch pooling: the nodes, ``(B, K, G, C)``;
    4. for training, the mean over the patches of each frame goes through temporal relations (TRN) to one logit;
    5. with ``prior_labels`` the classifier of the video network, applied to the mean of each patch of its map, gives
       each node the log-odds of the abnormal actions, ``(B, K, G)``.

    ``compile(optimizer)`` and ``fit`` work with a dataset of ``({"frames": ..., "mask": ...}, label)``: without a
    ``loss`` the binary cross-entropy of the logits is taken; a ``loss`` and ``metrics`` given to ``compile`` see the
    probability.

    With ``train_backbone=True`` all batch norms of the backbone but the first are frozen ("partial batch norm"); with
    ``False`` the whole backbone is frozen, so that its maps may be computed once (``feature_maps``) and kept.

    A video backbone sees the ``K`` frames of a snippet together. Its map of a frame depends on the frames around it, so
    the maps of a snippet alone are not those of the whole video: compute them with ``temporal_reach`` more frames on
    each side (``plan_windows``), or give them as ``maps``.

    Args:
        backbone: ``"resnet50"`` (the paper), ``"mobilenet_v2"``, ``"small"``, or the video network ``"mc3_18"``.
        weights: of the backbone: None (random), ``"imagenet"`` (downloads) or the path of a weights file. A saved
            extractor holds its weights itself and needs no such file again.
        image_size: side of the square frames in pixels; None: the size of the backbone, 224 or 112.
        clip_frames: ``K``.
        scales: grids of the patches.
        pooling: ``"max"`` or ``"average"``.
        gate_dim: embedding size of the relation gate; 0 leaves the gate out (plain TRN, first row of Table 1).
        motion: append to each map its absolute difference from that of the frame before (for the first frame of a
            snippet: after it). Not in the paper; a backbone without published weights sees little else of an event.
        relation_units: size of the temporal relations.
        dropout: share of the frame features that is dropped in training.
        train_backbone: learn the backbone as well.
        seed: of dropout and of the tuples drawn in training.
        video_backbone: None, or a video network (``"mc3_18"``) beside an image backbone: appearance and motion. Frames
            are resized inside the model, so that both have maps of one size (224 pixels become 112).
        video_weights: of the video backbone: None (random) or the path of a ``.npz`` or ``.pth`` file.
        prior_labels: names of the outputs of the classifier in the weights file of the video network, in their order;
            empty: no prior.
        prior_abnormal: those of ``prior_labels`` that count as abnormal.
        backbone_layer: layer of the backbone whose maps are taken, such as ``"block_13_expand_relu"`` of MobileNetV2 or
            ``"layer3"`` of MC3-18, for finer patches; None: the last one.

    Call arguments:
        inputs: dict with ``frames``, ``(B, K, S, S, 3)`` RGB in 0..255 of any dtype, and optionally ``mask``, bool
            ``(B, K)``, True for real frames; padding is at the end. Instead of ``frames`` it may hold ``maps``, the
            result of ``feature_maps``.

    Output shape:
        Dict with ``anomaly_probability`` ``(B,)`` and ``logits`` ``(B,)``, both float32, and ``nodes``
        ``(B, K, G, C)``, 0 in padded frames. With ``prior_labels`` also ``prior``, float32 ``(B, K, G)``, likewise.

    Raises:
        ValueError: for an unknown backbone, a weights file that does not fit, a prior without a video network, or
            frames of another size or number.
        FileNotFoundError: when the weights file is not there.

    Example:

    >>> import numpy as np
    >>> extractor = RelationAwareExtractor(backbone="small", image_size=32, clip_frames=4)
    >>> outputs = extractor({"frames": np.zeros((2, 4, 32, 32, 3), "uint8")})
    >>> tuple(outputs["nodes"].shape)
    (2, 4, 14, 96)

    Reference:
        Purwanto, Chen, Fang, ICCV 2021, Sec 3.2 and 4.2.
    """

    built: bool  # by Keras

    def __init__(
        self,
        backbone: Backbone = "resnet50",
        weights: str | Path | None = None,
        image_size: int | None = None,
        clip_frames: int = DEFAULT_CLIP_FRAMES,
        scales: Sequence[int] = DEFAULT_SCALES,
        pooling: Pooling = "max",
        gate_dim: int = 64,
        motion: bool = False,
        relation_units: int = 256,
        dropout: float = 0.8,
        train_backbone: bool = True,
        seed: int | None = None,
        video_backbone: VideoBackbone | None = None,
        video_weights: str | Path | None = None,
        prior_labels: Sequence[str] = (),
        prior_abnormal: Sequence[str] = (),
        backbone_layer: str | None = None,
        **kwargs: Any,
    ) -> None:
        networks = backbone, weights, image_size, train_backbone, video_backbone, video_weights, backbone_layer
        super().__init__(*networks, **kwargs)
        checks.integers(1, relation_units=relation_units)
        checks.integers(2, clip_frames=clip_frames)  # a relation needs two frames
        checks.integers(0, gate_dim=gate_dim)
        checks.numbers_in("[0, 1)", dropout=dropout)
        self.clip_frames = clip_frames
        self.motion = motion
        self.seed = seed
        dtype = {"dtype": self.dtype_policy}
        self.gate = RelationGate(gate_dim, name="gate", **dtype) if gate_dim else None
        self.patches = MultiScalePatchPooling(scales, pooling, name="patches", **dtype)
        head_weights = weights if backbone in VIDEO_BACKBONES else video_weights
        self._build_prior(head_weights, prior_labels, prior_abnormal)
        self.relation = TemporalRelation(
            relation_units, clip_frames, dropout=dropout, seed=seed, name="relation", **dtype
        )
        self.head = keras.layers.Dense(1, dtype="float32", name="head")
        self.build()

    def _build_prior(self, weights: str | Path | None, labels: Sequence[str], abnormal: Sequence[str]) -> None:
        """The classifier of the video network, never trained here, and its patches; None without ``labels``."""
        self.prior_abnormal = tuple(abnormal)
        self.prior_head: ActionLogits | None = None
        self.prior_patches: MultiScalePatchPooling | None = None
        if not labels:
            if abnormal:
                raise ValueError(f"`prior_abnormal` needs `prior_labels`. Received: {tuple(abnormal)} without labels.")
            return
        if self.backbone_name in VIDEO_BACKBONES and self.backbone_layer is not None:
            raise ValueError(
                "`prior_labels` need the last maps of the video network. "
                f"Received: `backbone_layer`={self.backbone_layer!r}."
            )
        if self.video_name is None:
            raise ValueError(
                f"`prior_labels` need a video network, one of {tuple(VIDEO_BACKBONES)}, as `backbone` or "
                f"`video_backbone`. Received: {self.backbone_name!r}."
            )
        if weights is None:
            self.prior_head = ActionLogits(labels, name="prior_head")
            self.prior_head.build((None, self.network_shapes[-1][-1]))
        else:
            self.prior_head = load_action_logits(weights, labels)
        self.prior_head.check_abnormal(abnormal)
        self.prior_head.trainable = False
        self.prior_patches = MultiScalePatchPooling(self.patches.scales, "average", dtype="float32")

    @property
    def channel_groups(self) -> tuple[int, ...]:
        """Channels of the parts that lie side by side in a node, such as ``(1280, 512)``; they sum to ``C``."""
        return tuple(shape[-1] for shape in self.network_shapes) * (2 if self.motion else 1)

    def build(self, input_shape: Shape | dict[str, Shape] | None = None) -> None:
        if self.built:
            return
        height, width, _ = self.map_shape
        channels = sum(self.channel_groups)
        if self.gate:
            self.gate.build((None, self.clip_frames, height, width, channels))
        self.relation.build((None, self.clip_frames, channels))
        self.head.build((None, self.relation.units))
        self.built = True

    def check_inputs(self, inputs: dict[str, Tensor]) -> None:
        """Raise a ``ValueError`` unless the inputs are a dict of frames or maps and, optional, their mask."""
        check_keys(inputs, (FRAMES, MAPS, MASK), (FRAMES, MAPS))
        name = MAPS if MAPS in inputs else FRAMES
        check_features(name, inputs[name], "(B, K, h, w, C)" if name == MAPS else "(B, K, S, S, 3)")
        if name == FRAMES:
            self.check_frames(inputs[FRAMES], self.clip_frames)
        if inputs.get(MASK) is not None:
            check_mask(inputs[MASK], name, inputs[name])

    def nodes_from_maps(self, maps: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        """Steps 2 and 3 alone: maps ``(B, K, h, w, C)`` -> nodes ``(B, K, G, C)``, 0 in padded frames.

        With ``motion`` the nodes have ``2 C`` channels.
        """
        if self.motion:
            maps = ops.concatenate([maps, self._changes(maps, mask)], axis=-1)
        gated = self.gate(maps, mask=mask, training=training) if self.gate else maps
        nodes = self.patches(gated, training=training)
        if mask is None:
            return nodes
        return ops.where(ops.cast(mask, "bool")[:, :, None, None], nodes, ops.zeros_like(nodes))

    @property
    def has_prior(self) -> bool:
        """Whether the extractor gives a prior."""
        return self.prior_head is not None

    def prior_from_maps(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        """Step 5 alone: maps ``(B, K, h, w, C)`` -> log-odds ``(B, K, G)``, float32, 0 in padded frames.

        The classifier is linear, so it is applied to the mean of each patch of the maps, whatever ``pooling`` is, and
        before the gate.
        """
        if self.prior_head is None or self.prior_patches is None:
            raise ValueError("the extractor has no prior. Give it `prior_labels` and `prior_abnormal`.")
        maps = maps[..., -self.network_shapes[-1][-1] :]
        patches = self.prior_patches(ops.cast(maps, "float32"))
        prior = self.prior_head.log_odds(patches, self.prior_abnormal)
        return prior if mask is None else ops.where(ops.cast(mask, "bool")[:, :, None], prior, 0.0)

    def _changes(self, maps: Tensor, mask: Tensor | None) -> Tensor:
        """Absolute difference of each frame's maps from the frame before; padding counts as a still picture."""
        if mask is not None:
            maps = repeat_last_frame(maps, mask)
        changes = ops.abs(maps[:, 1:] - maps[:, :-1])
        return ops.concatenate([changes[:, :1], changes], axis=1) if self.clip_frames > 1 else ops.zeros_like(maps)

    def classify_nodes(self, nodes: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        """Step 4 alone: nodes ``(B, K, G, C)`` -> logits ``(B,)``, float32."""
        relation = self.relation(ops.mean(nodes, axis=2), mask=mask, training=training)
        return ops.squeeze(self.head(relation), axis=-1)

    def classify_maps(self, maps: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        """Steps 2 to 4: maps ``(B, K, h, w, C)`` -> logits ``(B,)``, float32."""
        return self.classify_nodes(self.nodes_from_maps(maps, mask, training), mask, training)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        self.check_inputs(inputs)
        mask = inputs.get(MASK)
        maps = inputs[MAPS] if MAPS in inputs else self.feature_maps(inputs[FRAMES], mask, training)
        nodes = self.nodes_from_maps(maps, mask, training)
        logits = self.classify_nodes(nodes, mask, training)
        outputs = {ANOMALY_PROBABILITY: ops.sigmoid(logits), LOGITS: logits, NODES: nodes}
        return {**outputs, PRIOR: self.prior_from_maps(maps, mask)} if self.has_prior else outputs

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        y = labels_of_bags(y)[:, None]
        if self._compile_loss is not None:
            probability = y_pred[ANOMALY_PROBABILITY][:, None]
            return super().compute_loss(x, y, probability, sample_weight, training)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)(y, y_pred[LOGITS][:, None], sample_weight)
        return sum(self.losses, loss)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        y = labels_of_bags(y)[:, None]
        metrics: dict[str, Any] = super().compute_metrics(x, y, y_pred[ANOMALY_PROBABILITY][:, None], sample_weight)
        return metrics

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "backbone": self.backbone_name,
            "weights": None,  # they are in the saved file; the path or the download may be gone
            "image_size": self.image_size,
            "clip_frames": self.clip_frames,
            "scales": self.patches.scales,
            "pooling": self.patches.mode,
            "gate_dim": self.gate.embedding_dim if self.gate else 0,
            "motion": self.motion,
            "relation_units": self.relation.units,
            "dropout": self.relation.dropout.rate,
            "train_backbone": self.train_backbone,
            "seed": self.seed,
            "video_backbone": self.video_backbone_name,
            "video_weights": None,
            "prior_labels": self.prior_head.labels if self.prior_head else (),
            "prior_abnormal": self.prior_abnormal,
            "backbone_layer": self.backbone_layer,
        }
