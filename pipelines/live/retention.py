"""Keep the store of ``vad watch`` within days and gigabytes."""

import time as clock
from typing import NamedTuple

from pipelines.live.store import EventStore
from pipelines.run.disk import size_of

DAY_SEC = 86_400.0
STRAY_SEC = 3600.0  # a file without an event may belong to one that is about to be saved


class Removed(NamedTuple):
    """What retention removed."""

    events: int
    stray_files: int
    media_bytes: int


def enforce(store: EventStore, max_days, max_gigabytes, now=None) -> Removed:
    """Delete what is too old, then what is too much. Call it every few minutes.

    1. Events without a verdict that ended more than ``max_days`` ago go with their media, as do scores and states of
       that age. Events with a verdict stay.
    2. Media files that belong to no event go when they are older than an hour.
    3. While the folder takes more than ``max_gigabytes``, clips and snapshots go, oldest first, those of events with a
       verdict last. Their events stay.

    An open event and its media are never touched.

    Args:
        store: ``EventStore``.
        max_days: Age in days; 0: no limit.
        max_gigabytes: Size in GB (10⁹ bytes); 0: no limit.
        now: Unix time; None: that of the clock.
    """
    now = clock.time() if now is None else now
    events = store.delete_before(now - max_days * DAY_SEC) if max_days else 0
    stray_files = store.media.remove_strays(store.get, now - STRAY_SEC)
    excess = size_of(store.folder) - max_gigabytes * 1e9
    return Removed(events, stray_files, store.remove_oldest_media(excess) if max_gigabytes and excess > 0 else 0)
