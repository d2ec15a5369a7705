"""Clips and snapshots of events: where they are, and what is removed."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from pipelines.run.disk import size_of

CLIP, SNAPSHOT = ".mp4", ".jpg"


class Media:
    """The files ``<camera>/<YYYY-MM-DD>/<event_id>.mp4`` and ``.jpg`` of a folder; dates are in UTC.

    Args:
        folder: The folder, which need not exist.

    Example:
    >>> from pipelines.serving.events import Event
    >>> event = Event("door", "alarm", 86_400.0, None, 86_400.0, 0.9, event_id="0" * 32)
    >>> Media("media").path(event, CLIP).as_posix()
    'media/door/1970-01-02/00000000000000000000000000000000.mp4'
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def path(self, event, suffix):
        """Return where the clip or the snapshot of an event is, or is to be written."""
        day = datetime.fromtimestamp(event.start, UTC).strftime("%Y-%m-%d")
        return self.folder / event.camera / day / f"{event.event_id}{suffix}"

    def has(self, event, suffix):
        """Whether there is a clip or a snapshot of an event."""
        return self.path(event, suffix).is_file()

    def remove(self, event):
        """Remove the clip and the snapshot of an event; return the bytes that they took."""
        freed = 0
        for suffix in (CLIP, SNAPSHOT):
            path = self.path(event, suffix)
            freed += size_of(path)
            path.unlink(missing_ok=True)
        return freed

    def remove_strays(self, find, older_than):
        """Remove files that belong to no event.

        Args:
            find: Function that returns the event with an id, or None.
            older_than: Unix time; a file changed since then may be at work, and stays.

        Returns:
            The number of removed files.
        """
        removed = 0
        for path in self.folder.rglob("*"):
            event = find(path.stem)
            is_own = event is not None and path in (self.path(event, CLIP), self.path(event, SNAPSHOT))
            with contextlib.suppress(OSError):
                if not is_own and not path.is_dir() and path.lstat().st_mtime < older_than:
                    path.unlink()
                    removed += 1
        return removed
