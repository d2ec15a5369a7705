"""Zones: polygons over the picture of a camera, and the patches of the model that they let count."""

import dataclasses

import numpy as np

from pipelines.config import UserError
from pipelines.data.snippets import expand_to_frames

MIN_CELL_SHARE = 0.5  # of a patch that lies in a zone
MIN_ZONE_SHARE = 0.25  # of a zone that lies in a patch of the finest grid
SAMPLES = 256  # per side of the rectangle around a zone
TOLERANCE = 0.01  # of both, for the error of the samples


def check_zones(zones):
    """Check polygons as users draw or write them.

    Args:
        zones: List of polygons, each a list of ``(x, y)`` in fractions of the width and height of the picture.

    Returns:
        The same as tuples of floats.

    Raises:
        UserError: A polygon has fewer than 3 points, no area, or a point outside the picture.
    """
    checked = []
    for number, polygon in enumerate(zones, 1):
        try:
            points = np.array([tuple(point) for point in polygon], float)
        except (TypeError, ValueError):
            points = np.zeros(0)
        if points.ndim != 2 or points.shape[1:] != (2,) or len(points) < 3:
            raise UserError(f"zone {number} must be a list of at least 3 points [x, y]. Received: {polygon!r:.200}.")
        if not (np.all(points >= 0) and np.all(points <= 1)):
            raise UserError(f"points of zone {number} must lie in 0..1, fractions of the picture. Received: {polygon}.")
        if not _inside(points)[0].any():
            raise UserError(f"zone {number} has no area. Received: {polygon!r:.200}.")
        checked.append(tuple(map(tuple, points.tolist())))
    return tuple(checked)


def zone_mask(zones, scales):
    """Say which patches count when only zones of the picture count.

    A patch counts if at least half of it lies in one of the zones. Of the finest grid, a patch with at least a quarter
    of a zone counts as well, so that a zone may be smaller than a patch; when no patch has a quarter of a long zone,
    those with at least half of what the best one has. A model with a single patch ignores zones.

    Args:
        zones: As for ``check_zones``; none: the whole picture counts. A polygon may cross itself (even-odd rule).
        scales: Scales of the patches, such as ``(1, 2, 3)``.

    Returns:
        bool ``(G,)``, in the order of ``MultiScalePatchPooling``: scale by scale, row by row.

    Raises:
        UserError: A polygon is wrong, see ``check_zones``.

    Example:

    >>> left_half = [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]
    >>> zone_mask([left_half], scales=(1, 2)).astype(int).tolist()
    [1, 1, 0, 1, 0]
    """
    counts = [np.full(scale * scale, not len(zones)) for scale in scales]
    finest = int(np.argmax(scales))
    for zone in check_zones(zones):
        inside, x, y, sample_area = _inside(np.array(zone))
        area = inside.sum() * sample_area
        for index, scale in enumerate(scales):
            cells = np.minimum((y * scale).astype(int), scale - 1)[:, None] * scale
            cells = cells + np.minimum((x * scale).astype(int), scale - 1)
            overlap = np.bincount(cells[inside], minlength=scale * scale) * sample_area
            counts[index] |= overlap * scale**2 >= MIN_CELL_SHARE - TOLERANCE
            if index == finest:
                large = overlap >= (MIN_ZONE_SHARE - TOLERANCE) * area
                large = large if large.any() else overlap >= overlap.max() / 2
                counts[index] |= large & (overlap > 0)
    return np.concatenate(counts)


def zone_score(patch_scores, mask, anomaly_score):
    """Return the score of a frame when only some patches count.

    It is the score of the whole frame, times the highest patch that counts over the highest of all patches: equal to
    the highest patch that counts when the score of a frame is that of its highest patch.

    Args:
        patch_scores: The scores that decide that of the frame, ``(G,)``.
        mask: Which patches count, bool ``(G,)``, see ``zone_mask``.
        anomaly_score: Score of the whole frame.

    Example:

    >>> zone_score(np.array([0.2, 0.8, 0.4]), np.array([True, False, True]), anomaly_score=0.8)
    0.4
    """
    patch_scores, mask = np.asarray(patch_scores, float), np.asarray(mask, bool)
    if patch_scores.shape != mask.shape:
        raise ValueError(
            f"`patch_scores` must have the shape {mask.shape} of `mask`. Received: {patch_scores.shape}. "
            "Make the mask with the scales of the model."
        )
    highest, allowed = patch_scores.max(), patch_scores[mask].max(initial=0.0)
    if mask.all() or not highest > 0 or allowed == highest:
        return float(anomaly_score)
    return float(anomaly_score * (allowed / highest))


def deciding_patches(scores, info):
    """Return the patch scores ``(n, G)`` of ``FrameScores`` from which the model takes the score of a frame."""
    if info.score_from == "scorer":
        return scores.patch_score
    return scores.after_crf if info.score_from == "marginals" else (scores.patch_score + scores.after_crf) / 2


def score_zones(video, zones, info):
    """Return the ``VideoScores`` of a video when only zones of its picture count, as ``vad watch`` scores a camera.

    Args:
        video: ``VideoScores``.
        zones: As for ``check_zones``.
        info: ``ModelInfo`` of the model that has scored it.
    """
    mask, scores = zone_mask(zones, info.scales), video.sampled.anomaly_score
    pairs = zip(deciding_patches(video.sampled, info), scores.tolist(), strict=True)
    scores = np.array([zone_score(patches, mask, score) for patches, score in pairs], np.float32)
    every = expand_to_frames(scores, video.sampled_indices, len(video.scores)).astype(float)
    return dataclasses.replace(video, scores=every, sampled=video.sampled._replace(anomaly_score=scores))


def _inside(points):
    """Sample the rectangle around a polygon: which samples lie inside, their x and y, the area of a sample."""
    low, high = points.min(axis=0), points.max(axis=0)
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    x, y = (low[axis] + steps * (high[axis] - low[axis]) for axis in (0, 1))
    inside = np.zeros((SAMPLES, SAMPLES), bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crosses = (y0 <= y) != (y1 <= y)  # the rows that this side crosses
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        inside ^= crosses[:, None] & (x < at[:, None])
    if not np.all(high > low):
        inside[:] = False
    return inside, x, y, float(np.prod(high - low)) / SAMPLES**2
