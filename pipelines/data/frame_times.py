"""Time stamps of frames to times that rise, whatever a file says. It knows no decoder.

What FFmpeg does: its library passes every stamp on. The program ``ffmpeg`` closes jumps of more than 10 s in formats
that allow jumps, such as MPEG-TS, and of more than 30 h in all others (``-dts_delta_threshold``,
``-dts_error_threshold``). In those others it passes single wrong stamps on.
"""

import math
from collections import deque
from itertools import islice
from statistics import median

LOOK_AHEAD = 32  # frames
FORMER_CLOCK_GAPS = 8  # usual gaps; an earlier clock that returns may be off by as much
USUAL_GAPS = 9
DOUBTFUL_GAP = 2.5  # in usual gaps
SMALLEST_GAP_SEC = 1e-6
MAX_PAUSE_SEC = 30 * 3600.0
MAX_PAUSE_OF_STREAM_SEC = 10.0  # in formats that allow jumps of the clock


class FrameTimes:
    """Turns the time stamps of one video into times since its first frame, each later than the one before.

    A stamp is plain if it is later than the last time by up to 2.5 usual gaps. Otherwise the next stamps decide:

    - Wrong stamps: a later one fits the clock again. The frames before it get times in between. This covers missing
      and repeated stamps, and a few that lie in the past or in the future.
    - A new clock: three stamps in a row rise in the past, as after a reset or an overflow, or the stamps jump by more
      than ``max_pause_sec`` into the future and stay there. The frame follows the last one after a usual gap. An
      earlier clock that returns is recognized.
    - A pause: the stamps jump by less and stay there. They are kept.

    Args:
        gap_sec: Expected gap between frames.
        max_pause_sec: Longest jump that can be a pause of the recording.
        look_ahead: Number of frames that are held back at most where a stamp is in doubt. A longer run of wrong stamps
            in the future counts as a pause.

    Attributes:
        num_replaced: Number of stamps that were not used.
        num_clocks: Number of changes of the clock.
        first_sec: Stamp of the first frame; 0 if it has none.

    Example:
    >>> times = FrameTimes(gap_sec=0.5)
    >>> [time_sec for time_sec, _ in times.of([(7.0, "a"), (7.5, "b"), (99.0, "c"), (8.5, "d")])]
    [0.0, 0.5, 1.0, 1.5]
    >>> times.num_replaced
    1
    """

    def __init__(self, gap_sec, max_pause_sec=MAX_PAUSE_SEC, look_ahead=LOOK_AHEAD):
        self.gap_sec, self.max_pause_sec, self.look_ahead = gap_sec, max_pause_sec, look_ahead
        self.num_replaced, self.num_clocks, self.first_sec = 0, 0, 0.0
        self._last_sec, self._offset, self._former_offsets = None, None, []
        self._gaps = deque(maxlen=USUAL_GAPS)

    def of(self, stamped):
        """Yield ``(time_sec, item)`` for each ``(stamp_sec, item)``; a stamp may be None or NaN."""
        source = iter(stamped)
        ahead = deque(islice(source, 1))
        while ahead:
            times = self._plain(ahead[0][0])
            if not times:
                ahead.extend(islice(source, self.look_ahead - len(ahead)))
                times = self._decide([stamp for stamp, _ in ahead])
            for time_sec in times:
                self._last_sec = time_sec
                yield time_sec, ahead.popleft()[1]
            if not ahead:
                ahead.extend(islice(source, 1))

    def _plain(self, stamp_sec):
        """Return the time of the first frame, and of a stamp that is not in doubt; else ``[]``."""
        if self._last_sec is None:
            if stamp_sec is not None and math.isfinite(stamp_sec):
                self._offset, self.first_sec = -stamp_sec, stamp_sec
            return [0.0]
        gap = self._gap(stamp_sec)
        return self._right(gap) if _later(gap) and gap <= DOUBTFUL_GAP * self.gap_sec else []

    def _gap(self, stamp_sec, steps=1):
        """Return the time from the last frame to a stamp, None without a stamp. The first stamp sets the clock."""
        if stamp_sec is None or not math.isfinite(stamp_sec):
            return None
        if self._offset is None:
            self._offset = self._last_sec + steps * self.gap_sec - stamp_sec
        return stamp_sec + self._offset - self._last_sec

    def _decide(self, stamps):
        """Return the times of the first frames; ``[]`` where an earlier clock returns."""
        gaps = [self._gap(stamp, steps) for steps, stamp in enumerate(stamps, start=1)]
        first = gaps[0]
        new = _start_of_new_clock(gaps) if not _later(first) else None
        # a stamp fits if it is later than the last time and, where the first one is doubtful, much nearer than that
        nearest = first / 2 if _later(first) else math.inf
        fitting = [i for i, gap in enumerate(gaps[:new]) if i and _later(gap) and gap <= nearest]
        if fitting:
            back = min(fitting, key=gaps.__getitem__)
            return self._wrong(stamps[:back], gaps[back])
        if new is None and not _later(first):
            return self._wrong(stamps[:1])
        if new:
            return self._wrong(stamps[:new])
        if self._returns_to_former(stamps[0], first):
            return []
        if _later(first) and first <= self.max_pause_sec:
            return self._right(first)
        self.num_clocks += 1
        self._former_offsets.append(self._offset)
        self._offset += self.gap_sec - first
        return [self._last_sec + self.gap_sec]

    def _right(self, gap):
        self._gaps.append(gap)
        self.gap_sec = median(self._gaps)
        return [self._last_sec + gap]

    def _wrong(self, stamps, gap_behind=math.inf):
        """Return times for frames with wrong stamps, at usual gaps or, where there is less room, evenly."""
        self.num_replaced += sum(stamp is not None for stamp in stamps)
        step = min(self.gap_sec, gap_behind / (len(stamps) + 1))
        return [self._last_sec + step * number for number in range(1, len(stamps) + 1)]

    def _returns_to_former(self, stamp_sec, gap):
        """Return to an earlier clock if a stamp fits it within a few gaps, and better than the present clock."""
        for offset in self._former_offsets:
            other = abs(stamp_sec + offset - self._last_sec)
            if other <= FORMER_CLOCK_GAPS * self.gap_sec and other < abs(gap):
                self._former_offsets.remove(offset)
                self._former_offsets.append(self._offset)
                self._offset = offset
                self.num_clocks += 1
                return True
        return False


def _later(gap):
    return gap is not None and gap > SMALLEST_GAP_SEC


def _start_of_new_clock(gaps):
    """Return the index of the first of three rising stamps in the past; None if there are none."""
    for i in range(len(gaps) - 2):
        three = gaps[i : i + 3]
        if None not in three and three[0] < three[1] < three[2] <= 0:
            return i
    return None
