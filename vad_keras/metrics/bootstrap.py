"""How far a figure would move if other videos had been filmed."""

import numpy as np


def bootstrap_videos(videos, statistic, samples=1000, seed=0):
    """95 % interval of a statistic by drawing whole videos with replacement.

    Frames of one video resemble each other, so videos are drawn, not frames. A draw in which the statistic is nan
    (e.g. no abnormal video in it) is left out and counted.

    Args:
        videos: list of anything, one entry a video.
        statistic: function of such a list that returns a float or an array of floats.
        samples: number of draws.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        dict: `low`, `high` (2.5 and 97.5 percentiles), `standard_deviation` and `defined` (draws that counted), each
        of the shape of the statistic; nan where no draw counted.

    Raises:
        ValueError: if there is no video or `samples` is below 1.

    Example:

    >>> interval = bootstrap_videos([1.0, 2.0, 3.0], np.mean, samples=200, seed=0)
    >>> 1.0 <= interval["low"] <= 2.0 <= interval["high"] <= 3.0
    True
    """
    if not len(videos) or samples < 1:
        raise ValueError(
            f"the bootstrap needs at least one video and one sample. Received: {len(videos)} videos, samples={samples}."
            " Set the number of samples to 1000 or so."
        )
    random = np.random.default_rng(seed)
    draws = [[videos[i] for i in random.integers(len(videos), size=len(videos))] for _ in range(samples)]
    values = np.array([statistic(draw) for draw in draws], dtype=np.float64)
    return _summary(values)


def _summary(values):
    """Percentiles over the first axis without the nan ones, quietly nan where all are."""
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
