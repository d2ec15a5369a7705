"""Metrics of the place: is a heat map high where the event is?"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vad_keras.metrics.roc import check_frames

LOCATION_METRICS = ("pointing_game", "pointing_game_pixel", "pixel_auc", "pixel_auc_mean_over_frames")


def evaluate_location(values: ArrayLike, event_pixels: ArrayLike, cell_pixels: ArrayLike) -> dict[str, float]:
    """Metrics of heat maps inside abnormal frames whose event is marked by a pixel mask.

    A heat map consists of cells, parts of the picture in which it is constant: single pixels, or the areas into which
    the borders of all patches divide the picture. Frames without a marked pixel are left out.

    Args:
        values: ``(F, C)``, value of each cell in each frame, high = abnormal.
        event_pixels: ``(F, C)``, number of its pixels that belong to the event.
        cell_pixels: ``(C,)`` or ``(F, C)``, number of its pixels.

    Returns:
        Means over frames unless stated otherwise; nan without such a frame.
        ``pointing_game``: whether the brightest cell touches the event. Of equally bright cells, the share of their
        area that lies in cells that touch it.
        ``pointing_game_chance``: the same for a map of equal values, the area of all cells that touch the event.
        ``pointing_game_pixel``: share of the event in the brightest cells.
        ``pointing_game_pixel_chance``: share of the event in the picture.
        ``pixel_auc``: area under the ROC curve of the pixels of all frames pooled; chance is 0.5.
        ``pixel_auc_mean_over_frames``: mean of the areas of single frames; it does not compare frames.
        ``num_frames``: number of frames.

    Raises:
        ValueError: if shapes differ, a value is not finite, or a cell holds more marked pixels than pixels.

    Example:

    >>> found = evaluate_location([[0.9, 0.2, 0.1]], [[2, 1, 0]], [4, 4, 8])
    >>> found["pointing_game"], found["pointing_game_chance"], found["pointing_game_pixel"]
    (1.0, 0.5, 0.5)
    """
    cells, event = np.asarray(values, dtype=np.float64), np.asarray(event_pixels, dtype=np.float64)
    if cells.ndim != 2 or cells.shape != event.shape or np.shape(cell_pixels)[-1:] != cells.shape[1:]:
        raise ValueError(
            "`values`, `event_pixels` and `cell_pixels` must have shape (F, C), (F, C) and (C,) or (F, C). "
            f"Received: {cells.shape}, {event.shape} and {np.shape(cell_pixels)}."
        )
    pixels = np.broadcast_to(np.asarray(cell_pixels, dtype=np.float64), cells.shape)
    check_frames(np.zeros(cells.shape), cells)
    if (event > pixels).any() or (event < 0).any():
        raise ValueError("`event_pixels` must lie between 0 and `cell_pixels`. Count the pixels of each cell anew.")
    marked = event.sum(axis=1) > 0
    cells, event, pixels = cells[marked], event[marked], pixels[marked]
    brightest = cells == cells.max(axis=1, keepdims=True, initial=-np.inf)
    touching = pixels * (event > 0)
    shares = {
        "pointing_game": _share(touching * brightest, pixels * brightest),
        "pointing_game_chance": _share(touching, pixels),
        "pointing_game_pixel": _share(event * brightest, pixels * brightest),
        "pointing_game_pixel_chance": _share(event, pixels),
    }
    areas = [_auc(*frame) for frame in zip(cells, event, pixels - event, strict=True)]
    shares["pixel_auc_mean_over_frames"] = np.array([area for area in areas if not np.isnan(area)])
    found = {name: float(np.mean(share)) if share.size else float("nan") for name, share in shares.items()}
    found["pixel_auc"] = _auc(cells.ravel(), event.ravel(), (pixels - event).ravel())
    return found | {"num_frames": int(marked.sum())}


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = part.sum(axis=1) / whole.sum(axis=1)
    return shares


def _auc(values: NDArray[np.float64], positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Area under the ROC curve of cells that hold several pixels of both kinds; nan without one of them."""
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return float("nan")
    distinct, level = np.unique(values, return_inverse=True)
    positives, negatives = (np.bincount(level.ravel(), part, distinct.size) for part in (positive, negative))
    return float(np.sum(positives * (np.cumsum(negatives) - negatives / 2)) / pairs)
