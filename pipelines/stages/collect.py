"""Collect: reviewed events and quiet stretches of ``vad watch`` -> a folder with ``labels.csv`` for ``vad train``."""

import contextlib
import csv
import dataclasses
import io
import math
import os
import re
import shutil
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipelines.config import UserError
from pipelines.data.datasets import load_dataset
from pipelines.data.splits import training_problem
from pipelines.live.quiet import QuietClips
from pipelines.live.store import CAMERA, EventStore
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.files import replacing, write_text
from pipelines.run.folder import RunFolder
from vad_keras.spec import ABNORMAL, NORMAL

COLUMNS = ("file", "label", "subset", "camera", "start", "source")
LABEL_OF = {"true_alarm": ABNORMAL, "false_alarm": NORMAL}
FEW_VIDEOS = 20  # of a label
QUIET = re.compile(r"quiet-([0-9]+)-([0-9]+)")
STAMP = re.compile(r"[0-9]+T[0-9]+Z")
MIN_TRAIN_VIDEOS = 2  # of a label, before one goes to the test videos: one is held out for validation


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip that can be collected. ``source`` is the event's id, or ``quiet-<start>-<end>``."""

    camera: str
    start: float
    label: int
    source: str
    path: Path

    @property
    def file(self):
        """Its path under the folder."""
        stamp = datetime.fromtimestamp(self.start, UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{self.camera}/{stamp}_{self.source}.mp4"


def run(config) -> Path:
    """Add the reviewed events and quiet clips of a store to a folder of videos, and write its ``labels.csv``.

    A clip of a true alarm gets the label 1, one of a false alarm and a quiet one 0. Run again, it adds what is new,
    follows changed verdicts, and removes what has none any more. Lines that others wrote into ``labels.csv`` stay.
    Clips of the same camera and hour are all for training or all for evaluation.

    Args:
        config: The run's ``Config``.

    Returns:
        The folder.

    Raises:
        UserError: There is no store, or nothing to collect.
    """
    start, options, run_folder = time.monotonic(), config.collect, RunFolder.of(config)
    folder = Path(options.store or run_folder.live)
    output = Path(options.output or run_folder.collected)
    if not (folder / "events.sqlite").is_file():
        raise UserError(
            f"{folder} holds no events. `vad watch` writes them; `--set collect.store=DIR` names another folder."
        )
    before, columns = _read_lines(output / "labels.csv")
    with contextlib.closing(EventStore(folder)) as store:
        clips, skipped = _reviewed_clips(store, {line.get("source") for line in before})
        clips += _quiet_clips(store, folder)
        lines, gone = _followed(before, store)
        num_open = len(store.events(reviewed=False, limit=-1))
    known = {line.get("source") for line in lines}
    new = [clip for clip in sorted(clips, key=lambda clip: (clip.start, clip.source)) if clip.source not in known]
    if not lines and not new:
        raise UserError(
            f"{folder} holds no reviewed event with a clip and no quiet clip: review events on the page first."
        )
    for clip in new:
        _put(clip.path, output / clip.file)
    lines = _with_subsets(lines, new, options.test_fraction)
    _write_lines(output / "labels.csv", lines, columns)
    for file in gone:
        (output / file).unlink(missing_ok=True)
    _describe(config, output, lines, len(new), len(gone), num_open, skipped, time.monotonic() - start)
    return output


def _reviewed_clips(store, collected):
    """Return the clips of reviewed events, and those that are missing as ``(input, reason)``."""
    clips, skipped = [], []
    for event in store.events(reviewed=True, limit=-1):
        path = store.clip_path(event.event_id)
        if path.is_file() and path.stat().st_size:
            clips.append(Clip(event.camera, event.start, LABEL_OF[event.verdict], event.event_id, path))
        elif event.event_id not in collected:
            skipped.append((f"event {event.event_id} of {event.camera}", "reviewed, but its clip is not in the store"))
    return clips, skipped


def _quiet_clips(store, folder):
    clips = [clip for clip in QuietClips(folder).clips() if _is_quiet(store, clip.camera, clip.start, clip.end)]
    return [Clip(clip.camera, clip.start, NORMAL, f"quiet-{clip.start}-{clip.end}", clip.path) for clip in clips]


def _is_quiet(store, camera, start, end):
    """Whether no event, unless a false alarm, overlaps a stretch."""
    events = store.events(camera=camera, before=end, limit=100)
    return all(event.verdict == "false_alarm" or (event.end or math.inf) <= start for event in events)


def _followed(lines, store):
    """Return lines with today's verdicts, and the files of lines whose reason is gone."""
    kept, gone = [], []
    for line in lines:
        event = store.get(line["source"]) if _is_own(line) else None
        quiet = QUIET.fullmatch(line["source"]) if _is_own(line) else None
        if event is not None and event.verdict is not None:
            kept.append({**line, "label": str(LABEL_OF[event.verdict])})
        elif event or (quiet and not _is_quiet(store, line["camera"], *map(int, quiet.groups()))):
            gone.append(line["file"])
        else:  # nobody's, or of an event that the store has deleted
            kept.append(line)
    return kept, gone


def _is_own(line):
    """Whether a line was written here."""
    file, source, camera = (line.get(name) or "" for name in ("file", "source", "camera"))
    stamp = file.removeprefix(f"{camera}/").removesuffix(f"_{source}.mp4")
    is_named = file == f"{camera}/{stamp}_{source}.mp4" and STAMP.fullmatch(stamp) is not None
    return is_named and bool(source) and CAMERA.fullmatch(camera) is not None


def _with_subsets(lines, new, test_fraction):
    """Return the lines with those of new clips; a line once written keeps its subset."""
    lines, counts, groups = list(lines), Counter(), {}
    for line in lines:
        counts[str(line.get("label")), line.get("subset") or "train"] += 1
        if _is_own(line):
            groups.setdefault(_group(line["camera"], line["start"]), line["subset"])
    for clip in new:
        label, group = str(clip.label), _group(clip.camera, clip.start)
        num_train, num_test = counts[label, "train"], counts[label, "test"]
        wants_test = num_train >= MIN_TRAIN_VIDEOS and num_test + 1 <= test_fraction * (num_train + num_test + 1) + 0.5
        subset = groups.setdefault(group, "test" if test_fraction and wants_test else "train")
        counts[label, subset] += 1
        values = (clip.file, label, subset, clip.camera, f"{clip.start:.3f}", clip.source)
        lines.append(dict(zip(COLUMNS, values, strict=True)))
    return lines


def _group(camera, start):
    return camera, float(start) // 3600


def _put(source, target):
    """Link a clip, or copy it to another disk. What the store removes later stays here."""
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    with replacing(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _read_lines(path):
    """Return the lines of an earlier ``labels.csv`` as dicts, and its columns."""
    if not path.is_file():
        return [], list(COLUMNS)
    reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    lines = [{key: value for key, value in line.items() if key and value is not None} for line in reader]
    if not {"file", "label"} <= set(reader.fieldnames or ()):
        raise UserError(f"{path} has no columns file,label. Move it away, or choose another folder with `--output`.")
    return lines, [*reader.fieldnames, *(name for name in COLUMNS if name not in reader.fieldnames)]


def _write_lines(path, lines, columns):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(lines)
    write_text(path, text.getvalue())


def _describe(config, output, lines, num_new, num_gone, num_open, skipped, seconds):
    root = dataclasses.replace(config.data, dataset="folder", root=str(output), annotations="", allow_missing=True)
    listed = dataclasses.replace(config, data=root)
    videos = load_dataset(listed)
    counts = Counter(video.label for video in videos)
    done = f"{counted(len(videos), 'video')}: {counts[ABNORMAL]:,} abnormal, {counts[NORMAL]:,} normal; {num_new:,} new"
    done += f", {num_gone:,} removed" if num_gone else ""
    done += f"; {counted(num_open, 'event')} not reviewed" if num_open else ""
    write_summary(config, "collect", done, skipped, output=output, seconds=seconds)
    console, problem = Console(), training_problem(videos, listed)
    names = {ABNORMAL: "abnormal", NORMAL: "normal"}
    few = [f"{counts[label]:,} {name}" for label, name in names.items() if counts[label] < FEW_VIDEOS]
    if problem:
        console.print(f"  [yellow]warning:[/] {escape(problem)}", highlight=False, soft_wrap=True)
        return
    if few:
        text = f"only {' and '.join(few)} videos; a model needs {FEW_VIDEOS} of each label or more."
        console.print(f"  [yellow]warning:[/] {text}", highlight=False, soft_wrap=True)
    command = f"vad train --set data.root={output} --set work_dir=runs/NEXT"
    console.print(f"  Train with them:  [bold]{escape(command)}[/]", highlight=False, soft_wrap=True)
