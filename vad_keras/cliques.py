"""Cliques over time and the banded affinity that they leave: the geometry that attention and CRF share.

A clique of temporal locality tau joins frame ``j`` with tau - 1 adjacent frames (Sec 3.3.3). A key that no clique of a
frame reaches needs neither storage nor arithmetic, so time is cut into blocks of ``S`` query frames, and each block
sees the ``M = S + max(tau) - 1`` key frames that hold all its cliques: two matrix products per block, at a cost linear
in ``T``.

The affinity of a batch is a ``BandedAffinity``.
"""

from typing import Literal, NamedTuple, TypeAlias

from keras import ops

from vad_keras.typing import Tensor

Alignment = Literal["centered", "causal"]
FEWEST_NODES_OF_A_BLOCK = 16  # below, a matrix product costs more to start than to compute


class BandedAffinity(NamedTuple):
    """The affinity of a batch, stored block by block.

    Queries come last, because sums over the patches of a key frame then run over a middle axis, along whole vectors.
    The fields are in alphabetical order, in which Keras numbers the tensors of a saved functional model.
    """

    key_frames: Tensor  # int32 (B, N, M), the frame that each of the M rows stands for, >= T where there is none
    weights: Tensor  # (B, N, M, G, S, G), from node (key frame, patch) to (query frame, patch), 0 outside the cliques


Affinity: TypeAlias = BandedAffinity | Tensor  # a tensor if it is dense, (B, T, G, T, G)


class Geometry(NamedTuple):
    """How time is cut into blocks. It stays inside one call: the sizes may be Python integers."""

    block_frames: int  # S
    num_keys: int  # M
    lengths: Tensor  # int32 (B,), or (1,) without a mask
    query_frames: Tensor  # int32 (N, S)
    key_frames: Tensor  # int32 (B, N, M)


def banded(affinity: Affinity) -> BandedAffinity | None:
    """Return a banded affinity as a ``BandedAffinity``, and None for a dense tensor.

    A functional model that is saved and loaded passes on a list, or a dict if it was saved by an older version.
    """
    if isinstance(affinity, dict):
        return BandedAffinity(**affinity)
    return BandedAffinity(*affinity) if isinstance(affinity, (list, tuple)) else None


def block_size(num_frames: int | Tensor, num_patches: int, widest: int) -> tuple[int, int]:
    """Query and key frames of a block, ``(S, M)``.

    Of ``M`` key frames a query uses ``widest``, so small blocks waste little arithmetic but copy keys more often; half
    the widest clique is a compromise. Few frames are one block that needs no copies.

    Args:
        num_frames: ``T``, a tensor where it is unknown.
        num_patches: ``G``.
        widest: the largest temporal locality.
    """
    block_frames = max(-(-widest // 2), -(-FEWEST_NODES_OF_A_BLOCK // num_patches))
    num_keys = block_frames + widest - 1
    if isinstance(num_frames, int) and 0 < num_frames <= num_keys:
        return num_frames, num_frames
    return block_frames, num_keys


def block_key_frames(
    lengths: Tensor, num_blocks: int | Tensor, size: tuple[int, int], widest: int, alignment: Alignment
) -> Tensor:
    """Frames that a block of queries needs as keys.

    Args:
        lengths: int32 ``(B,)``, real frames of each video.
        num_blocks: blocks along time, ``N``.
        size: query and key frames of a block, ``(S, M)``.
        widest: the largest temporal locality.
        alignment: ``"centered"`` or ``"causal"``.

    Returns:
        int32 ``(B, N, M)``; may exceed a video's length, never falls below 0.
    """
    block_frames, num_keys = size
    reach_back = (widest - 1) // 2 if alignment == "centered" else widest - 1
    first_query = ops.arange(num_blocks, dtype="int32") * block_frames
    last_start = ops.maximum(lengths - num_keys, 0)
    start = ops.minimum(ops.maximum(first_query[None, :] - reach_back, 0), last_start[:, None])
    return start[:, :, None] + ops.arange(num_keys, dtype="int32")


def clique_members(
    query_frames: Tensor, key_frames: Tensor, lengths: Tensor, locality: int, alignment: Alignment
) -> Tensor:
    """Whether a key frame belongs to the clique of a query frame.

    Centred cliques are shifted inwards at both ends and always hold ``min(tau, n)`` frames; causal ones end at the
    query frame and are cut at 0.

    Args:
        query_frames: int32 ``(N, S)``.
        key_frames: int32 ``(B, N, M)``.
        lengths: int32 ``(B,)``.
        locality: tau, own frame included.
        alignment: ``"centered"`` or ``"causal"``.

    Returns:
        bool ``(B, N, M, S)``, False for every frame of padding.
    """
    query = query_frames[None, :, None, :]
    key = key_frames[:, :, :, None]
    length = lengths[:, None, None, None]
    if alignment == "centered":
        start = ops.minimum(ops.maximum(query - (locality - 1) // 2, 0), ops.maximum(length - locality, 0))
        inside = (key >= start) & (key < start + locality)
    else:
        inside = (key > query - locality) & (key <= query)
    return inside & (key < length) & (query < length)


def gather_frames(values: Tensor, frames: Tensor) -> Tensor:
    """Take the key frames of each block: ``(B, T, ...)`` -> ``(B, N, M, ...)``.

    Frames past the end repeat the last one; their affinity is 0.

    Args:
        values: ``(B, T, ...)``.
        frames: of ``block_key_frames``, int32 ``(B, N, M)``; ``(1, N, M)`` holds for every video.
    """
    shape = ops.shape(values)
    batch, num_frames = shape[0], shape[1]
    if tuple(frames.shape[1:]) == (1, num_frames):  # one block, which holds all frames in their order
        return values[:, None]
    rows = ops.minimum(frames, num_frames - 1) + (ops.arange(batch, dtype="int32") * num_frames)[:, None, None]
    flat = ops.reshape(values, (batch * num_frames, *shape[2:]))
    return ops.take(flat, rows, axis=0)


def split_blocks(values: Tensor, block_frames: int) -> Tensor:
    """Cut time into blocks: ``(B, T, ...)`` -> ``(B, N, S, ...)``, zeros behind the end."""
    shape = ops.shape(values)
    num_blocks = (shape[1] + block_frames - 1) // block_frames  # in this form: JAX compares symbolic sizes as text
    padding = num_blocks * block_frames - shape[1]
    if not isinstance(padding, int) or padding:
        values = ops.pad(values, [(0, 0), (0, padding)] + [(0, 0)] * (len(shape) - 2))
    return ops.reshape(values, (shape[0], num_blocks, block_frames, *shape[2:]))


def join_blocks(blocks: Tensor, num_frames: int | Tensor) -> Tensor:
    """Undo ``split_blocks``: ``(B, N, S, ...)`` -> ``(B, T, ...)``."""
    shape = ops.shape(blocks)
    return ops.reshape(blocks, (shape[0], shape[1] * shape[2], *shape[3:]))[:, :num_frames]


def without_own_weight(affinity: Affinity) -> Affinity:
    """Set the weight of each node to itself to 0: ``(i', j') != (i, j)`` in Eq. 2 and 6.

    Not by subtracting its part from the messages: a printed exponential of Eq. 1 may be so large that the rest drowns.

    Args:
        affinity: banded affinity, or a dense tensor ``(B, T, G, T, G)``.
    """
    band = banded(affinity)
    if band is None:
        shape = ops.shape(affinity)
        row = ops.arange(shape[1] * shape[2], dtype="int32")
        return _without(affinity, (shape[0], shape[1] * shape[2], shape[1] * shape[2]), row)
    key_frames, weights = band
    batch, num_blocks, num_keys, num_patches, block_frames, _ = ops.shape(weights)
    query = ops.reshape(ops.arange(num_blocks * block_frames, dtype="int32"), (1, num_blocks, block_frames))
    row = (query - key_frames[:, :, :1])[..., None] * num_patches + ops.arange(num_patches, dtype="int32")
    row = ops.reshape(row, (-1, num_blocks, 1, block_frames * num_patches))
    shape = (batch, num_blocks, num_keys * num_patches, block_frames * num_patches)
    return BandedAffinity(key_frames, _without(weights, shape, row))


def _without(weights: Tensor, shape: tuple[Tensor, ...], row: Tensor) -> Tensor:
    """Weights, seen as matrices of ``shape``, without the element ``row`` of each column."""
    own = ops.arange(shape[-2], dtype="int32")[:, None] == row
    matrix = ops.reshape(weights, shape)
    return ops.reshape(ops.where(own, 0.0, matrix), ops.shape(weights))


def propagate(affinity: Affinity, values: Tensor) -> Tensor:
    """Sum the values of all neighbours, weighted: ``sum_b' p(b, b') values(b')``.

    Args:
        affinity: banded affinity, or a dense tensor ``(B, T, G, T, G)``.
        values: ``(B, T, G)``.

    Returns:
        ``(B, T, G)``.
    """
    batch, num_frames, num_patches = ops.shape(values)
    band = banded(affinity)
    if band is None:
        num_nodes = num_frames * num_patches
        matrix = ops.reshape(affinity, (batch, num_nodes, num_nodes))
        message = ops.matmul(matrix, ops.reshape(values, (batch, num_nodes, 1)))
        return ops.reshape(message, (batch, num_frames, num_patches))
    _, num_blocks, num_keys, _, block_frames, _ = ops.shape(band.weights)
    matrix = ops.reshape(band.weights, (batch, num_blocks, num_keys * num_patches, block_frames * num_patches))
    gathered = gather_frames(values, band.key_frames)
    gathered = ops.reshape(gathered, (batch, num_blocks, 1, num_keys * num_patches))
    message = ops.reshape(ops.matmul(gathered, matrix), (batch, num_blocks, block_frames, num_patches))
    return join_blocks(message, num_frames)


def dense_affinity(affinity: Affinity, num_frames: int) -> Tensor:
    """Write a banded affinity out as a dense tensor, to look at or to test: ``(B, T, G, T, G)``.

    Args:
        affinity: banded affinity of ``T`` frames; a dense one is returned as it is.
        num_frames: ``T``.

    Example:

    >>> import numpy as np
    >>> from vad_keras.layers import CliqueSelfAttention
    >>> attention = CliqueSelfAttention(key_dim=2, value_dim=2, temporal_localities=(1, 2))
    >>> h, affinity = attention(np.ones((1, 4, 3, 5), "float32"), return_affinity=True)
    >>> tuple(dense_affinity(affinity, 4).shape)
    (1, 4, 3, 4, 3)
    """
    band = banded(affinity)
    if band is None:
        return affinity
    # not ops.one_hot, which torch refuses for the frames past the end
    rows = ops.cast(band.key_frames[..., None] == ops.arange(num_frames), band.weights.dtype)
    return join_blocks(ops.einsum("bnmhsg,bnmt->bnsgth", band.weights, rows), num_frames)


def split_patches(nodes: Tensor) -> Tensor:
    """Make a video of each patch: ``(B, T, G, C)`` -> ``(B G, T, 1, C)``."""
    _, num_frames, _, channels = ops.shape(nodes)
    return ops.reshape(ops.transpose(nodes, (0, 2, 1, 3)), (-1, num_frames, 1, channels))


def join_patches(values: Tensor, num_patches: int) -> Tensor:
    """Undo ``split_patches``: ``(B G, T, 1, C)`` -> ``(B, T, G, C)``."""
    _, num_frames, _, channels = ops.shape(values)
    return ops.transpose(ops.reshape(values, (-1, num_patches, num_frames, channels)), (0, 2, 1, 3))
