"""Messages as lines of a JSON file, which is rotated by size."""

import json
import os
from pathlib import Path

from pipelines.live.sinks._worker import Worker

TYPES = ("event", "clip", "state")


class JsonLines:
    """Appends messages to a file, one JSON object per line.

    A file that would grow beyond ``max_bytes`` is renamed to ``<name>.1``, the one before to ``<name>.2``, and so on.
    A line that a crash cut off stays by itself: the next message begins a new line.

    Args:
        path: The file; missing folders are created.
        max_bytes: Largest size of a file.
        keep: Number of full files that are kept.
        types: Which messages are written. Scores are in the store.
    """

    def __init__(self, path, max_bytes=10_000_000, keep=5, types=TYPES):
        self.path, self.max_bytes, self.keep, self.types = Path(path), max_bytes, keep, types
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._worker = Worker(self._write, "json lines")

    @property
    def dropped(self):
        """Messages that were not written, because the disk was too slow or full."""
        return self._worker.dropped + self._worker.failed

    def publish(self, message):
        """Write a message soon."""
        if message["type"] in self.types:
            self._worker.put(message)

    def close(self, timeout=10.0):
        """Write what waits."""
        self._worker.close(timeout)

    def _write(self, message):
        line = json.dumps(message, ensure_ascii=False).encode() + b"\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        if size and size + len(line) > self.max_bytes:
            self._rotate()
            size = 0
        with self.path.open("ab+") as file:
            if size:
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)

    def _rotate(self):
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{number}") for number in range(1, self.keep + 1))]
        names[-1].unlink(missing_ok=True)
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                os.replace(newer, older)
