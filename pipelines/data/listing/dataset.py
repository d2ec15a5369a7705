"""What the file of a dataset gives: its description, ``About``, and the ``ListedVideo`` entries that it reads."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.data.listing.manifest import array_to_intervals


@dataclass(frozen=True)
class About:
    """Description of a dataset; every file under ``datasets/`` has one as ``ABOUT``.

    Args:
        title: One line on its content.
        videos: The archives or folders that hold its videos.
        lists: The official lists and labels.
        source: Where to get them: the name of the project's page.
        paper: The publication.
        metric: The metric that publications report on it.
        needed: Names of the required files; a tuple holds alternatives, any one of which is enough.
        counts: Official numbers of videos, ``{(subset, label): videos}``.
        classes: Official numbers per class, ``{(subset, class): videos}``, where the authors publish them.
    """

    title: str
    videos: str
    lists: str
    source: str
    paper: str = ""
    metric: str = ""
    needed: tuple[str | tuple[str, ...], ...] = ()
    counts: dict = field(default_factory=dict)
    classes: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ListedVideo:
    """One entry of a list of videos. The file itself has not been opened.

    Args:
        video_id: Path under the data root without suffix, ``"/"`` between folders.
        path: The file, or a folder of frames.
        subset: ``"train"``, ``"test"`` or ``""``.
        label: 0 normal, 1 abnormal, None unknown.
        class_name: Kind of event, ``""`` when unknown.
        frame_labels: uint8, one per original frame; None when unknown or given as intervals.
        intervals: Abnormal frames as ``((start, end_exclusive), ...)``; None when unknown or given per frame.
        num_frames: True length of the video if the list states it, else None.
        where: File and line of the entry, for messages.
        labels_from: File, and line if there is one, of the frame labels, for messages.
        fps: Frames per second of a folder of frames; None when unknown. A video file holds its own.
        missing: What is missing and which line asks for it; ``""`` when the video and its labels are there.
    """

    video_id: str
    path: Path
    subset: str
    label: int | None
    class_name: str = ""
    frame_labels: np.ndarray | None = None
    intervals: tuple[tuple[int, int], ...] | None = None
    num_frames: int | None = None
    where: str = ""
    labels_from: str = ""
    fps: float | None = None
    missing: str = ""

    def frame_intervals(self, num_frames):
        """Return the abnormal intervals inside the true length of the video.

        Args:
            num_frames: Number of decoded frames.

        Returns:
            ``(intervals or None, warning)``; the warning says what was cut off.

        Raises:
            ValueError: There are fewer frame labels than frames, or an event lies after the end.
        """
        source = f"{self.labels_from}: " if self.labels_from else ""
        if self.frame_labels is not None:
            return self._from_frame_labels(num_frames, source)
        return (None, "") if self.intervals is None else self._from_intervals(num_frames, source)

    def _from_frame_labels(self, num_frames, source):
        num_labels = len(self.frame_labels)
        if num_labels < num_frames:
            raise ValueError(
                f"{source}{num_labels} frame labels for {num_frames} decoded frames. Give one label per frame, or "
                "remove the entry to use the video with its video label only."
            )
        kept = self.frame_labels[:num_frames]
        if self.frame_labels.any() and not kept.any():
            raise ValueError(
                f"{source}all abnormal frames of its {num_labels} labels lie after the end: only {num_frames} frames "
                "were decoded. The labels belong to another video or frame rate: correct or remove them."
            )
        cut = f"{source}{num_labels} frame labels cut to {num_frames} decoded frames"
        return array_to_intervals(kept), cut if num_labels > num_frames else ""

    def _from_intervals(self, num_frames, source):
        late = [start for start, _ in self.intervals if start >= num_frames]
        if late:
            raise ValueError(
                f"{source}an abnormal interval starts at frame {late[0]}, but only {num_frames} frames were decoded. "
                "Frames count from 0 here. Correct or remove the line. If the video has another frame rate than the "
                "labels, write labels for this file."
            )
        last = max((end for _, end in self.intervals), default=0)
        cut = f"{source}an interval up to frame {last} was cut to {num_frames} decoded frames"
        return tuple((start, min(end, num_frames)) for start, end in self.intervals), cut if last > num_frames else ""
