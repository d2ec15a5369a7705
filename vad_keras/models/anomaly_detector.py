"""The anomaly detector: node features of whole videos -> one score per frame and per patch."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from vad_keras import checks, cliques, spec
from vad_keras.layers.clique_self_attention import CliqueSelfAttention, Normalization
from vad_keras.layers.mean_field_crf import Inference, MeanFieldCRF
from vad_keras.layers.temporal_context import ContextScore
from vad_keras.losses.contrastive_mil import checked_options, contrastive_mil
from vad_keras.models.memory_model import MemoryModel
from vad_keras.typing import Shape, Tensor

FramePooling = Literal["max", "mean", "whole_frame"]
ScoreSource = Literal["scorer", "marginals", "mean"]
NodeNormalization = Literal["layer", "unit", "none"]
CLASSIFIED_HEADS = (spec.MARGINALS, spec.PATCH_SCORE, spec.CONTEXT_SCORE)
UnarySource = Literal["nodes", "prior", "both"]
CliquePatches = Literal["all", "same"]


@keras.saving.register_keras_serializable("vad_keras")
class AnomalyDetector(MemoryModel):
    """Clique self-attention, mean-field CRF and multi-instance scorer over the nodes of a video.

    1. ``b``: nodes, normalised over channels, ``(B, T, G, C)``;
    2. ``h``, affinity: ``CliqueSelfAttention(b)``, plus a linear skip path, ``(B, T, G, F)`` (Eq. 1, 3, 4);
    3. ``E_u = f_u(b)``, ``E_hat = MeanFieldCRF(E_u, affinity)``, ``(B, T, G, 2)`` (Eq. 5 to 8);
    4. ``v = f_s(h)``, the patch scores, ``(B, T, G)`` (Sec 3.4);
    5. one score per frame from the scores of its patches, ``(B, T)``; with ``context_frames`` times the probability
       that anything abnormal happens around it.

    ``compile(optimizer)`` is enough: the loss is ``vad_keras.losses.contrastive_mil`` (Eq. 9) and each of its terms is
    a metric. ``fit`` takes ``({"nodes", "mask"}, labels)`` with one label per video, ``(B,)``; abnormal and normal
    videos of a batch are distinguished by label.

    Args:
        key_dim, value_dim, temporal_localities, alignment, normalization: of the attention.
        max_iterations, tolerance, inference: of the CRF.
        node_normalization: ``"layer"`` (mean 0 and variance 1 over the channels of a node), ``"unit"`` (each node is
            scaled to length 1, as in [1]; learns more slowly and overfits few videos less) or ``"none"``.
        projection_dim: nodes are first brought to this size by a dense layer with ReLU; 0 leaves them as they are.
        residual: add a linear map of the nodes to ``h``; False is the model as printed.
        self_attention_crf: False scores each node by itself: ``h`` is the linear map of the nodes alone, ``E_hat`` the
            softmax of the unary energies. These are the rows of Table 1 without the self-attention CRF.
        hidden_units: of the scorer.
        dropout: rate on the nodes and in front of the scorer.
        frame_pooling: score of a frame: ``"max"`` or ``"mean"`` over its patches, or patch 0, ``"whole_frame"``.
        score_from: ``"scorer"`` (v), ``"marginals"`` (E_hat) or their ``"mean"``. Choose it on training videos only.
        unary_from: what the unary energies (Eq. 5) are made of: ``"nodes"`` (``f_u``, the paper), ``"prior"``, the
            prior of the inputs, or the sum of ``"both"``. The mean field spreads them. Set the scale of the prior by
            ``adapt_prior``.
        prior_in_score: add the prior to the logit of the scorer as well.
        potts_weight: start of the compatibility, see ``MeanFieldCRF``.
        context_frames: length of the window in which ``ContextScore`` says whether anything abnormal happens; the frame
            scores are multiplied by it. As long as a video it serves best: the label of a video teaches whether, the
            prior and the cliques say when. 0: none.
        loss_options: arguments of ``contrastive_mil``, for example ``{"k": 0.1, "contrast_form": "printed"}``.
        clique_patches: the nodes of a clique: ``"all"`` patches of its frames (the paper), or the ``"same"`` patch in
            each of them. Then many small patches cost no more than few, and messages keep their place.
        memory_nodes: nodes of normal videos to keep, see ``NormalMemory``; the prior of a node is then its distance to
            them, unless the inputs hold one. Fill the memory by ``adapt_memory``. 0: none.

    Call arguments:
        inputs: dict with ``nodes`` ``(B, T, G, C)`` and optionally ``mask``, bool ``(B, T)``, True for real frames;
            padding is at the end and changes no real frame. With a prior also ``prior``, ``(B, T, G)`` or
            ``(B, T)``: any number that is higher where an abnormal event is more likely (see ``PriorLogit``).

    Output shape:
        Dict of float32: ``anomaly_score`` ``(B, T)`` in [0, 1]; ``context_score`` ``(B, T)``, with ``context_frames``;
        ``patch_score`` ``(B, T, G)``; ``marginals`` ``(B, T, G, 2)``; ``unary_probability`` ``(B, T, G)``, what the CRF
        started from; ``embedding`` ``(B, T, G, F)``; ``iterations`` int32 ``(B,)``. Scores of padded frames are 0.

    Raises:
        ValueError: for an unknown option, or nodes that are not 4-D.

    Example:

    >>> import numpy as np
    >>> detector = AnomalyDetector(key_dim=4, value_dim=8, temporal_localities=(1, 2))
    >>> outputs = detector({"nodes": np.ones((2, 5, 3, 6), "float32")})
    >>> tuple(outputs["anomaly_score"].shape)
    (2, 5)

    Reference:
        Purwanto, Chen, Fang, ICCV 2021, Sec 3.3 and 3.4; [1] Sultani et al., CVPR 2018.
    """

    LOSS_TERMS = ("bag_cross_entropy", "sparsity", "temporal_smoothness", "contrast")

    # Keras stores a layer under its first attribute in alphabetical order: ``skip`` under this one, as in older files.
    around = property(lambda self: self.skip)

    def __init__(
        self,
        key_dim: int = 64,
        value_dim: int = 128,
        temporal_localities: Sequence[int] = spec.DEFAULT_TEMPORAL_LOCALITIES,
        alignment: cliques.Alignment = "centered",
        normalization: Normalization = "softmax",
        max_iterations: int = 10,
        tolerance: float = 1e-4,
        inference: Inference = "mean_field",
        node_normalization: NodeNormalization = "layer",
        projection_dim: int = 0,
        residual: bool = True,
        self_attention_crf: bool = True,
        hidden_units: int = 32,
        dropout: float = 0.3,
        frame_pooling: FramePooling = "max",
        score_from: ScoreSource = "scorer",
        unary_from: UnarySource = "nodes",
        prior_in_score: bool = False,
        potts_weight: float = 1.0,
        context_frames: int = 0,
        loss_options: Mapping[str, Any] | None = None,
        clique_patches: CliquePatches = "all",
        memory_nodes: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.choice(get_args(FramePooling), frame_pooling=frame_pooling)
        checks.choice(get_args(ScoreSource), score_from=score_from)
        checks.choice(get_args(NodeNormalization), node_normalization=node_normalization)
        checks.choice(get_args(UnarySource), unary_from=unary_from)
        checks.choice(get_args(CliquePatches), clique_patches=clique_patches)
        checks.integers(0, projection_dim=projection_dim, context_frames=context_frames, memory_nodes=memory_nodes)
        checks.integers(1, hidden_units=hidden_units)
        checks.numbers_in("[0, 1)", dropout=dropout)
        if not (residual or self_attention_crf):
            raise ValueError("Without `self_attention_crf` the scorer needs `residual=True`. Received: False for both.")
        self.clique_patches, self.node_normalization = clique_patches, node_normalization
        self.residual, self.self_attention_crf = residual, self_attention_crf
        self.projection_dim, self.hidden_units, self.dropout_rate = projection_dim, hidden_units, dropout
        self.frame_pooling, self.score_from = frame_pooling, score_from
        self.unary_from, self.prior_in_score = unary_from, prior_in_score
        self.loss_options = checked_options(loss_options or {})
        cliques_of = key_dim, value_dim, temporal_localities, alignment, normalization
        self.attention = CliqueSelfAttention(*cliques_of, dtype=self.dtype_policy, name="attention")
        self.crf = MeanFieldCRF(max_iterations, tolerance, inference, potts_weight, name="crf")
        self.context = None
        if context_frames:
            self.context = ContextScore(context_frames, alignment, dropout, dtype=self.dtype_policy, name="context")
        self.make_prior(unary_from != "nodes" or prior_in_score, memory_nodes)
        self._make_heads()

    def _make_heads(self) -> None:
        policy, dense = self.dtype_policy, keras.layers.Dense
        # every map that follows is linear: a scale and a shift would add nothing
        self.normalize = None
        if self.node_normalization == "layer":
            self.normalize = keras.layers.LayerNormalization(center=False, scale=False, dtype=policy)
        elif self.node_normalization == "unit":
            self.normalize = keras.layers.UnitNormalization(dtype=policy)
        self.project = None
        if self.projection_dim:
            self.project = dense(self.projection_dim, activation="relu", dtype=policy, name="project")
        self.node_dropout = keras.layers.Dropout(self.dropout_rate, dtype=policy)
        self.skip: Any = dense(self.attention.value_dim, dtype=policy, name="skip") if self.residual else None
        self.f_u = dense(spec.NUM_LABELS, dtype="float32", name="f_u") if self.unary_from != "prior" else None
        self.f_p = None
        if self.self_attention_crf and self.crf.inference == "algorithm_1":
            self.f_p = dense(spec.NUM_LABELS, dtype="float32", name="f_p")
        self.scorer_dropout = keras.layers.Dropout(self.dropout_rate, dtype=policy)
        self.f_s_hidden = dense(self.hidden_units, activation="gelu", dtype=policy, name="f_s_hidden")
        self.f_s = dense(1, dtype="float32", name="f_s")

    def build_nodes(self, nodes_shape: Shape) -> None:
        """Make the weights for nodes of ``(B, T, G, C)``."""
        shape = nodes_shape
        if self.normalize is not None:
            self.normalize.build(shape)
        if self.project is not None:
            self.project.build(shape)
            shape = (*shape[:3], self.projection_dim)
        if self.context is not None:
            self.context.build(nodes_shape)
        if self.f_u is not None:
            self.f_u.build(shape)
        if self.skip is not None:
            self.skip.build(shape)
        embedding_shape = (*shape[:3], self.attention.value_dim)
        if self.self_attention_crf:
            self.attention.build(shape)
            self.crf.build((*shape[:3], spec.NUM_LABELS))
        if self.f_p is not None:
            self.f_p.build(embedding_shape)
        self.build_prior(nodes_shape)
        self.f_s_hidden.build(embedding_shape)
        self.f_s.build((*shape[:3], self.hidden_units))

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Dict of nodes and mask -> dict of scores."""
        self.check_inputs(inputs)
        mask = self.mask_of(inputs)
        normalized = self.normalize_nodes(ops.cast(inputs[spec.NODES], self.compute_dtype), mask)
        nodes = self.node_dropout(self.project(normalized) if self.project else normalized, training=training)
        prior = self.prior_logit(inputs, normalized)
        unary_energy = self._unary_energy(nodes, prior)
        if self.self_attention_crf:
            h, marginals, iterations = self._relate(nodes, unary_energy, mask)
        else:
            h, marginals = self.skip(nodes), ops.softmax(-unary_energy, axis=-1)
            iterations = ops.zeros_like(mask[:, 0], dtype="int32")
        hidden = self.f_s_hidden(self.scorer_dropout(h, training=training))
        logit = self.f_s(hidden)[..., 0]
        patch_score = ops.sigmoid(logit + prior if self.prior_in_score else logit)
        score = self._frame_score(patch_score, marginals[..., spec.ABNORMAL], mask)
        context = {}
        if self.context is not None:
            context[spec.CONTEXT_SCORE] = self.context(normalized, mask=mask, training=training)
            score = score * context[spec.CONTEXT_SCORE]
        return {
            spec.ANOMALY_SCORE: score,
            **context,
            spec.PATCH_SCORE: ops.where(mask[:, :, None], patch_score, 0.0),
            spec.MARGINALS: marginals,
            spec.UNARY_PROBABILITY: ops.softmax(-unary_energy, axis=-1)[..., spec.ABNORMAL],
            spec.EMBEDDING: ops.cast(h, "float32"),
            spec.ITERATIONS: iterations,
        }

    def _unary_energy(self, nodes: Tensor, prior: Tensor | None) -> Tensor:
        """Step 3, ``E_u``."""
        if self.f_u is None:
            return _energy_of(prior)
        energy = self.f_u(nodes)
        return energy if self.unary_from == "nodes" else energy + _energy_of(prior)

    def _relate(self, nodes: Tensor, unary_energy: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Steps 2 and 3: nodes seen together with the others of their cliques."""
        num_patches = nodes.shape[2]
        if self.clique_patches == "same":
            nodes, unary_energy = map(cliques.split_patches, (nodes, unary_energy))
            mask = ops.repeat(mask, num_patches, axis=0)
        h, affinity = self.attention(nodes, mask=mask, return_affinity=True)
        if self.skip is not None:
            h = h + self.skip(nodes)
        pairwise = affinity if self.f_p is None else self.f_p(h)
        marginals, iterations = self.crf(unary_energy, pairwise, mask=mask, return_iterations=True)
        if self.clique_patches == "same":
            h, marginals = cliques.join_patches(h, num_patches), cliques.join_patches(marginals, num_patches)
            iterations = ops.max(ops.reshape(iterations, (-1, num_patches)), axis=1)
        return h, marginals, iterations

    def normalize_nodes(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """Step 1; padded nodes are 0."""
        nodes = ops.where(mask[:, :, None, None], nodes, ops.zeros_like(nodes))
        return nodes if self.normalize is None else self.normalize(nodes)

    def _frame_score(self, patch_score: Tensor, abnormal_marginal: Tensor, mask: Tensor) -> Tensor:
        """Step 5: the score that is reported, ``(B, T)``."""
        chosen = {
            "scorer": patch_score,
            "marginals": abnormal_marginal,
            "mean": (patch_score + abnormal_marginal) / 2.0,
        }[self.score_from]
        pool = {"max": ops.max, "mean": ops.mean}.get(self.frame_pooling)
        return ops.where(mask, chosen[..., 0] if pool is None else pool(chosen, axis=-1), 0.0)

    def loss_terms(self, labels: Tensor, outputs: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Eq. 9 on one batch."""
        heads = tuple(key for key in CLASSIFIED_HEADS if key in outputs)
        return contrastive_mil(labels, outputs, mask, **{"cross_entropy_on": heads, **self.loss_options})

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the model."""
        attention, crf = self.attention, self.crf
        of_attention = ("key_dim", "value_dim", "temporal_localities", "alignment", "normalization")
        return {
            **super().get_config(),
            **{name: getattr(attention, name) for name in of_attention},
            "clique_patches": self.clique_patches,
            "max_iterations": crf.max_iterations,
            "tolerance": crf.tolerance,
            "inference": crf.inference,
            "node_normalization": self.node_normalization,
            "projection_dim": self.projection_dim,
            "residual": self.residual,
            "self_attention_crf": self.self_attention_crf,
            "hidden_units": self.hidden_units,
            "dropout": self.dropout_rate,
            "frame_pooling": self.frame_pooling,
            "score_from": self.score_from,
            "unary_from": self.unary_from,
            "prior_in_score": self.prior_in_score,
            "memory_nodes": self.memory.size if self.memory else 0,
            "potts_weight": crf.cell.potts_weight,
            "context_frames": self.context.context.frames if self.context else 0,
            "loss_options": self.loss_options,
        }


def _energy_of(prior: Tensor) -> Tensor:
    """Half of the prior on each label, so that the logit of "abnormal" grows by the prior: ``(B, T, G, 2)``."""
    return ops.stack([prior, -prior], axis=-1) / 2.0
