"""A dataset is one file with `load(config, track) -> list[Video]`; this door picks it by `data.dataset`."""

import difflib
import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.config import UserError
from pipelines.data.manifest import array_to_intervals

DATASETS = ("folder", "synthetic")


@dataclass(frozen=True, eq=False)
class Video:
    """One labelled video, before it is opened.

    Args:
        video_id: Path under the data root without suffix, `"/"` between folders.
        path: The file.
        subset: `"train"`, `"test"` or `""`.
        label: 0 normal, 1 abnormal, None unknown.
        class_name: Kind of event, `""` when unknown.
        frame_labels: uint8, one for each original frame; None when unknown or given as intervals.
        intervals: Abnormal frames as `((start, end_exclusive), ...)`; None when unknown or given by frame.
        num_frames: True length of the video where the list tells it, else None.
        where: File and line that list it, for messages.
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

    def frame_intervals(self, num_frames):
        """The abnormal intervals inside the true length of the video.

        Args:
            num_frames: Frames that were truly decoded.

        Returns:
            `(intervals or None, warning)`; the warning says what had to be cut.

        Raises:
            ValueError: There are fewer frame labels than frames, or an interval starts after the end.
        """
        if self.frame_labels is not None:
            num_labels = len(self.frame_labels)
            if num_labels < num_frames:
                raise ValueError(
                    f"{num_labels} frame labels for {num_frames} decoded frames. Give one label for each frame, "
                    "or remove the entry so that the video is used with its video label only."
                )
            cut = f"{num_labels} frame labels cut to {num_frames} decoded frames" if num_labels > num_frames else ""
            return array_to_intervals(self.frame_labels[:num_frames]), cut
        if self.intervals is None:
            return None, ""
        late = [start for start, _ in self.intervals if start >= num_frames]
        if late:
            raise ValueError(
                f"an abnormal interval starts at frame {late[0]}, but only {num_frames} frames were decoded. "
                "Frames count from 0; correct or remove the line of intervals.csv."
            )
        last = max((end for _, end in self.intervals), default=0)
        cut = f"an interval up to frame {last} was cut to {num_frames} decoded frames" if last > num_frames else ""
        return tuple((start, min(end, num_frames)) for start, end in self.intervals), cut


def load_dataset(config, track=iter):
    """The videos of the configured dataset, in the order of its list.

    With `features.root` the video files need not exist.

    Args:
        config: The run's configuration.
        track: Wraps the loop of a dataset that has to be made first, to show its progress.

    Raises:
        UserError: The dataset is unknown, or its files are not as they should be.
    """
    name = config.data.dataset
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise UserError(f"`data.dataset` must be one of {', '.join(DATASETS)}. Received: `{name}`.{hint}")
    return importlib.import_module(f"pipelines.data.datasets.{name}").load(config, track)
