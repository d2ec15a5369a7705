"""Consecutive frames in snippets of K, and scores of sampled frames spread over all frames."""

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


def expand_to_frames(scores, frame_indices, num_frames):
    """Expand the scores of the sampled frames to one score per original frame.

    A score is repeated until the next sampled frame. The first score also covers the frames before it, the last one the
    frames to the end of the video.

    Args:
        scores: ``(T, ...)``, one row per sampled frame.
        frame_indices: ``(T,)``, their original indices, strictly increasing, below ``num_frames``.
        num_frames: True length of the video.

    Returns:
        ``(num_frames, ...)``.

    Raises:
        ValueError: The lengths differ, or the indices do not increase inside the video.

    Example:

    >>> expand_to_frames(np.array([0.1, 0.9]), [1, 3], num_frames=6).tolist()
    [0.1, 0.1, 0.1, 0.9, 0.9, 0.9]
    """
    scores, indices = np.asarray(scores), np.asarray(frame_indices)
    if len(indices) == 0 or indices.shape != scores.shape[:1]:
        raise ValueError(
            f"expected one score per sampled frame. Received: {scores.shape[:1]} scores, {indices.shape} indices."
        )
    if indices[0] < 0 or indices[-1] >= num_frames or np.any(np.diff(indices) <= 0):
        raise ValueError(f"`frame_indices` must increase inside 0..{num_frames - 1}. Received: {indices.tolist()}")
    starts = np.concatenate([[0], indices[1:], [num_frames]])
    return np.repeat(scores, np.diff(starts), axis=0)
