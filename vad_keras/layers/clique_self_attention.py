"""Self-attention over cliques of several temporal localities."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from vad_keras import checks, cliques
from vad_keras.cliques import Alignment, BandedAffinity, Geometry
from vad_keras.spec import DEFAULT_TEMPORAL_LOCALITIES, precision
from vad_keras.typing import Shape, Tensor

Normalization = Literal["softmax", "none"]


@keras.saving.register_keras_serializable("vad_keras")
class CliqueSelfAttention(keras.layers.Layer):
    """Relate each node to the nodes of the frames around it, at several temporal localities in one pass.

    The cliques of a frame are nested, so one block of scores serves all localities. A softmax over a clique is taken in
    two exact steps, over the patches of each frame and over the frames; only the second, ``G`` times smaller, depends
    on the locality, and each score is exponentiated once:

    1. ``s(b, b') = theta1(b) . theta2(b') / sqrt(E)`` for the keys of a block (Eq. 1);
    2. ``p(b, b') = softmax_patches(s) * softmax_frames(logsumexp_patches(s))`` inside the clique of each locality;
    3. ``affinity = sum_tau w_tau p_tau`` (Eq. 4 and the text under Eq. 6);
    4. ``h = affinity theta3(b')`` (Eq. 3).

    Time and memory grow with ``T``, not with its square.

    Args:
        key_dim: size ``E`` of theta1 and theta2.
        value_dim: size ``F`` of theta3 and of the output.
        temporal_localities: frames of each clique, own frame included.
        alignment: ``"centered"`` (shifted inwards at the ends of a video, ``min(tau, n)`` frames) or ``"causal"``
            (``[j - tau + 1, j]`` cut at 0, for streams).
        normalization: ``"softmax"`` over the clique, or ``"none"`` for the plain exponential of Eq. 1 (of scores that
            are still divided by ``sqrt(E)``), which overflows when scores are large.

    Call arguments:
        nodes: ``(B, T, G, C)``.
        mask: bool ``(B, T)``, True for real frames; padding is at the end. None: all frames are real.
        return_affinity: also return the affinity, for ``MeanFieldCRF`` (see ``vad_keras.cliques``).

    Output shape:
        ``(B, T, G, F)``; 0 in padded frames. With ``return_affinity=True`` a pair with the affinity, in
        float32 at least.

    Raises:
        ValueError: for an empty, repeated or non-positive locality, an unknown alignment or normalization, or nodes
            that are not 4-D.

    Example:

    >>> import numpy as np
    >>> attention = CliqueSelfAttention(key_dim=8, value_dim=16, temporal_localities=(1, 2, 4))
    >>> h, affinity = attention(np.ones((2, 5, 3, 6), "float32"), return_affinity=True)
    >>> tuple(h.shape)
    (2, 5, 3, 16)

    Reference:
        Purwanto, Chen, Fang, ICCV 2021, Sec 3.3.3, Eq. 1, 3 and 4.
    """

    def __init__(
        self,
        key_dim: int,
        value_dim: int,
        temporal_localities: Sequence[int] = DEFAULT_TEMPORAL_LOCALITIES,
        alignment: Alignment = "centered",
        normalization: Normalization = "softmax",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.integers(1, key_dim=key_dim, value_dim=value_dim)
        checks.integer_lists(1, temporal_localities=temporal_localities)
        self.temporal_localities = tuple(int(locality) for locality in temporal_localities)
        if len(set(self.temporal_localities)) < len(self.temporal_localities):
            raise ValueError(f"`temporal_localities` must not repeat. Received: {temporal_localities}.")
        checks.choice(get_args(Alignment), alignment=alignment)
        checks.choice(get_args(Normalization), normalization=normalization)
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.alignment = alignment
        self.normalization = normalization
        self.query = keras.layers.Dense(key_dim, use_bias=False, dtype=self.dtype_policy, name="query")
        self.key = keras.layers.Dense(key_dim, use_bias=False, dtype=self.dtype_policy, name="key")
        self.value = keras.layers.Dense(value_dim, use_bias=False, dtype=self.dtype_policy, name="value")
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4:
            raise ValueError(f"`nodes` must have shape (B, T, G, C). Received: {tuple(input_shape)}.")
        for embedding in (self.query, self.key, self.value):
            embedding.build(input_shape)
        count = len(self.temporal_localities)
        self.locality_weights = self.add_weight(
            name="locality_weights", shape=(count,), initializer=keras.initializers.Constant(1.0 / count)
        )
        super().build(input_shape)

    def _geometry(self, nodes: Tensor, mask: Tensor | None) -> Geometry:
        """How the frames of the nodes are cut into blocks."""
        num_frames, num_patches = ops.shape(nodes)[1], nodes.shape[2]
        if mask is None:
            lengths = ops.full((1,), num_frames, dtype="int32")  # one for all: nothing here then depends on the batch
        else:
            lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        widest = max(self.temporal_localities)
        size = cliques.block_size(num_frames, num_patches, widest)
        num_blocks = (num_frames + size[0] - 1) // size[0]
        query_frames = ops.reshape(ops.arange(num_blocks * size[0], dtype="int32"), (num_blocks, size[0]))
        key_frames = cliques.block_key_frames(lengths, num_blocks, size, widest, self.alignment)
        return cliques.Geometry(size[0], size[1], lengths, query_frames, key_frames)

    def _scores(self, query: Tensor, key: Tensor, geometry: Geometry) -> Tensor:
        """Step 1: ``(B, N, M, G, S * G)`` in float32 at least."""
        batch, _, num_patches, _ = ops.shape(query)
        block_frames, num_keys = geometry.block_frames, geometry.num_keys
        query = cliques.split_blocks(query * self.key_dim**-0.5, block_frames)
        num_blocks, num_queries = ops.shape(query)[1], block_frames * num_patches
        query = ops.reshape(query, (batch, num_blocks, num_queries, self.key_dim))
        key = ops.reshape(key, (batch, num_blocks, num_keys * num_patches, self.key_dim))
        scores = ops.matmul(key, ops.transpose(query, (0, 1, 3, 2)))
        scores = ops.reshape(scores, (batch, num_blocks, num_keys, num_patches, num_queries))
        return ops.cast(scores, precision(self.compute_dtype))

    def _frame_weights(self, frame_logits: Tensor, geometry: Geometry) -> Tensor:
        """Steps 2 and 3, between frames: ``sum_tau w_tau softmax_tau(frame_logits)``, ``(B, N, M, S, G)``.

        Without normalization ``exp`` stands in place of the softmax.
        """
        frames = (geometry.query_frames, geometry.key_frames, geometry.lengths)
        members = [
            cliques.clique_members(*frames, locality, self.alignment)
            for locality in self.temporal_localities
        ]
        members = ops.stack(members, axis=3)[..., None]  # (B, N, M, localities, S, 1)
        weights = ops.cast(self.locality_weights, frame_logits.dtype)[:, None, None]
        inside = ops.where(members, frame_logits[:, :, :, None], -1e30)  # no exponential of what is outside
        if self.normalization == "none":
            return ops.sum(ops.exp(inside) * weights, axis=3)
        peak = ops.max(ops.stop_gradient(inside), axis=2, keepdims=True)
        share = ops.exp(inside - ops.maximum(peak, -1e29))  # 0 outside, in an empty clique too
        return ops.sum(share * (weights / ops.maximum(ops.sum(share, axis=2, keepdims=True), 0.5)), axis=3)

    def _weights(self, scores: Tensor, geometry: Geometry) -> Tensor:
        """Steps 2 and 3: ``(B, N, M, G, S * G)``, from one exponential of each score."""
        peak = ops.max(ops.stop_gradient(scores), axis=3, keepdims=True)
        within = ops.exp(scores - peak)
        mass = ops.sum(within, axis=3, keepdims=True)  # of a frame, at least 1
        shape, block_frames = ops.shape(peak), geometry.block_frames
        by_patch = (*shape[:3], block_frames, shape[4] // block_frames)
        frame_logits = peak + ops.log(mass)
        between = ops.reshape(self._frame_weights(ops.reshape(frame_logits, by_patch), geometry), shape)
        return within * (between / mass)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, BandedAffinity]:
        """Steps 1 to 4 from theta1, theta2 and theta3, ``(B, T, G, E)`` and ``(B, T, G, F)``: ``h`` and affinity."""
        geometry = self._geometry(query, mask)
        block_frames, num_keys, key_frames = geometry.block_frames, geometry.num_keys, geometry.key_frames
        weights = self._weights(self._scores(query, cliques.gather_frames(key, key_frames), geometry), geometry)
        batch, num_blocks, _, num_patches, num_queries = ops.shape(weights)
        num_rows = num_keys * num_patches
        matrix = ops.reshape(ops.cast(weights, value.dtype), (batch, num_blocks, num_rows, num_queries))
        value = ops.reshape(cliques.gather_frames(value, key_frames), (batch, num_blocks, num_rows, self.value_dim))
        h = ops.matmul(ops.transpose(matrix, (0, 1, 3, 2)), value)
        h = ops.reshape(h, (batch, num_blocks, block_frames, num_patches, self.value_dim))
        weights = ops.reshape(weights, (batch, num_blocks, num_keys, num_patches, block_frames, num_patches))
        key_frames = ops.broadcast_to(key_frames, (batch, num_blocks, num_keys))
        return cliques.join_blocks(h, ops.shape(query)[1]), cliques.BandedAffinity(key_frames, weights)

    def call(
        self, nodes: Tensor, mask: Tensor | None = None, return_affinity: bool = False
    ) -> Tensor | tuple[Tensor, BandedAffinity]:
        if mask is not None:
            mask = ops.cast(mask, "bool")
            nodes = ops.where(mask[:, :, None, None], nodes, ops.zeros_like(nodes))
        h, affinity = self._attend(self.query(nodes), self.key(nodes), self.value(nodes), mask)
        return (h, affinity) if return_affinity else h

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return mask

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "temporal_localities": self.temporal_localities,
            "alignment": self.alignment,
            "normalization": self.normalization,
        }
