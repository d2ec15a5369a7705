"""Quiet clips: short recordings of a camera while nothing happened, the normal videos of the next training."""

import re
from pathlib import Path
from typing import NamedTuple

from pipelines.live.store import CAMERA

NAME = re.compile(r"([0-9]{1,11})-([0-9]{1,11})\.mp4")


class QuietClip(NamedTuple):
    """A recording; times are Unix seconds."""

    camera: str
    start: int
    end: int
    path: Path


class QuietClips:
    """The folder ``quiet/<camera>/<start>-<end>.mp4`` of a store, and when the next clip is due.

    A watched camera asks ``due`` as scores come, and has the stretch cut from its packets.

    Args:
        folder: Folder of the ``EventStore``.
        every_sec: Time from one clip of a camera to the next.
        length_sec: Length of a clip.
        keep: Newest clips of a camera that stay.

    Example:
    >>> import tempfile
    >>> quiet = QuietClips(tempfile.mkdtemp(), every_sec=1800, length_sec=20)
    >>> quiet.due("door", now=9000.0, quiet_since=8990.0), quiet.due("door", now=9000.0, quiet_since=8900.0)
    (None, (8980, 9000))
    """

    def __init__(self, folder, every_sec=3600.0, length_sec=20.0, keep=48):
        self.folder = Path(folder) / "quiet"
        self.every_sec, self.length_sec, self.keep = every_sec, length_sec, keep
        self._newest = {}

    def due(self, camera, now, quiet_since):
        """Return ``(start, end)`` of a clip to cut now; None when none is due. Once returned it counts as cut.

        Args:
            camera: Name of the camera.
            now: Time of the newest score.
            quiet_since: Since when the camera is live, its picture is "ok" and no event is open; None: it is not.
        """
        if quiet_since is None or now - quiet_since < self.length_sec:
            return None
        if camera not in self._newest:
            self._newest[camera] = max((clip.end for clip in self.clips(camera)), default=0)
        start, end = int(now - self.length_sec), int(now)
        if quiet_since > start or end - self._newest[camera] < self.every_sec:
            return None
        self._newest[camera] = end
        return start, end

    def path(self, camera, start, end):
        """Return where a clip is, or is to be written.

        Raises:
            ValueError: The camera cannot be one.
        """
        if not CAMERA.fullmatch(camera):
            raise ValueError(f"a camera has up to 64 letters, digits, - and _. Received: {camera!r:.80}.")
        return self.folder / camera / f"{int(start)}-{int(end)}.mp4"

    def clips(self, camera=None):
        """Return the clips of a camera, or of all, oldest first."""
        found = []
        for path in self.folder.glob(f"{camera or '*'}/*.mp4"):
            match = NAME.fullmatch(path.name)
            if match and path.is_file() and path.stat().st_size:
                found.append(QuietClip(path.parent.name, int(match[1]), int(match[2]), path))
        return sorted(found, key=lambda clip: (clip.start, clip.camera))

    def trim(self, camera):
        """Remove the oldest clips of a camera beyond ``keep``."""
        for clip in self.clips(camera)[: -self.keep]:
            clip.path.unlink(missing_ok=True)
