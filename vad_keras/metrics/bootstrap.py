"""Bootstrap intervals of a metric over videos."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vad_keras import checks

Video = TypeVar("Video")


def bootstrap_videos(
    videos: Sequence[Video],
    statistic: Callable[[list[Video]], float | Sequence[float] | NDArray[Any]],
    samples: int = 1000,
    seed: int | None = 0,
) -> dict[str, Any]:
    """95 % interval of a statistic by drawing whole videos with replacement.

    Frames of one video resemble each other, so videos are drawn, not frames. A draw in which the statistic is nan
    (e.g. no abnormal video in it) is left out and counted. It takes any statistic; ``draw_videos`` and
    ``evaluate_draws`` give the metrics of ``evaluate_videos`` on the same draws, and far faster.

    Args:
        videos: list of anything, one entry per video.
        statistic: function of such a list that returns a float or an array of floats.
        samples: number of draws.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        ``low``, ``high`` (2.5 and 97.5 percentiles), ``standard_deviation`` and ``defined`` (draws that counted),
        each of the shape of the statistic; nan where no draw counted.

    Raises:
        ValueError: if there is no video or ``samples`` is below 1.

    Example:

    >>> interval = bootstrap_videos([1.0, 2.0, 3.0], np.mean, samples=200, seed=0)
    >>> 1.0 <= interval["low"] <= 2.0 <= interval["high"] <= 3.0
    True
    """
    if not len(videos):
        raise ValueError("`videos` must hold at least one video. Received: none.")
    draws = ([videos[i] for i in drawn] for drawn in _drawn(len(videos), samples, seed))
    return interval_of_draws(np.array([statistic(draw) for draw in draws], dtype=np.float64))


def draw_videos(num_videos: int, samples: int = 1000, seed: int | None = 0) -> NDArray[np.intp]:
    """How often each video is in each draw of as many videos with replacement.

    Args:
        num_videos: N, of which each draw takes N.
        samples: number of draws.
        seed: of the draws; the draws are those of ``bootstrap_videos`` with the same seed.

    Returns:
        int64 ``(samples, N)``; each row adds up to N.

    Raises:
        ValueError: if there is no video or ``samples`` is below 1.

    Example:

    >>> draw_videos(4, samples=2, seed=0).sum(axis=1).tolist()
    [4, 4]
    """
    return np.stack([np.bincount(drawn, minlength=num_videos) for drawn in _drawn(num_videos, samples, seed)])


def interval_of_draws(values: ArrayLike) -> dict[str, Any]:
    """95 % interval of a metric from its values in many draws; nan ones are left out and counted.

    Args:
        values: ``(samples,)`` or ``(samples, ...)``.

    Returns:
        ``low``, ``high``, ``standard_deviation`` and ``defined``, as of ``bootstrap_videos``.

    Example:

    >>> interval_of_draws([0.5, float("nan"), 0.5])
    {'low': 0.5, 'high': 0.5, 'standard_deviation': 0.0, 'defined': 2}
    """
    values = np.asarray(values, dtype=np.float64)
    columns = values.reshape(len(values), -1)
    rows = []
    for column in columns.T:
        kept = column[~np.isnan(column)]
        low, high = np.percentile(kept, [2.5, 97.5]) if kept.size else (np.nan, np.nan)
        rows.append((low, high, np.std(kept) if kept.size else np.nan, kept.size))
    names = ("low", "high", "standard_deviation", "defined")
    table = {
        name: np.reshape(column, values.shape[1:]) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    return {name: value.item() if value.ndim == 0 else value for name, value in table.items()}


def _drawn(num_videos: int, samples: int, seed: int | None) -> NDArray[np.int64]:
    """Positions of the videos of each draw, ``(samples, N)``."""
    checks.integers(1, num_videos=num_videos, samples=samples)
    checks.seed(seed)
    return np.random.default_rng(seed).integers(num_videos, size=(samples, num_videos))
