"""The metrics of an evaluation for thousands of bootstrap samples of its videos at once.

What costs time is ranking the frames, and it is the same in every draw. So the frames are ranked once: ``P[i, j]`` is
the number of pairs of an abnormal frame of video i and a normal frame of video j that are ranked right, a tie counting
one half. With the multiplicities w of a draw, an area under the ROC curve is ``wᵀPw / ((w·positive) (w·negative))``, in
sums of halves that float64 holds exactly.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vad_keras import checks, spec
from vad_keras.metrics.report import checked_video
from vad_keras.metrics.roc import check_frames

BLOCK_NUMBERS = 100_000  # of one array of weighted counts: small ones stay in the cache


def evaluate_draws(videos: Sequence[Mapping[str, Any]], counts: ArrayLike, threshold: float = 0.5) -> dict[str, Any]:
    """The metrics of ``evaluate_videos`` for each of many draws of the same videos, such as those of a bootstrap.

    Args:
        videos: list of N dicts, as for ``evaluate_videos``.
        counts: how often each draw holds each video, integers ``(samples, N)``, e.g. from ``draw_videos``.
        threshold: for the false alarm rate.

    Returns:
        Every area, rate and recall of ``evaluate_videos`` under its name, ``(samples,)``; ``classes`` holds those
        of each class. A metric that is not defined in a draw is nan there.

    Raises:
        ValueError: if a video is not as ``evaluate_videos`` asks for, or ``counts`` do not belong to the videos.

    Example:

    >>> videos = [{"scores": [0.1, 0.2], "label": 0},
    ...           {"scores": [0.1, 0.9], "label": 1, "frame_labels": [0, 1]}]
    >>> evaluate_draws(videos, [[1, 1], [0, 2], [2, 0]])["frame_auc"].tolist()
    [1.0, 1.0, nan]
    """
    checks.numbers_in("(-inf, inf)", threshold=threshold)
    videos = [checked_video(number, video) for number, video in enumerate(videos)]
    for video in videos:
        labels = video["frame_labels"]
        check_frames(np.zeros(video["scores"].size) if labels is None else labels, video["scores"])
    counts = _checked_counts(counts, len(videos))
    levels = _levels(videos)
    positive, negative = (np.bincount(levels["video"], levels[key], len(videos)) for key in ("positive", "negative"))
    pairs = _ranked_pairs(levels, len(videos))
    labels = np.array([video["label"] for video in videos])
    known = np.array([video["frame_labels"] is not None for video in videos])
    normal, abnormal = known & (labels == spec.NORMAL), known & (labels == spec.ABNORMAL)
    above = (labels[:, None] > labels) + 0.5 * (labels[:, None] == labels)
    figures: dict[str, Any] = {
        "frame_auc": _area(pairs, positive, negative, counts),
        "frame_auc_abnormal_videos": _area(pairs, positive, negative, counts * abnormal),
        "frame_auc_mean_over_videos": _mean_area(pairs, positive, negative, counts * abnormal),
        "false_alarm_rate_percent": _false_alarm_rate(videos, counts * (labels == spec.NORMAL), threshold),
        "video_auc": _video_area(videos, labels, counts),
        "frame_auc_constant_per_video": _area(np.outer(positive, negative) * above, positive, negative, counts),
    }
    figures |= _ranking_figures(levels, counts)
    figures["classes"] = {}
    names = np.array([video["class_name"] for video in videos])
    for name in sorted(set(names[abnormal].tolist()) - {""}):
        of_class = abnormal & (names == name)
        figures["classes"][name] = {
            "frame_auc": _area(pairs, positive, negative, counts * (normal | of_class)),
            "frame_auc_abnormal_videos": _area(pairs, positive, negative, counts * of_class),
        }
    return figures


def _checked_counts(counts: ArrayLike, num_videos: int) -> NDArray[np.float64]:
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[1] != num_videos or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(
            f"`counts` must be integers of shape (samples, {num_videos}), one column per video. "
            f"Received: {counts.dtype} of shape {counts.shape}. Take them from `draw_videos({num_videos})`."
        )
    return counts.astype(np.float64)


def _levels(videos: list[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """The distinct scores of each video whose frames are known, rising, and the frames at each, as flat columns."""
    columns: dict[str, list[NDArray[Any]]] = {"video": [], "score": [], "positive": [], "negative": []}
    for number, video in enumerate(videos):
        if video["frame_labels"] is None:
            continue
        distinct, level = np.unique(video["scores"], return_inverse=True)
        positive = np.bincount(level, video["frame_labels"], len(distinct))
        columns["video"].append(np.full(len(distinct), number))
        columns["score"].append(distinct)
        columns["positive"].append(positive)
        columns["negative"].append(np.bincount(level, minlength=len(distinct)) - positive)
    empty = {"video": np.zeros(0, np.int64)}
    return {key: np.concatenate([empty.get(key, np.zeros(0)), *parts]) for key, parts in columns.items()}


def _ranked_pairs(levels: dict[str, NDArray[Any]], num_videos: int) -> NDArray[np.float64]:
    """``P``, ``(N, N)``."""
    pairs = np.zeros((num_videos, num_videos))
    found = levels["positive"] > 0
    rows, scores, weights = levels["video"][found], levels["score"][found], levels["positive"][found]
    bounds = np.searchsorted(levels["video"], np.arange(num_videos + 1))
    for number, (first, last) in enumerate(itertools.pairwise(bounds)):
        below = np.append(0.0, np.cumsum(levels["negative"][first:last]))
        own = levels["score"][first:last]
        twice = below[np.searchsorted(own, scores, "left")] + below[np.searchsorted(own, scores, "right")]
        pairs[:, number] = np.bincount(rows, weights * twice / 2, num_videos)
    return pairs


def _area(
    pairs: NDArray[np.float64],
    positive: NDArray[Any],
    negative: NDArray[Any],
    counts: NDArray[np.float64],
) -> NDArray[np.float64]:
    return _share(np.sum((counts @ pairs) * counts, axis=1), (counts @ positive) * (counts @ negative))


def _mean_area(
    pairs: NDArray[np.float64],
    positive: NDArray[Any],
    negative: NDArray[Any],
    counts: NDArray[np.float64],
) -> NDArray[np.float64]:
    own = _share(np.diag(pairs), positive * negative)
    defined = ~np.isnan(own)
    return _share(counts[:, defined] @ own[defined], counts[:, defined].sum(axis=1))


def _video_area(
    videos: list[Mapping[str, Any]], labels: NDArray[np.int64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    highest = np.array([video["scores"].max() for video in videos])
    positive, negative = (labels == spec.ABNORMAL) * 1.0, (labels == spec.NORMAL) * 1.0
    above = (highest[:, None] > highest) + 0.5 * (highest[:, None] == highest)
    return _area(np.outer(positive, negative) * above, positive, negative, counts)


def _false_alarm_rate(
    videos: list[Mapping[str, Any]], counts: NDArray[np.float64], threshold: float
) -> NDArray[np.float64]:
    alarms = np.array([np.sum(video["scores"] >= threshold) for video in videos], np.float64)
    return 100.0 * _share(counts @ alarms, counts @ [float(video["scores"].size) for video in videos])


def _ranking_figures(levels: dict[str, NDArray[Any]], counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Average precision and recalls: one sort, then weighted sums from the strictest threshold to the loosest."""
    order = np.argsort(-levels["score"], kind="stable")
    scores, video = levels["score"][order], levels["video"][order]
    last_of_equal = np.flatnonzero(np.append(np.diff(scores), 1.0)) if scores.size else np.zeros(0, int)
    names = ("average_precision", *(f"recall_at_fpr_{percent}_percent" for percent in (1, 5, 10)))
    figures = {name: np.full(len(counts), np.nan) for name in names}
    step = max(1, BLOCK_NUMBERS // max(1, scores.size))
    for first in range(0, len(counts) if scores.size else 0, step):
        block = slice(first, first + step)
        weights = counts[block][:, video]
        positives = np.cumsum(weights * levels["positive"][order], axis=1)[:, last_of_equal]
        negatives = np.cumsum(weights * levels["negative"][order], axis=1)[:, last_of_equal]
        found = np.diff(positives, axis=1, prepend=0.0)
        precision = np.nan_to_num(_share(positives, positives + negatives))
        figures["average_precision"][block] = _share(np.sum(found * precision, axis=1), positives[:, -1])
        rates = _share(negatives, negatives[:, -1:])
        reached = np.concatenate([np.zeros((len(positives), 1)), positives], axis=1)
        for percent in (1, 5, 10):
            last = np.sum(rates <= percent / 100, axis=1)
            recall = _share(reached[np.arange(len(reached)), last], positives[:, -1])
            figures[f"recall_at_fpr_{percent}_percent"][block] = np.where(negatives[:, -1] > 0, recall, np.nan)
    return figures


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """``part / whole``, nan where the whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return shares
