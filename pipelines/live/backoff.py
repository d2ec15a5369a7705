"""How long to wait before the next attempt: longer each time, never the same for all cameras."""

import random

FIRST_SEC, LONGEST_SEC = 1.0, 60.0
LASTED_SEC = 10.0  # a connection that lasted so long was a success


class Backoff:
    """Waiting times that double from 1 s to 60 s, each times a random factor between 0.5 and 1.5.

    Example:
    >>> backoff = Backoff()
    >>> [0.5 * 2**n <= backoff.next() <= 1.5 * 2**n for n in range(3)]
    [True, True, True]
    """

    def __init__(self, first_sec=FIRST_SEC, longest_sec=LONGEST_SEC):
        self.first_sec, self.longest_sec = first_sec, longest_sec
        self._attempts = 0

    def next(self):
        """Return the seconds to wait before the next attempt."""
        seconds = min(self.longest_sec, self.first_sec * 2 ** min(self._attempts, 30))
        self._attempts += 1
        return seconds * random.uniform(0.5, 1.5)

    def lasted(self, seconds):
        """Start again with short times if the last attempt held for long."""
        if seconds >= LASTED_SEC:
            self._attempts = 0
