"""Cliques over time and the banded affinity that they leave: the geometry that attention and CRF share.

A clique of temporal locality tau joins frame ``j`` with tau - 1 adjacent frames (Sec 3.3.3). A key that no clique of a
frame reaches needs neither storage nor arithmetic, so time is cut into blocks of ``S`` query frames, and each block
sees the ``S + max(tau) - 1`` key frames that hold all its cliques: two matrix products a block, at a cost linear in
``T``.

The affinity of a batch is a dictionary:

* ``weights``: ``(B, N, S, G, M, G)``, from node (query frame, patch) to node (key frame, patch), 0 outside the cliques;
* ``key_frames``: int32 ``(B, N, M)``, the frame each of the ``M`` columns stands for, >= ``T`` where there is none.
"""

from keras import ops

ALIGNMENTS = ("centered", "causal")


def precision(compute_dtype):
    """Type of scores, softmax and energies: float32 at least, also under mixed precision; float64 for float64."""
    return "float64" if compute_dtype == "float64" else "float32"


def block_key_frames(lengths, num_blocks, block_frames, widest, alignment):
    """Frames that a block of queries needs as keys.

    Args:
        lengths: int32 ``(B,)``, real frames of each video.
        num_blocks: blocks along time, ``N``.
        block_frames: query frames of a block, ``S``.
        widest: the largest temporal locality.
        alignment: ``"centered"`` or ``"causal"``.

    Returns:
        int32 ``(B, N, M)`` with ``M = S + widest - 1``; may exceed a video's length, never falls below 0.
    """
    num_keys = block_frames + widest - 1
    reach_back = (widest - 1) // 2 if alignment == "centered" else widest - 1
    first_query = ops.arange(num_blocks, dtype="int32") * block_frames
    last_start = ops.maximum(lengths - num_keys, 0)
    start = ops.minimum(ops.maximum(first_query[None, :] - reach_back, 0), last_start[:, None])
    return start[:, :, None] + ops.arange(num_keys, dtype="int32")


def clique_members(query_frames, key_frames, lengths, locality, alignment):
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
        bool ``(B, N, S, M)``, False for every frame of padding.
    """
    query = query_frames[None, :, :, None]
    key = key_frames[:, :, None, :]
    length = lengths[:, None, None, None]
    if alignment == "centered":
        start = ops.minimum(ops.maximum(query - (locality - 1) // 2, 0), ops.maximum(length - locality, 0))
        inside = (key >= start) & (key < start + locality)
    else:
        inside = (key > query - locality) & (key <= query)
    return inside & (key < length) & (query < length)


def gather_frames(values, frames):
    """Take frames of each video: values ``(B, T, ...)`` and frames int32 ``(B, N, M)`` -> ``(B, N, M, ...)``.

    Frames past the end repeat the last one; their affinity is 0.
    """
    shape = ops.shape(values)
    batch, num_frames = shape[0], shape[1]
    rows = ops.minimum(frames, num_frames - 1) + (ops.arange(batch, dtype="int32") * num_frames)[:, None, None]
    flat = ops.reshape(values, (batch * num_frames, *shape[2:]))
    return ops.take(flat, rows, axis=0)


def split_blocks(values, block_frames):
    """Cut time into blocks: ``(B, T, ...)`` -> ``(B, N, S, ...)``, zeros behind the end."""
    shape = ops.shape(values)
    padding = -shape[1] % block_frames
    values = ops.pad(values, [(0, 0), (0, padding)] + [(0, 0)] * (len(shape) - 2))
    return ops.reshape(values, (shape[0], (shape[1] + padding) // block_frames, block_frames, *shape[2:]))


def join_blocks(blocks, num_frames):
    """Undo ``split_blocks``: ``(B, N, S, ...)`` -> ``(B, T, ...)``."""
    shape = ops.shape(blocks)
    return ops.reshape(blocks, (shape[0], shape[1] * shape[2], *shape[3:]))[:, :num_frames]


def without_own_weight(affinity):
    """Set the weight of each node to itself to 0: ``(i', j') != (i, j)`` in Eq. 2 and 6.

    Args:
        affinity: banded affinity, or a dense tensor ``(B, T, G, T, G)``.
    """
    weights = affinity["weights"] if isinstance(affinity, dict) else affinity
    num_patches = weights.shape[-1]
    other_patch = 1.0 - ops.eye(num_patches, dtype=weights.dtype)
    if not isinstance(affinity, dict):
        own_frame = ops.eye(ops.shape(weights)[1], dtype=weights.dtype)
        return weights * (1.0 - own_frame[:, None, :, None] * (1.0 - other_patch[:, None, :]))
    key_frames = affinity["key_frames"]
    num_blocks, block_frames = ops.shape(weights)[1], ops.shape(weights)[2]
    query = ops.reshape(ops.arange(num_blocks * block_frames, dtype="int32"), (1, num_blocks, block_frames, 1))
    own_frame = ops.cast(key_frames[:, :, None, :] == query, weights.dtype)
    keep = 1.0 - own_frame[:, :, :, None, :, None] * (1.0 - other_patch[:, None, :])
    return {"weights": weights * keep, "key_frames": key_frames}


def propagate(affinity, values):
    """Sum the values of all neighbours, weighted: ``sum_b' p(b, b') values(b')``.

    Args:
        affinity: banded affinity, or a dense tensor ``(B, T, G, T, G)``.
        values: ``(B, T, G, F)``.

    Returns:
        ``(B, T, G, F)``.
    """
    shape = ops.shape(values)
    batch, num_frames, num_patches, size = shape
    if not isinstance(affinity, dict):
        matrix = ops.reshape(affinity, (batch, num_frames * num_patches, num_frames * num_patches))
        return ops.reshape(ops.matmul(matrix, ops.reshape(values, (batch, num_frames * num_patches, size))), shape)
    weights = affinity["weights"]
    _, num_blocks, block_frames, _, num_keys, _ = ops.shape(weights)
    matrix = ops.reshape(weights, (batch, num_blocks, block_frames * num_patches, num_keys * num_patches))
    gathered = gather_frames(values, affinity["key_frames"])
    gathered = ops.reshape(gathered, (batch, num_blocks, num_keys * num_patches, size))
    message = ops.reshape(ops.matmul(matrix, gathered), (batch, num_blocks, block_frames, num_patches, size))
    return join_blocks(message, num_frames)


def dense_affinity(affinity, num_frames):
    """Write a banded affinity out as a dense tensor, to look at or to test: ``(B, T, G, T, G)``.

    Args:
        affinity: banded affinity of ``T`` frames.
        num_frames: ``T``.
    """
    # not ops.one_hot, which torch refuses for the frames past the end
    columns = ops.cast(affinity["key_frames"][..., None] == ops.arange(num_frames), affinity["weights"].dtype)
    return join_blocks(ops.einsum("bnsgmh,bnmt->bnsgth", affinity["weights"], columns), num_frames)
