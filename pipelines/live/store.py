"""The store of ``vad watch``: events with their verdicts, clips and snapshots, scores and states of the cameras."""

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pipelines.live.database import Database
from pipelines.live.media import CLIP, SNAPSHOT, Media
from pipelines.run.files import TEMPORARY, replacing
from pipelines.serving.alarms import LEVELS, Event

VERDICTS = ("true_alarm", "false_alarm")
RAW_SEC = 6 * 3600.0  # single scores are kept as long, minutes until retention
MINUTE_SEC = 60.0
EVENT_ID = re.compile(r"[0-9a-f]{32}")
CAMERA = re.compile(r"[A-Za-z0-9_-]{1,64}")

MIGRATIONS = (
    """
    CREATE TABLE events (
        event_id TEXT PRIMARY KEY, camera TEXT NOT NULL, level TEXT NOT NULL, start REAL NOT NULL, end REAL,
        peak_time REAL NOT NULL, peak_score REAL NOT NULL, verdict TEXT, reviewed_time REAL);
    CREATE INDEX events_by_time ON events (start, event_id);
    CREATE INDEX events_by_camera ON events (camera, start, event_id)
    """,
    """
    CREATE TABLE scores (camera TEXT NOT NULL, time REAL NOT NULL, score REAL NOT NULL, PRIMARY KEY (camera, time))
    WITHOUT ROWID;
    CREATE TABLE minutes (
        camera TEXT NOT NULL, time REAL NOT NULL, low REAL NOT NULL, mean REAL NOT NULL, high REAL NOT NULL,
        PRIMARY KEY (camera, time)) WITHOUT ROWID
    """,
    """
    CREATE TABLE states (
        camera TEXT NOT NULL, time REAL NOT NULL, state TEXT NOT NULL, health TEXT NOT NULL, reason TEXT NOT NULL);
    CREATE INDEX states_by_time ON states (camera, time)
    """,
    "ALTER TABLE events ADD COLUMN clip_problem TEXT",
)
STOPPED = "vad watch was stopped before the clip was written"
REMOVED = "removed because the store was larger than watch.keep_gigabytes"


@dataclass
class StoredEvent(Event):
    """An event in the store.

    Args:
        verdict: ``"true_alarm"``, ``"false_alarm"`` or None.
        reviewed_time: Unix time of the verdict; None without one.
        clip_problem: Why there is no clip; None while there is one, or while it is still to come.
        has_clip, has_snapshot: Whether the files are there.
    """

    verdict: Literal["true_alarm", "false_alarm"] | None = None
    reviewed_time: float | None = None
    clip_problem: str | None = None
    has_clip: bool = False
    has_snapshot: bool = False


class EventStore:
    """A folder with ``events.sqlite`` and ``media/<camera>/<YYYY-MM-DD>/<event_id>.mp4`` and ``.jpg`` (dates in UTC).

    All methods may be called from any thread. No name leads out of the folder: events are known by 32 hexadecimal
    digits and cameras by letters, digits, ``-`` and ``_``.

    Args:
        folder: Created where it is missing.
        clock: Returns the Unix time, for verdicts.

    Raises:
        UserError: The folder was written by a newer version, or ``events.sqlite`` is no database.
    """

    def __init__(self, folder, clock=lambda: datetime.now(UTC).timestamp()):
        self.folder, self._clock = Path(folder), clock
        self.media = Media(self.folder / "media")
        self._database = Database(self.folder / "events.sqlite", MIGRATIONS)

    def close(self):
        """Close the database."""
        self._database.close()

    def save(self, event, snapshot=None):
        """Write an event, or its new state; a verdict that it has stays.

        Args:
            event: ``Event``.
            snapshot: JPEG picture of its peak; None: that which it has stays. It is written first, so that no event
                misses it when the process is killed.

        Raises:
            ValueError: Its id, camera or level cannot be one.
        """
        checks = (EVENT_ID.fullmatch(event.event_id), CAMERA.fullmatch(event.camera), event.level in LEVELS)
        if not all(checks) or not math.isfinite(event.start):
            raise ValueError(
                "an event needs an id of 32 hexadecimal digits, a camera of letters, digits, - and _, the level notice "
                f"or alarm and a start. Received: {event}."
            )
        if snapshot is not None:
            with replacing(self.media.path(event, SNAPSHOT)) as temporary:
                temporary.write_bytes(snapshot)
        names = ("event_id", "camera", "level", "start", "end", "peak_time", "peak_score")
        changed = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        sql = f"INSERT INTO events ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)}) "
        with self._database.transaction() as connection:
            connection.execute(f"{sql} ON CONFLICT (event_id) DO UPDATE SET {changed}", event.to_dict())

    def get(self, event_id):
        """Return a ``StoredEvent``; None when there is none with this id."""
        rows = self._database.read("SELECT * FROM events WHERE event_id = ?", (str(event_id),))
        return self._stored(rows[0]) if rows else None

    def events(self, camera=None, level=None, verdict=None, before=None, limit=50, reviewed=None):
        """Return events, newest first.

        Args:
            camera, level, verdict: Only those with this value; None: all.
            before: Only those that started before this time.
            limit: At most so many.
            reviewed: Only those with a verdict (True) or without one (False); None: all.
        """
        wanted = {"camera = ?": camera, "level = ?": level, "verdict = ?": verdict, "start < ?": before}
        wanted["(verdict IS NOT NULL) = ?"] = reviewed
        wanted = {clause: value for clause, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
        sql = f"SELECT * FROM events {where} ORDER BY start DESC, event_id DESC LIMIT ?"
        return [self._stored(row) for row in self._database.read(sql, (*wanted.values(), limit))]

    def open_events(self):
        """Return the events that have not ended, oldest first. After a crash, ``recover`` ends them."""
        rows = self._database.read("SELECT * FROM events WHERE end IS NULL ORDER BY start")
        return [self._stored(row) for row in rows]

    def recover(self):
        """Put in order what a stopped process left. Call it before watching, while no other process does.

        1. Events that are open end at their peak.
        2. Ended events without a clip say that it will not come.
        3. Files that were being written are removed.

        Returns:
            The events that were open.
        """
        left = self.open_events()
        for event in left:
            event.end = max(event.start, event.peak_time)
            self.save(Event.from_dict(event.to_dict()))
        for row in self._database.read("SELECT * FROM events WHERE clip_problem IS NULL"):
            event = self._stored(row)
            if not event.has_clip:
                self.note_clip(event.event_id, STOPPED)
        for path in self.folder.rglob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)
        return left

    def note_clip(self, event_id, problem):
        """Write why an event has no clip; an empty text: it has one."""
        with self._database.transaction() as connection:
            sql = "UPDATE events SET clip_problem = ? WHERE event_id = ?"
            connection.execute(sql, (problem or None, str(event_id)))

    def review(self, event_id, verdict):
        """Write a verdict: ``"true_alarm"``, ``"false_alarm"``, or None to take it back. Return the ``StoredEvent``.

        Raises:
            KeyError: There is no such event.
            ValueError: The verdict cannot be one.
        """
        if verdict is not None and verdict not in VERDICTS:
            raise ValueError(f"`verdict` must be true_alarm, false_alarm or None. Received: {verdict!r}.")
        time = None if verdict is None else self._clock()
        with self._database.transaction() as connection:
            sql = "UPDATE events SET verdict = ?, reviewed_time = ? WHERE event_id = ?"
            if not connection.execute(sql, (verdict, time, str(event_id))).rowcount:
                raise KeyError(f"there is no event {event_id!r:.80}")
        return self.get(event_id)

    def add_scores(self, camera, scores):
        """Add ``(time, score)`` pairs of a camera; what is not finite is left out.

        Single scores are kept for ``RAW_SEC``, then the lowest, mean and highest of each minute.
        """
        times = defaultdict(list)
        for time, score in scores:
            if math.isfinite(time) and math.isfinite(score):
                times[time // MINUTE_SEC * MINUTE_SEC].append((camera, time, score))
        if not times:
            return
        with self._database.transaction() as connection:
            (newest,) = connection.execute("SELECT max(time) FROM scores WHERE camera = ?", (camera,)).fetchone()
            newest = max(max(times), -math.inf if newest is None else newest)
            oldest = (newest - RAW_SEC) // MINUTE_SEC * MINUTE_SEC  # whole minutes go, so that none is counted in part
            for minute in sorted(minute for minute in times if minute >= oldest):
                connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", times[minute])
                connection.execute(
                    "INSERT OR REPLACE INTO minutes SELECT camera, ?, min(score), avg(score), max(score) FROM scores "
                    "WHERE camera = ? AND time >= ? AND time < ?",
                    (minute, camera, minute, minute + MINUTE_SEC),
                )
            connection.execute("DELETE FROM scores WHERE camera = ? AND time < ?", (camera, oldest))

    def scores(self, camera, since, until, max_points=1000):
        """Return ``(time, lowest, mean, highest)`` of at most ``max_points`` equal buckets from ``since`` to ``until``.

        A bucket has the time of its start; one without scores is left out. Buckets are of minutes where they are that
        wide, or where single scores are no longer kept; then they are at least a minute wide, and each minute weighs
        alike.
        """
        width = max((until - since) / max_points, 1e-3)
        rows = self._database.read("SELECT min(time) FROM scores WHERE camera = ?", (camera,))
        oldest = math.inf if rows[0][0] is None else rows[0][0]
        minutes = width >= MINUTE_SEC or since < oldest // MINUTE_SEC * MINUTE_SEC
        if minutes:
            width = max(width, MINUTE_SEC)
            columns, begin = "min(low), avg(mean), max(high) FROM minutes", math.nextafter(since - MINUTE_SEC, math.inf)
        else:
            columns, begin = "min(score), avg(score), max(score) FROM scores", since
        sql = f"SELECT CAST(max(time - ?, 0) / ? AS INTEGER) AS bucket, {columns} "
        sql += "WHERE camera = ? AND time >= ? AND time < ? GROUP BY bucket ORDER BY bucket"
        rows = self._database.read(sql, (since, width, camera, begin, until))
        return [(since + row[0] * width, *row[1:]) for row in rows]

    def add_state(self, camera, time, state, health, reason):
        """Add a change of the state or of the health of a camera."""
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO states VALUES (?, ?, ?, ?, ?)", (camera, time, state, health, reason))

    def states(self, camera, since, until):
        """Return ``(time, state, health, reason)`` in order, from the one that held at ``since`` up to ``until``."""
        sql = "SELECT time, state, health, reason FROM states WHERE camera = ? AND time <= ? AND time >= coalesce("
        sql += "(SELECT max(time) FROM states WHERE camera = ? AND time <= ?), ?) ORDER BY time, rowid"
        return [tuple(row) for row in self._database.read(sql, (camera, until, camera, since, since))]

    def clip_path(self, event_id):
        """Return where the clip of an event is, or is to be written.

        Raises:
            KeyError: There is no such event.
        """
        return self.media.path(self._known(event_id), CLIP)

    def snapshot_path(self, event_id):
        """Return where the snapshot of an event is, or is to be written; else as ``clip_path``."""
        return self.media.path(self._known(event_id), SNAPSHOT)

    def delete_before(self, time):
        """Delete ended events without a verdict, with their media, and the scores and states, from before a time.

        Events with a verdict stay: they are what ``vad collect`` trains with.

        Returns:
            The number of deleted events.
        """
        where = "FROM events WHERE end < ? AND verdict IS NULL"
        with self._database.transaction() as connection:
            gone = [self._stored(row) for row in connection.execute(f"SELECT * {where}", (time,))]
            connection.execute(f"DELETE {where}", (time,))
            connection.execute("DELETE FROM scores WHERE time < ?", (time,))
            connection.execute("DELETE FROM minutes WHERE time < ?", (time - MINUTE_SEC,))
            sql = "DELETE FROM states WHERE time < ? AND time < (SELECT max(time) FROM states AS newer "
            connection.execute(f"{sql} WHERE newer.camera = states.camera AND newer.time < ?)", (time, time))
        for event in gone:  # after the rows: a file without its event is removed by the next retention
            self.media.remove(event)
        return len(gone)

    def remove_oldest_media(self, num_bytes=1):
        """Remove media of the oldest ended events, those with a verdict last, until ``num_bytes`` are freed.

        Returns:
            The number of bytes freed; 0 when there is nothing left to remove.
        """
        freed = 0
        sql = "SELECT * FROM events WHERE end IS NOT NULL ORDER BY verdict IS NOT NULL, start"
        for row in self._database.read(sql):
            if freed >= num_bytes:
                break
            event = self._stored(row)
            freed += self.media.remove(event)
            if event.has_clip:
                self.note_clip(event.event_id, REMOVED)
        return freed

    def _known(self, event_id):
        event = self.get(event_id)
        if event is None:
            raise KeyError(f"there is no event {event_id!r:.80}")
        return event

    def _stored(self, row):
        event = StoredEvent(**dict(row))
        event.has_clip, event.has_snapshot = self.media.has(event, CLIP), self.media.has(event, SNAPSHOT)
        return event
