"""Compare the files of a dataset with its official lists and counts, and open each video."""

import contextlib
from collections import Counter
from dataclasses import dataclass

from pipelines.config import UserError
from pipelines.data.datasets import dataset_module
from pipelines.data.decode_pool import DecodePool
from pipelines.data.encode import Failed
from pipelines.data.inspection import inspect_video
from pipelines.data.listing.files import DatasetFiles
from pipelines.data.splits import training_problem
from pipelines.data.video import known_length

END_TOLERANCE_FRAMES = 16  # encoders drop this many at the end; labels that go on for longer are of another video
SUBSETS = ("train", "test")
LABELS = ("normal", "abnormal")


@dataclass(frozen=True)
class Row:
    """Number of videos in a subset, in one label of it, or in one class of that.

    Args:
        name: Name of the subset, label or class.
        depth: 0 subset, 1 label, 2 class.
        listed: Videos in the lists; videos found when there is no list.
        there: Listed videos whose files were found.
        official: Number that the authors publish; None when they do not.
    """

    name: str
    depth: int
    listed: int
    there: int
    official: int | None


@dataclass(frozen=True)
class Inventory:
    """Result of the comparison.

    Args:
        lists: ``(names, path or None)`` of each file that the dataset needs.
        rows: Counts; empty when a list is missing.
        missing: One message per video with missing files, with the line that lists it.
        cut: Labels that end slightly after their video; ``vad prepare`` cuts them.
        unusable: Labels that do not match the length of their video.
        num_measured: Number of videos with labels whose length was compared.
        num_unmeasured: Number of videos with labels whose length is unknown without decoding.
        num_opened: Number of videos whose first frame could be decoded.
        unreadable: One message per video that ``vad prepare`` will skip.
        cut_off: One message per video whose end is missing; ``vad prepare`` uses what is left.
        untrainable: Why no training is possible with the videos that can be read; ``""`` when one is.
    """

    lists: tuple = ()
    rows: tuple = ()
    missing: tuple = ()
    cut: tuple = ()
    unusable: tuple = ()
    num_measured: int = 0
    num_unmeasured: int = 0
    num_opened: int = 0
    unreadable: tuple = ()
    cut_off: tuple = ()
    untrainable: str = ""

    @property
    def is_complete(self):
        """Whether all lists and videos are there, in the official number, whole and with labels that match."""
        counts_agree = all(row.official in (None, row.there) for row in self.rows)
        faults = self.missing or self.unusable or self.unreadable or self.cut_off or self.untrainable
        return all(path for _, path in self.lists) and counts_agree and not faults


def take_inventory(config, track=lambda loop, description, total: loop):
    """Compare the files of the configured dataset with its lists; ``data.allow_missing`` is ignored.

    Args:
        config: The run's ``Config``.
        track: Wraps the loops over the videos, to show their progress.

    Raises:
        UserError: A list is invalid, a video is in both subsets, or the dataset has no files.
    """
    module = dataset_module(config.data.dataset)
    if config.data.dataset == "synthetic":
        raise UserError("the videos of `synthetic` are generated, there is nothing to check. Run `vad demo`.")
    needed = [names if isinstance(names, tuple) else (names,) for names in module.ABOUT.needed]
    lists = tuple((names, DatasetFiles(config).find(*names)) for names in needed)
    if not all(path for _, path in lists):
        return Inventory(lists)
    videos = module.load(config)
    measured = [video for video in videos if not video.missing and (video.intervals or video.frame_labels is not None)]
    lengths = [(video, known_length(video.path)) for video in track(measured, "Comparing lengths", len(measured))]
    found = [_misfit(video, length) for video, length in lengths if length is not None]
    there = [video for video in videos if not video.missing]
    opened = dict(track(DecodePool(config.data, inspect_video).run(there), "Opening videos", len(there)))
    opened = [(there[job], opened[job]) for job in sorted(opened)]
    failed = [(video, result) for video, result in opened if isinstance(result, Failed)]
    usable = [(video, result) for video, result in opened if not isinstance(result, Failed)]
    return Inventory(
        lists,
        rows=tuple(_rows(videos, module.ABOUT)),
        missing=tuple(video.missing for video in videos if video.missing),
        cut=tuple(cut for cut, _ in found if cut),
        unusable=tuple(unusable for _, unusable in found if unusable),
        num_measured=len(found),
        num_unmeasured=len(measured) - len(found),
        num_opened=len(usable),
        unreadable=tuple(f"{_file_of(video, config)}: {result.reason}" for video, result in failed),
        cut_off=tuple(f"{_file_of(video, config)}: {result.warning}" for video, result in usable if result.warning),
        untrainable=training_problem([video for video, _ in usable], config),
    )


def _file_of(video, config):
    """Return the path of a video, below ``data.root`` where it is there."""
    with contextlib.suppress(ValueError):
        return video.path.relative_to(config.data.root).as_posix()
    return str(video.path)


def _misfit(video, length):
    """Return ``(message on a cut, message on a mismatch)`` for the labels of a video, ``""`` when there is none."""
    try:
        _, warning = video.frame_intervals(length)
    except ValueError as error:
        return "", f"{video.video_id}: {error}"
    if not warning:
        return "", ""
    end = max(end for _, end in video.intervals) if video.frame_labels is None else len(video.frame_labels)
    text = f"{video.video_id}: {warning}"
    return ("", text) if end - length > END_TOLERANCE_FRAMES else (text, "")


def _rows(videos, about):
    listed, there = Counter(), Counter()
    for video in videos:
        for key in ((video.subset,), (video.subset, video.label), (video.subset, video.label, video.class_name)):
            listed[key] += 1
            there[key] += not video.missing
    for subset in SUBSETS:
        total = sum(count for (other, _), count in about.counts.items() if other == subset)
        yield Row(subset, 0, listed[(subset,)], there[(subset,)], total or None)
        for label, name in enumerate(LABELS):
            yield Row(name, 1, listed[(subset, label)], there[(subset, label)], about.counts.get((subset, label)))
            kinds = {key[2] for key in listed if len(key) == 3 and key[:2] == (subset, label)}
            kinds |= {kind for other, kind in about.classes if other == subset and (kind == "Normal") == (label == 0)}
            for kind in sorted(kinds - {"", "Normal"}):
                key = (subset, label, kind)
                yield Row(kind, 2, listed[key], there[key], about.classes.get((subset, kind)))
