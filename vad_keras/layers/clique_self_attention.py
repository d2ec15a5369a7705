"""Self-attention over cliques of several temporal localities."""

import keras
from keras import ops

from vad_keras import cliques
from vad_keras.spec import DEFAULT_TEMPORAL_LOCALITIES

NORMALIZATIONS = ("softmax", "none")


@keras.saving.register_keras_serializable("vad_keras")
class CliqueSelfAttention(keras.layers.Layer):
    """Relate each node to the nodes of the frames around it, at several temporal localities in one pass.

    The cliques of a frame are nested, so one block of scores serves all localities. A softmax over a clique is taken in
    two exact steps, over the patches of each frame and over the frames; only the second, ``G`` times smaller, depends
    on the locality:

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
        normalization: ``"softmax"`` over the clique, or ``"none"`` for the exponential as printed in Eq. 1, which
            overflows when scores are large.

    Call arguments:
        nodes: ``(B, T, G, C)``.
        mask: bool ``(B, T)``, True for real frames; padding stands at the end. None: all frames are real.
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
        key_dim,
        value_dim,
        temporal_localities=DEFAULT_TEMPORAL_LOCALITIES,
        alignment="centered",
        normalization="softmax",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.temporal_localities = tuple(int(locality) for locality in temporal_localities)
        if not self.temporal_localities or min(self.temporal_localities) < 1:
            raise ValueError(
                "`temporal_localities` must be one or more frame counts >= 1 (1 is the frame itself). "
                f"Received: {temporal_localities}."
            )
        if len(set(self.temporal_localities)) < len(self.temporal_localities):
            raise ValueError(f"`temporal_localities` must not repeat. Received: {temporal_localities}.")
        if alignment not in cliques.ALIGNMENTS:
            raise ValueError(f"`alignment` must be one of {cliques.ALIGNMENTS}. Received: {alignment!r}.")
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"`normalization` must be one of {NORMALIZATIONS}. Received: {normalization!r}.")
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.alignment = alignment
        self.normalization = normalization
        self.query = keras.layers.Dense(key_dim, use_bias=False, dtype=self.dtype_policy, name="query")
        self.key = keras.layers.Dense(key_dim, use_bias=False, dtype=self.dtype_policy, name="key")
        self.value = keras.layers.Dense(value_dim, use_bias=False, dtype=self.dtype_policy, name="value")
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 4:
            raise ValueError(f"`nodes` must have shape (B, T, G, C). Received: {tuple(input_shape)}.")
        for embedding in (self.query, self.key, self.value):
            embedding.build(input_shape)
        count = len(self.temporal_localities)
        self.locality_weights = self.add_weight(
            name="locality_weights", shape=(count,), initializer=keras.initializers.Constant(1.0 / count)
        )
        super().build(input_shape)

    def _geometry(self, nodes, mask):
        """Lengths ``(B,)``, query frames ``(N, S)`` and key frames ``(B, N, M)`` of the blocks."""
        num_frames = ops.shape(nodes)[1]
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        widest = max(self.temporal_localities)
        block_frames = widest
        num_blocks = (num_frames + block_frames - 1) // block_frames
        query_frames = ops.reshape(ops.arange(num_blocks * block_frames, dtype="int32"), (num_blocks, block_frames))
        key_frames = cliques.block_key_frames(lengths, num_blocks, block_frames, widest, self.alignment)
        return lengths, query_frames, key_frames

    def _scores(self, nodes, key_frames):
        """Step 1: ``(B, N, S * G, M, G)`` in float32 at least."""
        num_patches = nodes.shape[2]
        query = cliques.split_blocks(self.query(nodes) * self.key_dim**-0.5, max(self.temporal_localities))
        key = cliques.gather_frames(self.key(nodes), key_frames)
        batch, num_blocks, block_frames = ops.shape(query)[:3]
        num_keys = ops.shape(key)[2]
        query = ops.reshape(query, (batch, num_blocks, block_frames * num_patches, self.key_dim))
        key = ops.reshape(key, (batch, num_blocks, num_keys * num_patches, self.key_dim))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        shape = (batch, num_blocks, block_frames * num_patches, num_keys, num_patches)
        return ops.cast(ops.reshape(scores, shape), cliques.precision(self.compute_dtype))

    def _frame_weights(self, frame_logits, geometry):
        """Steps 2 and 3, between frames: ``sum_tau w_tau softmax_tau(frame_logits)``, ``(B, N, S * G, M)``."""
        lengths, query_frames, key_frames = geometry
        shape = ops.shape(frame_logits)
        block_frames = query_frames.shape[1]
        frame_logits = ops.reshape(frame_logits, (*shape[:2], block_frames, shape[2] // block_frames, shape[3]))
        total = 0.0
        for position, locality in enumerate(self.temporal_localities):
            members = cliques.clique_members(query_frames, key_frames, lengths, locality, self.alignment)
            members = members[:, :, :, None, :]
            if self.normalization == "softmax":
                inside = ops.where(members, frame_logits, -1e30)
                # not ops.softmax, which warns of an axis of size 1: localities of (1,) are a case of the paper
                share = ops.exp(inside - ops.logsumexp(inside, axis=-1, keepdims=True))
            else:
                share = ops.exp(frame_logits)
            weight = ops.cast(self.locality_weights[position], frame_logits.dtype)
            total = total + weight * ops.where(members, share, 0.0)
        return ops.reshape(total, shape)

    def call(self, nodes, mask=None, return_affinity=False):
        if mask is None:
            mask = ops.ones(ops.shape(nodes)[:2], dtype="bool")
        mask = ops.cast(mask, "bool")
        nodes = ops.where(mask[:, :, None, None], nodes, ops.zeros_like(nodes))
        geometry = self._geometry(nodes, mask)
        key_frames = geometry[2]
        scores = self._scores(nodes, key_frames)
        frame_logits = ops.logsumexp(scores, axis=-1)
        within_frame = ops.exp(scores - frame_logits[..., None])
        between_frames = self._frame_weights(frame_logits, geometry)
        weights = within_frame * between_frames[..., None]
        batch, num_blocks, num_queries, num_keys, num_patches = ops.shape(weights)
        by_node = (batch, num_blocks, num_queries // num_patches, num_patches, num_keys, num_patches)
        affinity = {"weights": ops.reshape(weights, by_node), "key_frames": key_frames}
        values = self.value(nodes)
        weights = ops.cast(affinity["weights"], values.dtype)
        h = cliques.propagate({"weights": weights, "key_frames": key_frames}, values)
        return (h, affinity) if return_affinity else h

    def compute_mask(self, inputs, mask=None):
        return mask

    def get_config(self):
        return {
            **super().get_config(),
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "temporal_localities": self.temporal_localities,
            "alignment": self.alignment,
            "normalization": self.normalization,
        }
