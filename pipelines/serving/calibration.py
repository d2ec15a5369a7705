"""The threshold for a wanted number of false alarms per camera-day, from normal footage, with a finite-sample bound."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

DAY_SEC = 86_400.0
STEPS_PER_UNIT = 10**6  # thresholds are multiples of its inverse, as stored scores are
CURVE_POINTS = 80


class Footage(NamedTuple):
    """Scores and times of a normal video, ``(num_frames,)`` each, and how long its last frame is shown."""

    scores: np.ndarray
    times_sec: np.ndarray
    frame_duration_sec: float

    @property
    def duration_sec(self):
        """From the first frame to the end of the last one."""
        return float(self.times_sec[-1] - self.times_sec[0] + self.frame_duration_sec)


class Calibration(NamedTuple):
    """A calibrated threshold.

    Args:
        threshold: The lowest one that keeps the promise; None when the footage is too short or the scores too high.
        days: Camera-days of footage.
        num_blocks: Blocks of footage.
        allowed_blocks: With how many alarmed blocks the promise is kept; -1: the footage is too short for it.
        alarmed_blocks: With the threshold.
        clusters: Runs of neighbouring alarmed blocks; far fewer than ``alarmed_blocks`` mean that blocks are too short.
        per_day: Alarms per camera-day in the footage, with the threshold.
        bound_per_day: Upper bound of the alarms per camera-day to come.
        needed_days: Camera-days of footage that the promise needs at least.
        best_per_day: The lowest number of alarms per camera-day that this footage can promise.
    """

    threshold: float | None
    days: float
    num_blocks: int
    allowed_blocks: int
    alarmed_blocks: int
    clusters: int
    per_day: float
    bound_per_day: float
    needed_days: float
    best_per_day: float


def calibrate(footage, rules, per_day, block_sec, confidence):
    """Find the lowest threshold that keeps a promise: at most ``per_day`` false alarms per camera-day to come.

    The footage is cut into blocks. A block is alarmed when an event is open in it, so alarms in one block count once;
    with ``rules.cooldown_sec`` of at least ``block_sec`` no two alarms start in one block, and what is counted is
    alarms. Raising the threshold never alarms another block: the threshold is the lowest with at most ``k`` alarmed
    blocks of ``n``. With ``p`` alarmed blocks wanted per block (``per_day`` times the length of a block in days), ``k``
    is fixed before the scores are seen:

    * with a confidence ``c``: the largest ``k`` such that the ``c`` quantile of Beta(k + 1, n - k) is at most ``p``.
      The share of blocks to come that a threshold above the (k+1)-th highest block alarms has that distribution at
      most. So the promise holds for a share ``c`` of all footage that could have been taken. (It is the bound of
      Clopper and Pearson for ``k`` of ``n``.)
    * without (0): the largest ``k`` such that (k + 1) / (n + 1) is at most ``p``. The promise then holds on average
      over footage.

    Assumptions: the footage is normal; blocks to come are drawn as those of the footage are (same camera, same model,
    whole days if days are to come); with a confidence, blocks are independent, without one, exchangeable. Frames are
    neither, and so blocks must be longer than what raises a score lasts.

    Args:
        footage: List of ``Footage``; blocks go on from one to the next, events do not.
        rules: ``AlarmRules``; thresholds and cool-down are not used.
        per_day: Wanted false alarms per camera-day, above 0.
        block_sec: Length of a block in seconds; 0: each video is a block.
        confidence: In [0, 1).

    Returns:
        ``Calibration``.

    Raises:
        ValueError: There is less than a block of footage.

    Example:

    >>> from pipelines.serving.alarms import AlarmRules
    >>> rng = np.random.default_rng(0)
    >>> day = Footage(rng.random(86_400) ** 4, np.arange(86_400.0), 1.0)
    >>> found = calibrate([day], AlarmRules(0.5), per_day=24, block_sec=600, confidence=0.95)
    >>> found.num_blocks, found.allowed_blocks, found.alarmed_blocks, round(found.bound_per_day, 1)
    (144, 16, 16, 23.6)
    """
    num_blocks, block_days = _count_blocks(footage, block_sec)
    days = num_blocks * block_days
    probability = per_day * block_days
    allowed = allowed_blocks(num_blocks, probability, confidence)
    needed_days = needed_blocks(probability, confidence) * block_days
    best = upper_bound(0, num_blocks, confidence) / block_days
    threshold = _lowest_threshold(footage, rules, block_sec, allowed) if allowed >= 0 else None
    if threshold is None:
        none = float("nan")
        return Calibration(None, days, num_blocks, allowed, 0, 0, none, none, needed_days, best)
    alarmed = alarmed_blocks(footage, rules, threshold, block_sec)
    number, clusters = int(alarmed.sum()), int(np.sum(np.diff(alarmed.astype(int), prepend=0) == 1))
    bound = upper_bound(allowed, num_blocks, confidence) / block_days
    return Calibration(
        threshold, days, num_blocks, allowed, number, clusters, number / days, bound, needed_days, best
    )


def curve(footage, rules, block_sec, confidence):
    """Return ``(thresholds, alarms per camera-day in the footage, bounds of those to come)``, for a figure.

    The bound of each threshold is that of one chosen without looking at the footage.
    """
    num_blocks, block_days = _count_blocks(footage, block_sec)
    scores = np.concatenate([video.scores for video in footage])
    thresholds = np.unique(np.append(np.quantile(scores, 1 - np.geomspace(1e-6, 1, CURVE_POINTS)), 1.0))
    counts = [int(alarmed_blocks(footage, rules, one, block_sec).sum()) for one in thresholds]
    bounds = [upper_bound(count, num_blocks, confidence) for count in counts]
    return thresholds, np.array(counts) / (num_blocks * block_days), np.array(bounds) / block_days


def alarmed_blocks(footage, rules, threshold, block_sec):
    """Return which blocks an event is open in, bool ``(num_blocks,)``, by ``AlarmRules`` without levels and cool-down.

    Args:
        footage, rules, block_sec: As for ``calibrate``. A last part that is shorter than a block is left out.
        threshold: Of an alarm.
    """
    num_blocks, _ = _count_blocks(footage, block_sec)
    alarmed, offset_sec = np.zeros(num_blocks + 1, int), 0.0
    for number, video in enumerate(footage):
        starts, ends = _events(video, rules, threshold)
        if block_sec:
            first = np.floor((starts + offset_sec) / block_sec).astype(int)
            last = np.maximum(np.ceil((ends + offset_sec) / block_sec).astype(int), first + 1)
        else:
            first, last = np.full(starts.shape, number), np.full(starts.shape, number + 1)
        np.add.at(alarmed, np.minimum(first, num_blocks), 1)
        np.add.at(alarmed, np.minimum(last, num_blocks), -1)
        offset_sec += video.duration_sec
    return np.cumsum(alarmed)[:num_blocks] > 0


def allowed_blocks(num_blocks, probability, confidence):
    """Return the largest number of alarmed blocks of ``num_blocks`` that keeps the promise, -1: none does.

    Example:

    >>> allowed_blocks(298, 0.01, 0.95), allowed_blocks(299, 0.01, 0.95), allowed_blocks(99, 0.01, 0.0)
    (-1, 0, 0)
    """
    low, high = -1, num_blocks - 1
    while low < high:
        middle = (low + high + 1) // 2
        if upper_bound(middle, num_blocks, confidence) <= probability:
            low = middle
        else:
            high = middle - 1
    return low


def needed_blocks(probability, confidence):
    """Return the smallest number of blocks that can keep the promise, with no alarm in any of them.

    Example:

    >>> needed_blocks(0.01, 0.95), needed_blocks(0.01, 0.0)
    (299, 99)
    """
    if probability >= 1:
        return 1
    if not confidence:
        return math.ceil(1 / probability - 1 - 1e-9)
    return math.ceil(math.log(1 - confidence) / math.log1p(-probability) - 1e-9)


def upper_bound(alarmed, num_blocks, confidence):
    """Return the share of alarmed blocks to come that is promised when ``alarmed`` of ``num_blocks`` are allowed."""
    if alarmed >= num_blocks:
        return 1.0
    if not confidence:
        return (alarmed + 1) / (num_blocks + 1)
    return float(betaincinv(alarmed + 1, num_blocks - alarmed, confidence))


def _count_blocks(footage, block_sec):
    """Return the number of blocks and the length of one in days."""
    total_sec = sum(video.duration_sec for video in footage)
    number = int((total_sec + 1e-6) // block_sec) if block_sec else len(footage)
    if number < 1:
        raise ValueError(f"`footage` must last at least a block of {block_sec:g} s. Received: {total_sec:.0f} s.")
    return number, (block_sec or total_sec / number) / DAY_SEC


def _lowest_threshold(footage, rules, block_sec, allowed):
    """Return the lowest threshold with at most ``allowed`` alarmed blocks; None: even 1.0 alarms more."""
    low, high = 0, STEPS_PER_UNIT + 1
    while low < high:
        middle = (low + high) // 2
        if alarmed_blocks(footage, rules, middle / STEPS_PER_UNIT, block_sec).sum() <= allowed:
            high = middle
        else:
            low = middle + 1
    return low / STEPS_PER_UNIT if low <= STEPS_PER_UNIT else None


def _events(video, rules, threshold):
    """Return starts and ends, in seconds of the video, of the events of ``find_events`` without cool-down."""
    scores = np.asarray(video.scores, float)
    times = np.append(np.asarray(video.times_sec, float), video.times_sec[-1] + video.frame_duration_sec)
    times = times - times[0]
    high, low = scores >= threshold, scores < threshold - rules.hysteresis
    # The last score that was high or low decides: between both thresholds a stretch goes on.
    decided = np.maximum.accumulate(np.where(high | low, np.arange(scores.size), -1))
    active = (decided >= 0) & high[np.maximum(decided, 0)]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]))).reshape(-1, 2)
    starts, ends = times[edges[:, 0]], times[edges[:, 1]]
    if not starts.size:
        return starts, ends
    apart = starts[1:] - ends[:-1] >= rules.merge_gap_sec
    starts, ends = starts[np.append(True, apart)], ends[np.append(apart, True)]
    long = ends - starts >= rules.min_length_sec
    return starts[long], ends[long]
