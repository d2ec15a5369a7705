"""How long to wait before the next attempt: longer each time, and never the same for all who failed together."""

import random

LASTED_SEC = 10.0  # a connection that lasted so long was a success
MOST_DOUBLINGS = 30


def pause_sec(failures, shortest_sec, longest_sec):
    """Return the seconds to wait after some failures in a row, at least one.

    The pause doubles from ``shortest_sec`` to ``longest_sec``, and is a random part of that between a half and the
    whole.

    Example:
    >>> 2.0 <= pause_sec(3, shortest_sec=1.0, longest_sec=60.0) <= 4.0
    True
    """
    return min(longest_sec, shortest_sec * 2 ** min(failures - 1, MOST_DOUBLINGS)) * random.uniform(0.5, 1)


class Backoff:
    """Pauses between connections, from 1 s to 60 s, that start again after a connection which lasted.

    Example:
    >>> backoff = Backoff()
    >>> [2**n / 2 <= backoff.next() <= 2**n for n in range(3)]
    [True, True, True]
    """

    def __init__(self, shortest_sec=1.0, longest_sec=60.0):
        self.shortest_sec, self.longest_sec = shortest_sec, longest_sec
        self._failures = 0

    def next(self):
        """Return the seconds to wait before the next attempt."""
        self._failures += 1
        return pause_sec(self._failures, self.shortest_sec, self.longest_sec)

    def lasted(self, seconds):
        """Start again with short pauses if the last connection held for long."""
        if seconds >= LASTED_SEC:
            self._failures = 0
