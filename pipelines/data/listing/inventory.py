"""What of a dataset is there, against what its authors list and count."""

from collections import Counter
from dataclasses import dataclass

from pipelines.config import UserError
from pipelines.data.datasets import dataset_module
from pipelines.data.listing.files import DatasetFiles
from pipelines.data.video import known_length

A_LITTLE_FRAMES = 16  # what encoders drop at an end; a label that goes on for longer is not of this video
SUBSETS = ("train", "test")
LABELS = ("normal", "abnormal")


@dataclass(frozen=True)
class Row:
    """Videos of a part, of a label in it, or of a class of that.

    Args:
        name: Of the part, label or class.
        depth: 0 part, 1 label, 2 class.
        listed: Videos the lists name, or that are there where there is no list.
        there: Those of them whose files are there.
        official: What the authors count; None where they do not.
    """

    name: str
    depth: int
    listed: int
    there: int
    official: int | None


@dataclass(frozen=True)
class Inventory:
    """What was found.

    Args:
        lists: `(names, path or None)` of the files that the dataset needs.
        rows: Counts; empty when a list is missing.
        missing: What is missing of which video, and the line that asks for it.
        cut: Labels that end a little after their video, which `prepare` cuts.
        unusable: Labels that do not fit their video: of another video, or of another rate.
        num_measured: Videos with labels whose length was compared.
        num_unmeasured: Those whose length is not known without decoding.
    """

    lists: tuple = ()
    rows: tuple = ()
    missing: tuple = ()
    cut: tuple = ()
    unusable: tuple = ()
    num_measured: int = 0
    num_unmeasured: int = 0

    @property
    def is_complete(self):
        """Whether all lists and videos are there, as many as the authors count, with labels that fit."""
        counts_agree = all(row.official in (None, row.there) for row in self.rows)
        return all(path for _, path in self.lists) and counts_agree and not (self.missing or self.unusable)


def take_inventory(config, track=iter):
    """Look at what is there of the dataset of a configuration; `data.allow_missing` plays no part.

    Args:
        config: The run's configuration.
        track: Wraps the loop over the videos whose length is asked for, to show its progress.

    Raises:
        UserError: A list cannot be understood, a video is in both parts, or the dataset has no files.
    """
    module = dataset_module(config.data.dataset)
    if config.data.dataset == "synthetic":
        raise UserError("`synthetic` makes its own videos, so there is nothing to check. Run `vad demo`.")
    needed = [names if isinstance(names, tuple) else (names,) for names in module.ABOUT.needed]
    lists = tuple((names, DatasetFiles(config).find(*names)) for names in needed)
    if not all(path for _, path in lists):
        return Inventory(lists)
    videos = module.load(config)
    measured = [video for video in videos if not video.missing and (video.intervals or video.frame_labels is not None)]
    lengths = [(video, known_length(video.path)) for video in track(measured)]
    found = [_misfit(video, length) for video, length in lengths if length is not None]
    return Inventory(
        lists,
        rows=tuple(_rows(videos, module.ABOUT)),
        missing=tuple(video.missing for video in videos if video.missing),
        cut=tuple(cut for cut, _ in found if cut),
        unusable=tuple(unusable for _, unusable in found if unusable),
        num_measured=len(found),
        num_unmeasured=len(measured) - len(found),
    )


def _misfit(video, length):
    """`(what is cut, what does not fit)` of the labels of a video, `""` where nothing is."""
    try:
        _, warning = video.frame_intervals(length)
    except ValueError as error:
        return "", f"{video.video_id}: {error}"
    if not warning:
        return "", ""
    end = max(end for _, end in video.intervals) if video.frame_labels is None else len(video.frame_labels)
    text = f"{video.video_id}: {warning}"
    return ("", text) if end - length > A_LITTLE_FRAMES else (text, "")


def _rows(videos, about):
    listed, there = Counter(), Counter()
    for video in videos:
        for key in ((video.subset,), (video.subset, video.label), (video.subset, video.label, video.class_name)):
            listed[key] += 1
            there[key] += not video.missing
    for subset in SUBSETS:
        total = sum(count for (part, _), count in about.counts.items() if part == subset)
        yield Row(subset, 0, listed[(subset,)], there[(subset,)], total or None)
        for label, name in enumerate(LABELS):
            yield Row(name, 1, listed[(subset, label)], there[(subset, label)], about.counts.get((subset, label)))
            kinds = {key[2] for key in listed if len(key) == 3 and key[:2] == (subset, label)}
            kinds |= {kind for part, kind in about.classes if part == subset and (kind == "Normal") == (label == 0)}
            for kind in sorted(kinds - {"", "Normal"}):
                key = (subset, label, kind)
                yield Row(kind, 2, listed[key], there[key], about.classes.get((subset, kind)))
