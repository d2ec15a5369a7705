"""A folder that recordings are dropped into: which of them are complete and have not been scored yet."""

import json
from pathlib import Path

from pipelines.data.listing.files import VIDEO_SUFFIXES
from pipelines.run.files import write_json

SETTLED_SEC = 3.0


class Recordings:
    """Finds the recordings of a folder, the oldest first. It remembers nothing on disk; see ``ScoredFiles``.

    Args:
        folder: Searched with its subfolders.
        scored: Identities (see ``identity_of``) of the files that are not taken.
        settled_sec: A file is complete when its size and time have not changed for so long.
    """

    def __init__(self, folder, scored=(), settled_sec=SETTLED_SEC):
        self.folder, self.settled_sec = Path(folder), settled_sec
        self._taken, self._seen = set(scored), {}

    def next(self, now):
        """Return the next complete recording as ``(path, identity)``; None when there is none at the time ``now``."""
        waiting, seen = [], {}
        for path in self.folder.rglob("*"):
            identity = identity_of(path, self.folder) if path.suffix.lower() in VIDEO_SUFFIXES else None
            if identity is None or identity in self._taken or path.name.startswith("."):
                continue
            seen[identity] = self._seen.get(identity, now)
            if now - seen[identity] >= self.settled_sec:
                waiting.append((path.stat().st_mtime_ns, path.as_posix(), identity))
        self._seen = seen
        if not waiting:
            return None
        _, path, identity = min(waiting)
        self._taken.add(identity)
        return Path(path), identity


class ScoredFiles:
    """The recordings that were scored to their end, in a JSON file, so that none is scored twice.

    Args:
        path: The JSON file.
        folder: Folder of the recordings. Files that are no longer there are forgotten.
    """

    def __init__(self, path, folder):
        self.path, self.folder = Path(path), Path(folder)
        try:
            self.identities = [str(entry) for entry in json.loads(self.path.read_text(encoding="utf-8"))["scored"]]
        except (OSError, ValueError, KeyError, TypeError):
            self.identities = []

    def add(self, identity):
        """Remember a recording."""
        present = {identity_of(self.folder / known.rpartition("|")[0].rpartition("|")[0], self.folder): known
                   for known in self.identities}
        self.identities = [known for known in self.identities if known in present] + [identity]
        write_json(self.path, {"scored": self.identities})


def identity_of(path, folder):
    """Return what makes a recording the same: name, size and time; None when it is no file (any more)."""
    try:
        if not path.is_file():
            return None
        stat = path.stat()
    except OSError:
        return None
    return f"{path.relative_to(folder).as_posix()}|{stat.st_size}|{stat.st_mtime_ns}"
