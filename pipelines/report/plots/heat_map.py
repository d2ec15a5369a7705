"""Patch scores as heat maps over the frames, before and after the CRF (Fig. 5)."""

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from pipelines.report.plots.canvas import INK, new_figure, save_figure

COLORS = colormaps["turbo"]
COLUMN_IN = 2.1
MAX_COLUMNS = 6
BLANK_SIZE_PX = 120


def patch_heat_map(patch_scores, scales, size_px):
    """Map the patch scores of one frame to its pixels.

    At each scale ``s`` the frame is divided into ``s * s`` equal patches, row by row. The patch in row ``y * s // H``
    and column ``x * s // W`` covers a pixel. The value of the pixel is the mean over the scales.

    Args:
        patch_scores: ``(G,)``, in the order of ``MultiScalePatchPooling``: scale by scale, row by row.
        scales: Such as ``(1, 2, 3)``; ``G`` is the sum of their squares.
        size_px: Side of a square, or ``(H, W)``.

    Returns:
        ``(H, W)`` float64.

    Raises:
        ValueError: ``G`` does not match ``scales``.

    Example:
    >>> patch_heat_map([0.0, 1.0, 0.0, 0.0, 0.0], scales=(1, 2), size_px=2).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    patch_scores = np.asarray(patch_scores, float)
    expected = sum(scale * scale for scale in scales)
    if patch_scores.shape != (expected,):
        raise ValueError(
            f"`patch_scores` must have shape ({expected},), one for each patch of `scales`={tuple(scales)}. "
            f"Received: {patch_scores.shape}."
        )
    height, width = (size_px, size_px) if np.isscalar(size_px) else size_px
    total, first = np.zeros((height, width)), 0
    for scale in scales:
        grid = patch_scores[first : first + scale * scale].reshape(scale, scale)
        rows, columns = np.arange(height) * scale // height, np.arange(width) * scale // width
        total += grid[rows[:, None], columns[None, :]]
        first += scale * scale
    return total / len(scales)


def patch_cells(scales, size_px):
    """Divide a picture into cells: the areas between the borders of all patches, where ``patch_heat_map`` is constant.

    Args:
        scales: As for ``patch_heat_map``.
        size_px: As for ``patch_heat_map``.

    Returns:
        ``(patches, cells)``: the patch of each scale that covers each cell, ``(len(scales), C)``, and the cell of each
        pixel, ``(H, W)``. The value of a cell is ``patch_scores[patches].mean(axis=0)``.

    Example:
    >>> patches, cells = patch_cells(scales=(1, 2), size_px=2)
    >>> patches.tolist(), cells.tolist()
    ([[0, 0, 0, 0], [1, 2, 3, 4]], [[0, 1], [2, 3]])
    """
    height, width = (size_px, size_px) if np.isscalar(size_px) else size_px
    covering, first = [], 0
    for scale in scales:
        rows, columns = np.arange(height) * scale // height, np.arange(width) * scale // width
        covering.append((first + rows[:, None] * scale + columns[None, :]).ravel())
        first += scale * scale
    patches, cells = np.unique(np.stack(covering), axis=1, return_inverse=True)
    return patches, np.reshape(cells, (height, width))


def plot_heat_maps(path, frames, before, after, scales, titles=None):
    """Plot frames and, below them, their patch scores before and after the CRF; return the path of the PNG.

    Args:
        path: PNG to write.
        frames: ``(N, H, W, 3)`` uint8 RGB, or a list of such frames; None plots the scores alone.
        before: ``(N, G)``, score of each patch from the unary term alone.
        after: ``(N, G)``, score of each patch after message passing.
        scales: Scales of the patches.
        titles: N texts above the frames.

    Raises:
        ValueError: The numbers of frames, scores and titles differ or are 0.
    """
    return save_figure(heat_map_figure(frames, before, after, scales, titles), path)


def heat_map_figure(frames, before, after, scales, titles=None):
    """Return the figure of ``plot_heat_maps``. More than ``MAX_COLUMNS`` frames wrap onto several rows."""
    titles = [""] * len(before) if titles is None else list(titles)
    lengths = [len(before) if frames is None else len(frames), len(before), len(after), len(titles)]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(
            "`frames`, `before`, `after` and `titles` must have the same length of at least 1. "
            f"Received: {', '.join(map(str, lengths))}."
        )
    height, width = (1, 1) if frames is None else np.asarray(frames[0]).shape[:2]
    labels = ["before the CRF", "after the CRF"] if frames is None else ["frame", "before the CRF", "after the CRF"]
    columns = min(MAX_COLUMNS, len(before))
    bands = -(-len(before) // columns)
    title_in = 0.25 + 0.14 * max(title.count("\n") for title in titles)
    size_in = COLUMN_IN * columns + 1.2, bands * (len(labels) * COLUMN_IN * height / width + title_in) + 0.45
    figure = new_figure(*size_in)
    grid = figure.subplots(len(labels) * bands, columns, squeeze=False)
    for number, title in enumerate(titles):
        top, column = number // columns * len(labels), number % columns
        frame = None if frames is None else frames[number]
        if frame is not None:
            grid[top, column].imshow(frame)
        grid[top, column].set_title(title, fontsize=9, color=INK)
        for row, patch_scores in enumerate((before[number], after[number]), start=len(labels) - 2):
            grid[top + row, column].imshow(overlay(frame, patch_scores, scales))
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
        heat = np.clip(patch_heat_map(patch_scores, scales, BLANK_SIZE_PX), 0, 1)
        return (255 * COLORS(heat)[..., :3]).round().astype(np.uint8)
    frame = np.asarray(frame)
    grey = (frame.astype(float) @ [0.299, 0.587, 0.114])[..., None].repeat(3, axis=-1)
    heat = np.clip(patch_heat_map(patch_scores, scales, frame.shape[:2]), 0, 1)
    return (0.55 * grey + 0.45 * 255 * COLORS(heat)[..., :3]).round().astype(np.uint8)


def _add_color_bar(figure, axes):
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), COLORS), ax=axes, fraction=0.05, pad=0.02, aspect=25)
    bar.set_label("patch score, mean over scales", fontsize=8.5, color=INK)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
