"""Feature maps of prepared videos by a video network: overlapping windows, each map as in the whole video."""

import numpy as np
import tensorflow as tf

from vad_keras.models.frame_windows import plan_windows

WINDOW_FRAMES = 128  # the context of 5 frames on each side costs 8 % of it


def plan_maps(extractor, num_frames, clip_frames, past_only=False):
    """Return the windows in which the maps of a video are computed.

    Args:
        extractor: ``RelationAwareExtractor`` with a video network.
        num_frames: Sampled frames of the video.
        clip_frames: K.
        past_only: A snippet sees the frames before it and none after it, so that a stream needs no later frame.

    Returns:
        List of ``Window``.
    """
    reach = extractor.temporal_reach
    if past_only:
        return plan_windows(num_frames, clip_frames + reach, clip_frames, causal=True)
    return plan_windows(num_frames, WINDOW_FRAMES, WINDOW_FRAMES - 2 * reach)


def past_only(config):
    """Whether a video network sees the past alone: with causal cliques, so that a stream needs no later frame."""
    return config.detector.alignment == "causal"


def window_maps(clips, extractor, videos, past_only=False):
    """Compute the maps of videos, window by window; memory does not grow with the length of a video.

    Yields:
        ``(VideoInfo, Window, maps float16 (n, h, w, C) of its kept frames)``, in the order of ``plan_maps``.
    """
    size = clips.image_size_px

    @tf.function(input_signature=[tf.TensorSpec([1, None, size, size, 3], tf.uint8)])
    def compute(frames):
        return tf.cast(extractor.feature_maps(frames), tf.float16)

    for video, window, frames in _windows(clips, extractor, videos, past_only):
        yield video, window, compute(frames[None])[0, window.kept].numpy()


def _windows(clips, extractor, videos, past_only):
    """Yield ``(video, window, its frames)``. Each frame is decoded once."""
    order = [(video.video_id, i) for video in videos for i in range(clips.num_snippets(video))]
    snippets = clips.dataset(lambda: iter(order), videos).prefetch(2).as_numpy_iterator()
    for video in videos:
        first, frames = 0, np.zeros((0, clips.image_size_px, clips.image_size_px, 3), np.uint8)
        for window in plan_maps(extractor, video.num_sampled, clips.clip_frames, past_only):
            first, frames = window.start, frames[window.start - first :]
            parts = [frames]
            while sum(map(len, parts)) < window.stop - first:
                snippet = next(snippets)
                parts.append(snippet["frames"][snippet["mask"]])
            frames = np.concatenate(parts)
            yield video, window, frames[: window.stop - first]


def padded_snippets(pieces, clip_frames, count):
    """Regroup consecutive maps of one video to padded snippets.

    Args:
        pieces: Iterable of maps ``(n, h, w, C)``.
        clip_frames: K.
        count: Largest number of snippets to yield at once.

    Yields:
        Maps ``(m, K, h, w, C)`` with zeros in the padding, and the mask, bool ``(m, K)``.
    """
    held, size = None, count * clip_frames
    for piece in pieces:
        held = piece if held is None else np.concatenate([held, piece])
        while len(held) >= size:
            yield _in_snippets(held[:size], clip_frames)
            held = held[size:]
    if held is not None and len(held):
        yield _in_snippets(held, clip_frames)


def _in_snippets(maps, clip_frames):
    padding = -len(maps) % clip_frames
    mask = np.arange(len(maps) + padding) < len(maps)
    maps = np.pad(maps, [(0, padding), (0, 0), (0, 0), (0, 0)])
    return maps.reshape(-1, clip_frames, *maps.shape[1:]), mask.reshape(-1, clip_frames)
