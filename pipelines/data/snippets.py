"""Consecutive frames in snippets of K."""

from typing import NamedTuple

import numpy as np

PADDING_INDEX = -1


class Snippet(NamedTuple):
    """K consecutive sampled frames; a short last snippet is padded at the end."""

    frames: np.ndarray  # uint8 (K, size, size, 3), zeros in the padding
    mask: np.ndarray  # bool (K,), True for a real frame
    frame_indices: np.ndarray  # int64 (K,), -1 in the padding
    times_sec: np.ndarray  # float32 (K,), -1 in the padding


def in_snippets(frames, clip_frames):
    """Yield lists of K = ``clip_frames`` consecutive frames; the last may be shorter.

    >>> list(in_snippets(range(5), clip_frames=2))
    [[0, 1], [2, 3], [4]]
    """
    snippet = []
    for frame in frames:
        snippet.append(frame)
        if len(snippet) == clip_frames:
            yield snippet
            snippet = []
    if snippet:
        yield snippet


def padded(frames, clip_frames):
    """Return up to K frames ``(frame_index, time_sec, rgb)`` as a ``Snippet``."""
    padding = clip_frames - len(frames)
    indices, times, images = zip(*frames, strict=True)
    return Snippet(
        np.pad(np.stack(images), [(0, padding), (0, 0), (0, 0), (0, 0)]),
        np.arange(clip_frames) < len(frames),
        np.pad(np.asarray(indices, np.int64), (0, padding), constant_values=PADDING_INDEX),
        np.pad(np.asarray(times, np.float32), (0, padding), constant_values=PADDING_INDEX),
    )
