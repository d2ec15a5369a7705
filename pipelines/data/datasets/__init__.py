"""A dataset is one file with `load(config, track) -> list[Video]`; this door picks it by `data.dataset`."""

import difflib
import importlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.config import UserError, choices
from pipelines.data.listing.manifest import array_to_intervals

DATASETS = choices("data.dataset")


@dataclass(frozen=True)
class About:
    """What a dataset is and needs, for people; each dataset's file has one as `ABOUT`.

    Args:
        title: What it holds, in a line.
        videos: The archives, or what else its videos come in.
        lists: The official lists and labels.
        source: Where to get them: the name of the project's page.
        paper: Who made it.
        metric: The figure it is measured by.
        needed: Names of the files without which it cannot be read; a tuple stands for one of several names.
        counts: Official `{(subset, label): videos}`.
        classes: Official `{(subset, class): videos}`, where the authors count them.
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
class Video:
    """One labelled video, before it is opened.

    Args:
        video_id: Path under the data root without suffix, `"/"` between folders.
        path: The file, or a folder of frames.
        subset: `"train"`, `"test"` or `""`.
        label: 0 normal, 1 abnormal, None unknown.
        class_name: Kind of event, `""` when unknown.
        frame_labels: uint8, one for each original frame; None when unknown or given as intervals.
        intervals: Abnormal frames as `((start, end_exclusive), ...)`; None when unknown or given by frame.
        num_frames: True length of the video where the list tells it, else None.
        where: File and line that list it, for messages.
        labels_from: File, and line where there is one, of its frame labels, for messages.
        fps: Rate of a folder of frames; None when unknown. A video file tells its own.
        missing: What is not there of it and which line asks for it; `""` when nothing is missing.
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
        """The abnormal intervals inside the true length of the video.

        Args:
            num_frames: Frames that were truly decoded.

        Returns:
            `(intervals or None, warning)`; the warning says what had to be cut.

        Raises:
            ValueError: There are fewer frame labels than frames, or an event lies after the end.
        """
        source = f"{self.labels_from}: " if self.labels_from else ""
        if self.frame_labels is not None:
            num_labels = len(self.frame_labels)
            if num_labels < num_frames:
                raise ValueError(
                    f"{source}{num_labels} frame labels for {num_frames} decoded frames. Give one label for each "
                    "frame, or remove the entry so that the video is used with its video label only."
                )
            kept = self.frame_labels[:num_frames]
            if self.frame_labels.any() and not kept.any():
                raise ValueError(
                    f"{source}all abnormal frames of its {num_labels} labels lie after the end, only {num_frames} "
                    "frames were decoded. The labels are of another video or rate: correct or remove them."
                )
            cut = f"{num_labels} frame labels cut to {num_frames} decoded frames" if num_labels > num_frames else ""
            return array_to_intervals(kept), source + cut if cut else ""
        if self.intervals is None:
            return None, ""
        late = [start for start, _ in self.intervals if start >= num_frames]
        if late:
            raise ValueError(
                f"{source}an abnormal interval starts at frame {late[0]}, but only {num_frames} frames were decoded. "
                "Frames count from 0 here. Correct or remove the line; a video at another rate than the labels needs "
                "labels of its own."
            )
        last = max((end for _, end in self.intervals), default=0)
        cut = f"{source}an interval up to frame {last} was cut to {num_frames} decoded frames"
        return tuple((start, min(end, num_frames)) for start, end in self.intervals), cut if last > num_frames else ""


def load_dataset(config, track=iter):
    """The videos of the configured dataset, in the order of its list.

    Videos that are not there stop it, unless `data.allow_missing` is set: `prepare` then leaves them out by name.
    With `features.root` the video files need not exist.

    Args:
        config: The run's configuration.
        track: Wraps the loop of a dataset that has to be made first, to show its progress.

    Raises:
        UserError: The dataset is unknown, or its files are not as they should be.
    """
    videos = dataset_module(config.data.dataset).load(config, track)
    if not config.features.root:
        _refuse_missing(videos, config)
    return videos


def dataset_module(name):
    """The module of a dataset, with its `ABOUT` and its `load`.

    Raises:
        UserError: There is none of this name.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise UserError(f"`data.dataset` must be one of {', '.join(DATASETS)}. Received: `{name}`.{hint}")
    return importlib.import_module(f"pipelines.data.datasets.{name}")


def _refuse_missing(videos, config):
    missing = [video for video in videos if video.missing]
    if not missing or (config.data.allow_missing and len(missing) < len(videos)):
        return
    data = config.data
    if len(missing) == len(videos) > 1:
        how, way_on = f"None of the {len(videos):,} videos is there: is `data.root` right?", ""
    else:
        how = "Download it or remove the line"
        how += f"; {len(missing):,} of {len(videos):,} videos are missing." if len(missing) > 1 else "."
        way_on = "; `--set data.allow_missing=true` goes on with what is there"
    check = f"vad datasets check {data.dataset} --root {data.root}"
    check += f" --annotations {data.annotations}" if data.annotations else ""
    raise UserError(f"{missing[0].missing}. {how} `{check}` names what is missing{way_on}.")
