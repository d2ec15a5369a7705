"""Records as serialized ``tf.train.Example``, written without TensorFlow, which the decoding processes do not load.

An example maps names to lists of bytes, floats or integers. Its wire format is fixed, and the tests compare it with
what TensorFlow writes, byte by byte.
"""

import struct

import numpy as np

from pipelines.run.wire import field, varint

UNKNOWN_LABEL = -1


def serialize_clip(jpegs, frame_indices, times_sec, video_id, snippet_index, label, fps):
    """Serialize one snippet.

    Args:
        jpegs: The real frames, 1..K JPEG byte strings; the last snippet of a video may be short.
        frame_indices: Index of each frame in the original video.
        times_sec: Presentation time of each frame.
        video_id: Id in the manifest.
        snippet_index: Position of the snippet in its video, from 0.
        label: 0, 1 or None.
        fps: Mean frames per second of the original video.
    """
    return _example(
        frames=_bytes(*jpegs),
        frame_indices=_ints(*frame_indices),
        times_sec=_floats(*times_sec),
        video_id=_bytes(video_id.encode()),
        snippet_index=_ints(snippet_index),
        label=_ints(UNKNOWN_LABEL if label is None else label),
        fps=_floats(fps),
    )


def serialize_bag(nodes, video_id, label, frame_indices, prior=None):
    """Serialize the node features ``(T, G, C)`` of one video, stored as float16.

    Args:
        nodes: The features.
        video_id: Id in the manifest.
        label: 0, 1 or None.
        frame_indices: Index of each time step in the original video.
        prior: Log-odds of each node, ``(T, G)``, stored as float32; None: there are none.

    Raises:
        ValueError: ``nodes`` and ``frame_indices`` or ``prior`` differ in length.
    """
    nodes = np.asarray(nodes)
    if nodes.ndim != 3 or len(nodes) != len(frame_indices):
        raise ValueError(
            "`nodes` must be (T, G, C) with one frame index per time step. "
            f"Received: {nodes.shape} and {len(frame_indices)} indices."
        )
    if prior is not None and np.shape(prior) != nodes.shape[:2]:
        raise ValueError(f"`prior` must be (T, G) = {nodes.shape[:2]}. Received: {np.shape(prior)}.")
    extra = {} if prior is None else {"prior": _bytes(np.asarray(prior, "<f4").tobytes())}
    return _example(
        nodes=_bytes(nodes.astype("<f2").tobytes()),
        shape=_ints(*nodes.shape),
        video_id=_bytes(video_id.encode()),
        label=_ints(UNKNOWN_LABEL if label is None else label),
        frame_indices=_ints(*frame_indices),
        **extra,
    )


# Field numbers of tensorflow/core/example/{example,feature}.proto: an Example holds Features (1), which hold a map (1)
# of names (1) to Feature (2): a list of bytes (1), floats (2) or integers (3), whose values are field 1.


def _example(**features):
    entries = (field(1, field(1, name.encode()) + field(2, feature)) for name, feature in sorted(features.items()))
    return field(1, b"".join(entries))


def _bytes(*values):
    return field(1, b"".join(field(1, value) for value in values))


def _floats(*values):
    return field(2, _packed(struct.pack(f"<{len(values)}f", *values)))


def _ints(*values):
    return field(3, _packed(b"".join(varint(int(value)) for value in values)))


def _packed(content):
    """Return numbers as one field; without any, protobuf writes nothing."""
    return field(1, content) if content else b""
