"""Confidence intervals from leaving out one video at a time."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vad_keras import checks

Share = TypeVar("Share", float, NDArray[np.float64])

QUANTILE_POINTS = 20_001
LIMIT_SHARE = 0.1  # of the distance of the value to a limit: nearer than this, no value without a video may come


def leave_one_out(num_videos: int) -> NDArray[np.int64]:
    """Give the counts of each video in N draws of which each lacks one video.

    Args:
        num_videos: N.

    Returns:
        int64 ``(N, N)``, 0 on the diagonal and 1 elsewhere, for ``evaluate_draws``.

    Raises:
        ValueError: if there is no video.

    Example:

    >>> leave_one_out(3).tolist()
    [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    checks.integers(1, num_videos=num_videos)
    return 1 - np.eye(num_videos, dtype=np.int64)


def interval_of_jackknife(value: float, left_out: ArrayLike, limits: Sequence[float] | None = None) -> dict[str, float]:
    """95 % interval of a metric from its values without each of the videos.

    Frames of one video resemble each other, so whole videos are left out. A metric with ``limits`` is put on the logit
    scale first. With ``d_i`` the deviation of the value without video i from the mean of such values:

    1. The variance is ``V = (N - 1) / N * S`` with ``S = sum d_i^2``. Videos that change nothing do not count in N.
    2. A few videos may decide most of V. Its degrees of freedom are those of a chi-squared variable of the same
       relative variance, ``2 S^2 / (sum d_i^4 - S^2 / N)``, at most ``N - 1``.
    3. The interval is the value ± the quantile of Student's t times ``sqrt(V)``, back on the scale of the metric.

    Args:
        value: metric of all videos.
        left_out: ``(N,)``, the metric without each video.
        limits: ``(low, high)`` of the metric, such as ``(0, 1)``; ``None`` for a difference.

    Returns:
        ``low``, ``high``, ``standard_error`` (on the scale of step 1) and ``degrees_of_freedom``. All
        are nan where nothing is known of the spread: the metric is undefined without one of the videos, it is at one of
        its limits, or a single video decides it.

    Raises:
        ValueError: if ``value`` lies outside ``limits``, or ``left_out`` is not a vector.

    Example:

    >>> values = np.array([1.0, 2.0, 4.0, 5.0])  # of a mean, the standard error is the usual one
    >>> interval = interval_of_jackknife(3.0, (values.sum() - values) / 3)
    >>> round(interval["standard_error"], 3), round(interval["low"], 2), round(interval["high"], 2)
    (0.913, 0.09, 5.91)

    Reference: Efron & Tibshirani, An introduction to the bootstrap, chapter 11; degrees of freedom after Satterthwaite.
    """
    value, left_out = float(value), np.asarray(left_out, dtype=np.float64)
    if limits is not None:
        checks.number_lists("(-inf, inf)", length=2, limits=limits)
        if limits[0] >= limits[1]:
            raise ValueError(f"`limits` must be (low, high), low below high. Received: {tuple(limits)}.")
    if left_out.ndim != 1 or not left_out.size:
        raise ValueError(f"`left_out` must hold one value per video. Received: an array of shape {left_out.shape}.")
    if limits is not None and not np.isnan(value) and not limits[0] <= value <= limits[1]:
        raise ValueError(f"`value` must lie in `limits`={tuple(limits)}. Received: {value}.")
    if np.isnan(value) or np.isnan(left_out).any() or (limits is not None and value in limits):
        return _interval(*[np.nan] * 4)
    changing = left_out[np.abs(left_out - value) > 1e-12]
    if changing.size < 2:
        same = limits is None and not changing.size  # a difference of 0 between equal systems
        return _interval(value, value, 0.0, np.inf) if same else _interval(*[np.nan] * 4)
    if limits is None:
        error, freedom = _standard_error(changing)
        margin = _t_quantile(freedom) * error
        return _interval(value - margin, value + margin, error, freedom)
    low, width = limits[0], limits[1] - limits[0]
    share, shares = (value - low) / width, (changing - low) / width
    nearest = share * LIMIT_SHARE, 1 - (1 - share) * LIMIT_SHARE  # the logit of a limit itself is infinite
    error, freedom = _standard_error(_logit(np.clip(shares, *nearest)))
    margin = _t_quantile(freedom) * error
    lower, upper = (low + width / (1 + np.exp(-_logit(share) - side * margin)) for side in (-1, 1))
    return _interval(lower, upper, error, freedom)


def _logit(share: Share) -> Share:
    logit: Share = np.log(share / (1 - share))
    return logit


def _interval(low: float, high: float, error: float, freedom: float) -> dict[str, float]:
    names = ("low", "high", "standard_error", "degrees_of_freedom")
    return dict(zip(names, map(float, (low, high, error, freedom)), strict=True))


def _standard_error(left_out: NDArray[np.float64]) -> tuple[float, float]:
    """Steps 1 and 2."""
    number = left_out.size
    squares = (left_out - left_out.mean()) ** 2
    total = squares.sum()
    spread = np.sum(squares**2) - total**2 / number
    freedom = min(number - 1, 2 * total**2 / spread) if spread > 0 else number - 1
    return np.sqrt((number - 1) / number * total), freedom


def _t_quantile(freedom: float) -> float:
    """97.5 % quantile of Student's t. With ``t = sqrt(n) tan(x)`` its density is that of ``cos(x)^(n - 1)``."""
    angles = np.linspace(0.0, np.pi / 2, QUANTILE_POINTS)
    density = np.cos(angles) ** (freedom - 1)
    below = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2))
    return float(np.sqrt(freedom) * np.tan(np.interp(0.95, below / below[-1], angles)))
