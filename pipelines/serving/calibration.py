"""The threshold for a wanted number of false alarms per camera-day, from normal footage, with a finite-sample bound."""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import hypergeom

from pipelines.serving.alarms import find_stretches

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


class Promise(NamedTuple):
    """At most ``share`` of the blocks to come are alarmed.

    Args:
        share: Wanted share of alarmed blocks.
        num_ahead: Number of blocks to come; not used without a confidence.
        confidence: How surely it holds, in [0, 1); 0: on average.

    Example:

    >>> [Promise(0.01, 10**6, 0.95).allowed_blocks(number) for number in (298, 299, 474)]
    [-1, 0, 1]
    >>> Promise(0.01, 1000, 0.95).needed_blocks(), Promise(0.01, 1000, 0.0).needed_blocks()
    (312, 99)
    """

    share: float
    num_ahead: int
    confidence: float

    @classmethod
    def of(cls, per_day, block_days, confidence, days_ahead):
        """Return the promise of ``calibrate`` for blocks of ``block_days`` days."""
        return cls(min(per_day * block_days, 1.0), max(round(days_ahead / block_days), 1), confidence)

    def holds(self, allowed, num_blocks):
        """Whether it holds for thresholds that alarm at most ``allowed`` of ``num_blocks`` blocks of footage."""
        return self._holds_at(allowed, num_blocks, math.floor(self.share * self.num_ahead + 1e-6))

    def allowed_blocks(self, num_blocks):
        """Return the largest number of alarmed blocks for which it holds; -1: it holds for none."""
        low, high = -1, num_blocks - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.holds(middle, num_blocks) else (low, middle - 1)
        return low

    def needed_blocks(self):
        """Return the smallest number of blocks for which it can hold, with no alarm in any of them."""
        low, high = 1, 2
        while not self.holds(0, high):
            low, high = high, 2 * high
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.holds(0, middle) else (middle + 1, high)
        return low

    def upper_bound(self, allowed, num_blocks):
        """Return the lowest share for which it would hold with ``allowed`` of ``num_blocks``."""
        if allowed >= num_blocks:
            return 1.0
        if not self.confidence:
            return (allowed + 1) / (num_blocks + 1)
        low, high = 0, self.num_ahead
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._holds_at(allowed, num_blocks, middle) else (middle + 1, high)
        return low / self.num_ahead

    def _holds_at(self, allowed, num_blocks, most):
        if not self.confidence:
            return (allowed + 1) / (num_blocks + 1) <= self.share * (1 + 1e-9)
        total, highest = num_blocks + self.num_ahead, allowed + most + 1
        if most >= self.num_ahead:
            return True
        return hypergeom.cdf(allowed, total, num_blocks, highest) <= (1 - self.confidence) * (1 + 1e-9)


def calibrate(footage, rules, per_day, block_sec, confidence, days_ahead=30.0):
    """Find the lowest threshold that keeps a promise: at most ``per_day`` false alarms per camera-day to come.

    The footage is cut into blocks. A block is alarmed when an event is open in it, so alarms in one block count once;
    with ``rules.cooldown_sec`` of at least ``block_sec`` no two alarms start in one block, and what is counted is
    alarms. Raising the threshold never alarms another block: the threshold is the lowest with at most ``k`` alarmed
    blocks of the ``n`` of the footage, and ``k`` is fixed before the scores are seen:

    * with a confidence ``c``, the promise is on the ``m`` blocks of the next ``days_ahead`` days: at most ``q`` of them
      (``per_day`` times ``days_ahead``) are alarmed. It is broken only if of the ``k + q + 1`` highest blocks of all
      ``n + m`` at most ``k`` lie in the footage. When all orders are equally likely, that has a hypergeometric
      probability; ``k`` is the largest for which it is at most ``1 - c``. So the promise is kept for a share ``c`` of
      all pairs of footage and days to come. With many days ahead this is the bound of Clopper and Pearson.
    * without (0), ``k`` is the largest for which ``(k + 1) / (n + 1)`` is at most the wanted share of alarmed blocks.
      The promise then holds on average.

    Assumptions: the footage is normal, and its blocks and those to come are exchangeable: the same camera and model, no
    drift, footage of whole days if whole days are to come. Frames are not exchangeable, so a block must be longer than
    what raises a score lasts; blocks that depend on each other make the promise too bold.

    Args:
        footage: List of ``Footage``; blocks go on from one to the next, events do not.
        rules: ``AlarmRules``; thresholds and cool-down are not used.
        per_day: Wanted false alarms per camera-day, above 0.
        block_sec: Length of a block in seconds; 0: each video is a block.
        confidence: In [0, 1).
        days_ahead: For how many camera-days the promise with a confidence is made.

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
    (144, 16, 16, 23.7)
    """
    num_blocks, block_days = _count_blocks(footage, block_sec)
    promise = Promise.of(per_day, block_days, confidence, days_ahead)
    allowed = promise.allowed_blocks(num_blocks)
    days, needed_days = num_blocks * block_days, promise.needed_blocks() * block_days
    best = promise.upper_bound(0, num_blocks) / block_days
    threshold = _lowest_threshold(footage, rules, block_sec, allowed) if allowed >= 0 else None
    if threshold is None:
        none = float("nan")
        return Calibration(None, days, num_blocks, allowed, 0, 0, none, none, needed_days, best)
    alarmed = alarmed_blocks(footage, rules, threshold, block_sec)
    number, clusters = int(alarmed.sum()), int(np.sum(np.diff(alarmed.astype(int), prepend=0) == 1))
    bound = promise.upper_bound(allowed, num_blocks) / block_days
    return Calibration(
        threshold, days, num_blocks, allowed, number, clusters, number / days, bound, needed_days, best
    )


def curve(footage, rules, block_sec, confidence, days_ahead=30.0):
    """Return ``(thresholds, alarms per camera-day in the footage, bounds of those to come)``, for a figure.

    The bound of each threshold is that of one chosen without looking at the footage.
    """
    num_blocks, block_days = _count_blocks(footage, block_sec)
    scores = np.concatenate([video.scores for video in footage])
    thresholds = np.unique(np.append(np.quantile(scores, 1 - np.geomspace(1e-6, 1, CURVE_POINTS)), 1.0))
    counts = [int(alarmed_blocks(footage, rules, one, block_sec).sum()) for one in thresholds]
    promise = Promise.of(1.0, block_days, confidence, days_ahead)
    bounds = [promise.upper_bound(count, num_blocks) for count in counts]
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
    """Return starts and ends, in seconds of the video, of its alarms."""
    edges = np.append(np.asarray(video.times_sec, float), video.times_sec[-1] + video.frame_duration_sec)
    edges = edges - edges[0]
    return edges[find_stretches(np.asarray(video.scores, float), edges, threshold, rules)].T
