"""Patch scores as heat maps over the frames: what decided the score, and before and after the CRF (Fig. 5)."""

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from pipelines.report.plots.canvas import INK, new_figure, save_figure

COLORS = colormaps["inferno"]  # the higher, the brighter
OUTLINE = "#35e0ff"
COLUMN_IN = 2.1
MAX_COLUMNS = 6
BLANK_SIZE_PX = 120
DECIDING, BEFORE, AFTER = "patch score", "before the CRF", "after the CRF"


def score_maps(patch_score, before_crf, after_crf, score_from="scorer"):
    """Return the maps to plot, name -> ``(N, G)``. The first holds the scores that decided those of the frames.

    Args:
        patch_score: ``(N, G)``, scores of the patches by the scorer.
        before_crf: ``(N, G)``, probability of "abnormal" from the unary term alone.
        after_crf: ``(N, G)``, the same after message passing.
        score_from: Of the detector, see ``AnomalyDetector``. The score of a frame is the highest of its row in
            ``"patch score"``, unless the detector pools otherwise or multiplies it by a context score.

    Returns:
        dict: ``"patch score"`` and, of a model with a CRF, ``"before the CRF"`` and ``"after the CRF"``.

    Example:
    >>> maps = score_maps(*np.array([[[0.9, 0.2]], [[0.3, 0.3]], [[0.4, 0.6]]]), score_from="marginals")
    >>> {name: float(values.max()) for name, values in maps.items()}
    {'patch score': 0.6, 'before the CRF': 0.3, 'after the CRF': 0.6}
    """
    patch_score, before_crf, after_crf = map(np.asarray, (patch_score, before_crf, after_crf))
    chosen = {"scorer": patch_score, "marginals": after_crf, "mean": (patch_score + after_crf) / 2}[score_from]
    if np.array_equal(before_crf, patch_score) and np.array_equal(after_crf, patch_score):  # a model without a CRF
        return {DECIDING: chosen}
    return {DECIDING: chosen, BEFORE: before_crf, AFTER: after_crf}


def patch_heat_map(patch_scores, scales, size_px):
    """Map the patch scores of one frame to its pixels, so that the brightest pixel has the score of the highest patch.

    At each scale ``s`` the frame is divided into ``s * s`` equal patches, row by row. The patch in row ``y * s // H``
    and column ``x * s // W`` covers a pixel. The value of the pixel is the highest over the scales, as the score of a
    frame is the highest of its patches. ``measure_location`` takes the mean instead and says why.

    Args:
        patch_scores: ``(G,)``, in the order of ``MultiScalePatchPooling``: scale by scale, row by row.
        scales: Such as ``(1, 2, 3)``; ``G`` is the sum of their squares.
        size_px: Side of a square, or ``(H, W)``.

    Returns:
        ``(H, W)`` float64.

    Raises:
        ValueError: ``G`` does not match ``scales``.

    Example:
    >>> patch_heat_map([0.2, 1.0, 0.0, 0.0, 0.0], scales=(1, 2), size_px=2).tolist()
    [[1.0, 0.2], [0.2, 0.2]]
    """
    return np.max(scale_maps(patch_scores, scales, size_px), axis=0)


def scale_maps(patch_scores, scales, size_px):
    """Map the patch scores of one frame to its pixels, scale by scale: ``(len(scales), H, W)``, else as above."""
    patch_scores = np.asarray(patch_scores, float)
    expected = sum(scale * scale for scale in scales)
    if patch_scores.shape != (expected,):
        raise ValueError(
            f"`patch_scores` must have shape ({expected},), one for each patch of `scales`={tuple(scales)}. "
            f"Received: {patch_scores.shape}."
        )
    height, width = map(int, np.broadcast_to(size_px, 2))
    maps, first = [], 0
    for scale in scales:
        grid = patch_scores[first : first + scale * scale].reshape(scale, scale)
        rows, columns = np.arange(height) * scale // height, np.arange(width) * scale // width
        maps.append(grid[rows[:, None], columns[None, :]])
        first += scale * scale
    return np.stack(maps)


def patch_cells(scales, size_px):
    """Divide a picture into cells: the areas between the borders of all patches, where a map of them is constant.

    Args:
        scales: As for ``patch_heat_map``.
        size_px: As for ``patch_heat_map``.

    Returns:
        ``(patches, cells)``: the patch of each scale that covers each cell, ``(len(scales), C)``, and the cell of each
        pixel, ``(H, W)``. The value of a cell in ``patch_heat_map`` is ``patch_scores[patches].max(axis=0)``.

    Example:
    >>> patches, cells = patch_cells(scales=(1, 2), size_px=2)
    >>> patches.tolist(), cells.tolist()
    ([[0, 0, 0, 0], [1, 2, 3, 4]], [[0, 1], [2, 3]])
    """
    height, width = map(int, np.broadcast_to(size_px, 2))
    covering, first = [], 0
    for scale in scales:
        rows, columns = np.arange(height) * scale // height, np.arange(width) * scale // width
        covering.append((first + rows[:, None] * scale + columns[None, :]).ravel())
        first += scale * scale
    patches, cells = np.unique(np.stack(covering), axis=1, return_inverse=True)
    return patches, np.reshape(cells, (height, width))


def plot_heat_maps(path, frames, maps, scales, titles=None):
    """Plot frames and, below them, maps of their patch scores; return the path of the PNG.

    The highest patch is outlined, and its score and scale are written above. Below a map is each scale by itself, since
    a high score of a large patch covers lower ones of small patches.

    Args:
        path: PNG to write.
        frames: ``(N, H, W, 3)`` uint8 RGB, or a list of such frames; None plots the scores alone.
        maps: Name -> ``(N, G)``, see ``score_maps``.
        scales: Scales of the patches.
        titles: N texts above the frames.

    Raises:
        ValueError: The numbers of frames, scores and titles differ or are 0.
    """
    return save_figure(heat_map_figure(frames, maps, scales, titles), path)


def heat_map_figure(frames, maps, scales, titles=None):
    """Return the figure of ``plot_heat_maps``. More than ``MAX_COLUMNS`` frames wrap onto several rows."""
    number = len(next(iter(maps.values())))
    titles = [""] * number if titles is None else list(titles)
    lengths = [number if frames is None else len(frames), *map(len, maps.values()), len(titles)]
    if len(set(lengths)) != 1 or not number:
        raise ValueError(
            "`frames`, each of `maps` and `titles` must have the same length of at least 1. "
            f"Received: {', '.join(map(str, lengths))}."
        )
    height, width = (1, 1) if frames is None else np.asarray(frames[0]).shape[:2]
    labels = [*maps] if frames is None else ["frame", *maps]
    columns = min(MAX_COLUMNS, number)
    bands = -(-number // columns)
    title_in = 0.25 + 0.14 * max(title.count("\n") for title in titles)
    row_in = COLUMN_IN * height / width
    band_in = row_in * len(labels) + len(maps) * (row_in / max(3, len(scales)) + 0.2) + title_in
    figure = new_figure(COLUMN_IN * columns + 1.2, bands * band_in + 0.45)
    ratios = ([] if frames is None else [1.0]) + [1.0 + 1 / max(3, len(scales))] * len(maps)
    grid = figure.subplots(len(labels) * bands, columns, squeeze=False, height_ratios=ratios * bands)
    for index, title in enumerate(titles):
        column = grid[index // columns * len(labels) :, index % columns]
        frame = None if frames is None else np.asarray(frames[index])
        if frame is not None:
            column[0].imshow(frame)
        for axes, values in zip(column[frames is not None :], maps.values(), strict=False):
            _plot_map(axes, frame, values[index], scales)
        column[0].set_title("\n".join(text for text in (title, column[0].get_title()) if text), fontsize=9, color=INK)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, label in zip(grid[:, 0], labels * bands, strict=True):
        axes.set_ylabel(label, fontsize=10, color=INK)
    _add_color_bar(figure, grid[: len(labels)])
    return figure


def overlay(frame, patch_scores, scales):
    """Blend the grey frame with the colours of its patch scores in [0, 1], ``(H, W, 3)`` uint8; None: colours alone."""
    if frame is None:
        return _colored(patch_heat_map(patch_scores, scales, BLANK_SIZE_PX))
    frame = np.asarray(frame)
    grey = (frame.astype(float) @ [0.299, 0.587, 0.114])[..., None].repeat(3, axis=-1)
    heat = _colored(patch_heat_map(patch_scores, scales, frame.shape[:2]))
    return (0.55 * grey + 0.45 * heat).round().astype(np.uint8)


def highest_patch(patch_scores, scales):
    """Return score, scale, row and column of the highest patch; of equal ones the smallest.

    Example:
    >>> highest_patch([0.5, 0.1, 0.9, 0.1, 0.1], scales=(1, 2))
    (0.9, 2, 0, 1)
    """
    cells = [(scale, row, column) for scale in scales for row in range(scale) for column in range(scale)]
    score, place = max(zip(map(float, patch_scores), cells, strict=True))
    return score, *place


def _plot_map(axes, frame, patch_scores, scales):
    """Plot the map of one frame, the outline of its highest patch and, below it, each scale by itself."""
    picture = overlay(frame, patch_scores, scales)
    height, width = picture.shape[:2]
    count, margin = max(3, len(scales)), max(1, width // 40)
    small = max(1, height // count - margin), max(1, width // count - margin)
    strip = np.full((small[0] + margin, width, 3), 255, np.uint8)
    for number, heat in enumerate(scale_maps(patch_scores, scales, small)):
        left = number * (width - small[1]) // (count - 1)
        strip[margin:, left : left + small[1]] = _colored(heat)
    axes.imshow(np.concatenate([picture, strip]))
    score, scale, row, column = highest_patch(patch_scores, scales)
    corner = column * width / scale - 0.5, row * height / scale - 0.5
    axes.add_patch(Rectangle(corner, width / scale, height / scale, fill=False, color=OUTLINE, linewidth=1.5))
    where = "whole frame" if scale == 1 else f"{scale}×{scale}"
    axes.set_title(f"{score:.2f} ({where})", fontsize=8, color=INK, pad=2)


def _colored(heat):
    """Return the colours of scores, which are clipped to [0, 1], uint8."""
    return (255 * COLORS(np.clip(heat, 0, 1))[..., :3]).round().astype(np.uint8)


def _add_color_bar(figure, axes):
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), COLORS), ax=axes, fraction=0.05, pad=0.02, aspect=25)
    bar.set_label("score of the highest patch at a pixel; below: each scale", fontsize=8.5, color=INK)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
