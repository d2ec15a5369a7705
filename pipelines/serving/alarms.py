"""Alarms: the stretches of a video or of a camera whose score reaches a threshold, and the events they make."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from pipelines.serving.events import LEVELS, AlarmRules, Event

__all__ = ["LEVELS", "Alarm", "AlarmRules", "AlarmTracker", "Event", "find_alarms", "find_events", "find_stretches"]

UPDATE_SEC = 1.0  # a rising peak is reported at most this often


class Alarm(NamedTuple):
    """Consecutive frames of a recorded video; ``end_frame`` and ``end_sec`` are exclusive."""

    start_frame: int
    end_frame: int
    start_sec: float
    end_sec: float
    max_score: float


class _Stretch:
    """A stretch of scores at or above a threshold, by rules 1 and 3."""

    def __init__(self, threshold, rules):
        self.threshold, self.rules = threshold, rules
        self.active, self.start, self.end = False, None, None

    def push(self, time_sec, score):
        if self.active:
            self.end = time_sec  # the score before holds until now
            self.active = score >= self.threshold - self.rules.hysteresis
        elif score >= self.threshold:
            if self.is_over(time_sec):
                self.start = time_sec
            self.active, self.end = True, time_sec

    def stop(self, time_sec):
        if self.active:
            self.active, self.end = False, time_sec

    def is_over(self, time_sec):
        """Whether no score from now on can continue it."""
        return self.start is None or (not self.active and time_sec - self.end >= self.rules.merge_gap_sec)

    @property
    def counts(self):
        return self.start is not None and self.end - self.start >= self.rules.min_length_sec


class AlarmTracker:
    """Find the events of a camera while its scores come in. Memory and work per score are constant.

    A score that is not a finite number counts as none: time passes, and the score before holds. ``update(now, nan)``
    ends an open event of a lost camera ``max_gap_sec`` after its last score.

    A time before the latest one counts as the latest if the step back is at most ``max_gap_sec``. A larger step means
    that the clock was set back: an open event ends with the last score, and the tracker starts anew, without cool-down.

    Args:
        rules: ``AlarmRules``.
        camera: Name of the camera, for its events.

    Example:

    >>> tracker = AlarmTracker(AlarmRules(threshold=0.8, notice_threshold=0.5, merge_gap_sec=2.0), camera="door")
    >>> for time_sec, score in enumerate([0.1, 0.6, 0.9, 0.2, 0.1, 0.1]):
    ...     for change, event in tracker.update(time_sec, score):
    ...         print(time_sec, change, event.level, event.start, event.end)
    1 new notice 1 None
    2 update alarm 1 None
    5 end alarm 1 3
    """

    def __init__(self, rules, camera):
        self.rules, self.camera = rules, camera
        self._restart()

    @property
    def open_event(self):
        """A copy of the event that was reported and has not ended; None when there is none."""
        return dataclasses.replace(self._event) if self._reported_time is not None else None

    def update(self, time_sec, score):
        """Take the score of a frame.

        Args:
            time_sec: Time of the frame in seconds.
            score: Its score; NaN where there is none.

        Returns:
            List of ``(change, event)``. An event is reported as ``"new"`` once, as ``"update"`` when its level rises or
            (once a second at most) its peak, and as ``"end"`` once. Each is a copy.

        Raises:
            ValueError: The time is not a finite number.
        """
        if not math.isfinite(time_sec):
            raise ValueError(f"`time_sec` must be a finite number of seconds. Received: {time_sec}.")
        changes = []
        if time_sec < self._now:
            if self._now - time_sec > self.rules.max_gap_sec:
                changes += self._finish(self._last)
                self._restart()
            else:
                time_sec = self._now
        self._now = time_sec
        if time_sec - self._last > self.rules.max_gap_sec:
            self._stop(self._last)
        changes += self._close(time_sec)
        if not math.isfinite(score):
            return changes
        self._last = time_sec
        if self._event is None:
            if score < self._entry_threshold(time_sec):
                return changes
            level = "notice" if self.rules.notice_threshold is not None else "alarm"
            self._event = Event(self.camera, level, time_sec, None, time_sec, score)
        for stretch in (self._lower, self._upper):
            stretch.push(time_sec, score)
        return changes + self._report(time_sec, score) + self._close(time_sec)

    def finish(self, time_sec):
        """End the open event, because there are no more scores: a camera was paused, or a video is over.

        Args:
            time_sec: Until when the last score holds, at most ``max_gap_sec`` after it.

        Returns:
            List of ``(change, event)``, see ``update``.
        """
        time_sec = max(time_sec, self._now)
        self._now = time_sec
        return self._finish(time_sec if time_sec - self._last <= self.rules.max_gap_sec else self._last)

    def _restart(self):
        self._now = self._last = -math.inf
        self._quiet_until, self._quiet_level = -math.inf, None
        self._forget_event()

    def _forget_event(self):
        self._event, self._reported_time, self._peak_rose = None, None, False
        self._lower = _Stretch(self.rules.lowest, self.rules)
        self._upper = _Stretch(self.rules.threshold, self.rules)

    def _entry_threshold(self, time_sec):
        """The score that starts an event now."""
        if time_sec >= self._quiet_until:
            return self.rules.lowest
        return self.rules.threshold if self._quiet_level == "notice" else math.inf

    def _stop(self, time_sec):
        self._lower.stop(time_sec)
        self._upper.stop(time_sec)

    def _finish(self, time_sec):
        self._stop(time_sec)
        return self._report(time_sec, -math.inf) + self._close(math.inf)

    def _report(self, time_sec, score):
        """Bring peak and level up to date, and report the event if it counts and there is something new."""
        event = self._event
        if event is None:
            return []
        if score > event.peak_score:
            event.peak_time, event.peak_score, self._peak_rose = time_sec, score, True
        rises = event.level == "notice" and self._upper.counts
        if rises:
            event.level = "alarm"
        if self._reported_time is None:
            change = "new" if self._lower.counts else None
        else:
            due = self._peak_rose and time_sec - self._reported_time >= UPDATE_SEC
            change = "update" if rises or due else None
        if change is None:
            return []
        self._reported_time, self._peak_rose = time_sec, False
        return [(change, dataclasses.replace(event))]

    def _close(self, time_sec):
        """End the event if no score from now on can continue it."""
        if self._event is None or not self._lower.is_over(time_sec):
            return []
        event, reported = self._event, self._reported_time is not None
        event.end = self._lower.end
        self._forget_event()
        if not reported:
            return []
        self._quiet_until, self._quiet_level = event.end + self.rules.cooldown_sec, event.level
        return [("end", event)]


def find_events(scores, times_sec, rules, frame_duration_sec, camera=""):
    """Find the events of a video, in order.

    Args:
        scores: One score per frame, ``(num_frames,)``.
        times_sec: Presentation time of each frame, ``(num_frames,)``.
        rules: ``AlarmRules``; no camera is lost in a video, so ``max_gap_sec`` is not used.
        frame_duration_sec: How long the last frame is shown.
        camera: Name for the events.

    Returns:
        List of ended ``Event``s.

    Example:

    >>> rules = AlarmRules(threshold=0.5, merge_gap_sec=1.0)
    >>> events = find_events([0.7, 0.1, 0.9, 0.2], [0.0, 0.5, 1.0, 1.5], rules, frame_duration_sec=0.5)
    >>> [(event.start, event.end, event.peak_score) for event in events]
    [(0.0, 1.5, 0.9)]
    """
    tracker = AlarmTracker(dataclasses.replace(rules, max_gap_sec=math.inf), camera)
    changes = []
    for time_sec, score in zip(map(float, times_sec), map(float, scores), strict=True):
        changes += tracker.update(time_sec, score)
    if len(times_sec):
        changes += tracker.finish(float(times_sec[-1]) + frame_duration_sec)
    return [event for change, event in changes if change == "end"]


def find_alarms(scores, times_sec, rules, frame_duration_sec):
    """Find the alarms of a recorded video, in order: the events of ``find_events`` without notices and cool-down.

    Args:
        scores: One score per frame, ``(num_frames,)``.
        times_sec: Presentation time of each frame, ``(num_frames,)``.
        rules: ``AlarmRules``; threshold, hysteresis, merging and minimum length are used.
        frame_duration_sec: How long the last frame is shown.

    Example:

    >>> find_alarms([0.1, 0.7, 0.9, 0.2], [0.0, 0.5, 1.0, 1.5], AlarmRules(threshold=0.5), frame_duration_sec=0.5)
    [Alarm(start_frame=1, end_frame=3, start_sec=0.5, end_sec=1.5, max_score=0.9)]
    """
    scores = np.asarray(scores, float)
    edges_sec = np.append(np.asarray(times_sec, float), times_sec[-1] + frame_duration_sec)
    return [
        Alarm(int(start), int(end), float(edges_sec[start]), float(edges_sec[end]), float(scores[start:end].max()))
        for start, end in find_stretches(scores, edges_sec, rules.threshold, rules)
    ]


def find_stretches(scores, edges_sec, threshold, rules):
    """Return first frame and end (exclusive) of each stretch, int ``(N, 2)``, by rules 1, 3 and 4 of ``AlarmRules``.

    Args:
        scores: One score per frame, float ``(num_frames,)``.
        edges_sec: Time of each frame, and of the end of the last one, ``(num_frames + 1,)``.
        threshold: Taken in place of that of the rules.
        rules: ``AlarmRules``.
    """
    high, low = scores >= threshold, scores < threshold - rules.hysteresis
    # The last score that was high or low decides: between both thresholds a stretch goes on.
    decided = np.maximum.accumulate(np.where(high | low, np.arange(scores.size), -1))
    active = (decided >= 0) & high[np.maximum(decided, 0)]
    starts, ends = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]))).reshape(-1, 2).T
    if starts.size:
        apart = edges_sec[starts[1:]] - edges_sec[ends[:-1]] >= rules.merge_gap_sec
        starts, ends = starts[np.append(True, apart)], ends[np.append(apart, True)]
    long = edges_sec[ends] - edges_sec[starts] >= rules.min_length_sec
    return np.stack([starts[long], ends[long]], axis=1)
