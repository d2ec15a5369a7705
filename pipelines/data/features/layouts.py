"""Axes of feature arrays: their layout, the nodes they become, and the original frames of each row."""

from collections import Counter

import numpy as np

from pipelines.config import UserError

AUTO, SEGMENTS = "auto", "segments"
AXES = {
    "time_feature": "(T, D)",
    "time_crop_feature": "(T, crops, D)",
    "crop_time_feature": "(crops, T, D)",
    SEGMENTS: "(parts, D)",
}
CROPS = (1, 5, 10)  # numbers of crops in published features
NUM_SEGMENTS = 32  # Sultani et al., CVPR 2018
TOLERANCE = 0.2  # largest relative difference between the length of a video and the frames that its rows cover


def possible_layouts(shapes):
    """Return the layouts that the shapes of one video allow; an empty set when there is none.

    Args:
        shapes: Shape of the array, or of the array of each crop.

    Example:
    >>> possible_layouts([(75, 10, 2048)]), sorted(possible_layouts([(10, 10, 2048)]))
    ({'time_crop_feature'}, ['crop_time_feature', 'time_crop_feature'])
    """
    shape = shapes[0]
    if len(shape) == 2:
        return {"time_feature", SEGMENTS} if shape[0] == NUM_SEGMENTS else {"time_feature"}
    if len(shape) != 3 or len(shapes) > 1:
        return set()
    found = {"time_crop_feature"} if shape[1] in CROPS else set()
    return found | ({"crop_time_feature"} if shape[0] in CROPS else set())


def choose_layout(features):
    """Choose the layout that most videos allow.

    If all have 32 rows, they are segments: it is unlikely that all videos of a dataset last 512 frames.

    Args:
        features: ``{name for messages: shapes}``.

    Raises:
        UserError: No single layout is allowed by more than half of the videos.
    """
    counts = Counter(layout for shapes in features.values() for layout in possible_layouts(shapes))
    if counts[SEGMENTS] == len(features):
        return SEGMENTS
    most = max(counts.values(), default=0)
    best = [layout for layout in AXES if counts[layout] == most]
    if len(best) == 1 and 2 * most > len(features):
        return best[0]
    name = next(iter(features))
    ways = " or ".join(f"`{layout}` {AXES[layout]}" for layout in (best if most and len(best) > 1 else AXES))
    raise UserError(
        f"the axes of {name} {tuple(features[name][0])} and of {len(features) - 1} more videos are ambiguous. "
        f"Set `features.layout` to {ways}."
    )


def node_shape(shapes, layout):
    """Return the shape ``(T, G, D)`` of the nodes of one video.

    Args:
        shapes: Shape of the array, or of the array of each crop.
        layout: One of ``AXES``.

    Raises:
        ValueError: The shapes do not match the layout.
    """
    wanted = 2 if layout in ("time_feature", SEGMENTS) else 3
    shape = shapes[0]
    if len(shape) != wanted or (wanted == 3 and len(shapes) > 1):
        files = f" in {len(shapes)} files" if len(shapes) > 1 else ""
        raise ValueError(
            f"has shape {tuple(shape)}{files}, but layout `{layout}` is {AXES[layout]}. "
            "Extract it like the others, or set `features.layout`"
        )
    if wanted == 2:
        return shape[0], len(shapes), shape[1]
    return tuple(shape) if layout == "time_crop_feature" else (shape[1], shape[0], shape[2])


def to_nodes(arrays, layout):
    """Convert stored arrays to nodes ``(T, G, D)``; crops become patches.

    Args:
        arrays: The array of a video, or the array of each crop.
        layout: One of ``AXES``.
    """
    nodes = np.stack(arrays, axis=1) if arrays[0].ndim == 2 else arrays[0]
    return nodes.transpose(1, 0, 2) if layout == "crop_time_feature" else nodes


def common_width(widths):
    """Return the ``(G, D)`` that more than half of the videos share; a detector needs nodes of a single shape.

    Args:
        widths: ``{name for messages: (G, D)}``.

    Raises:
        UserError: No ``(G, D)`` is shared by more than half.
    """
    counts = Counter(widths.values()).most_common(2)
    width, count = counts[0]
    if 2 * count > len(widths):
        return width
    first, second = (next(name for name, other in widths.items() if other == some) for some, _ in counts)
    raise UserError(
        f"the features are of several kinds: {_words(width)} in {first}, {_words(counts[1][0])} in {second}. None is "
        "shared by more than half of the videos. Set `features.root` to the folder of one kind."
    )


def width_error(width, wanted):
    """Return the error of a video whose ``(G, D)`` differs from the others."""
    return f"has {_words(width)}, but the other videos have {_words(wanted)}. Extract it like them, or remove the line"


def row_frames(num_rows, layout, num_frames, frames_per_feature):
    """Return the first original frame of each row.

    Args:
        num_rows: T.
        layout: One of ``AXES``.
        num_frames: True length of the video; None when unknown.
        frames_per_feature: Original frames per row; segments cover equal parts of the video instead.

    Returns:
        ``(frames, num_frames, warning)``. Frames ``(T,)`` increase from 0; there are fewer than T when rows start after
        the end. An unknown length is set to ``num_rows * frames_per_feature``.

    Raises:
        ValueError: The number of rows does not match the length.

    Example:
    >>> row_frames(3, "time_feature", 47, 16)[0].tolist(), row_frames(4, "segments", 10, 16)[0].tolist()
    ([0, 16, 32], [0, 2, 5, 7])
    """
    covered = num_rows * frames_per_feature
    length = covered if num_frames is None else num_frames
    if layout == SEGMENTS:
        if length < num_rows:
            raise ValueError(f"has {num_rows} segments for {length} frames. Correct its length, or remove the line")
        warning = "" if num_frames else f"its length is unknown and assumed to be {length} frames"
        return np.arange(num_rows) * length // num_rows, length, warning
    if abs(covered - length) > 2 * frames_per_feature + TOLERANCE * length:
        raise ValueError(
            f"has {num_rows} rows, which cover {covered} frames at {frames_per_feature} per row, but the video has "
            f"{length}. Correct `features.frames_per_feature` or the length, or set `features.layout` to `{SEGMENTS}`"
        )
    frames = np.arange(num_rows) * frames_per_feature
    kept = frames[frames < length]
    if len(kept) < num_rows:
        return kept, length, f"{num_rows - len(kept)} rows start after the end at frame {length} and were dropped"
    missing = length - covered
    warning = f"the last row also covers the {missing} frames after it" if missing > frames_per_feature else ""
    return kept, length, warning


def _words(width):
    return f"{width[0]} × {width[1]} (crops × width)" if width[0] > 1 else f"width {width[1]}"
