"""Score: video files -> one score for every original frame, by an exported model alone (no Keras code)."""

import csv
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.config import UserError
from pipelines.data.listing.files import VIDEO_SUFFIXES
from pipelines.data.listing.manifest import write_json
from pipelines.data.records import expand_to_frames
from pipelines.data.video import VideoError, VideoReader
from pipelines.report.plots.canvas import format_time
from pipelines.report.plots.heat_map import plot_heat_maps
from pipelines.report.plots.timeline import MAX_THUMBNAILS, plot_timeline
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import write_summary
from pipelines.serving.alarms import find_alarms
from pipelines.serving.saved_scorer import SavedScorer
from pipelines.serving.top_frames import find_top_frames

SCORE_DIGITS = 6
PICTURE_SIDE_PX = 240


def run(config) -> Path:
    """Scores ``score.inputs`` (files and folders) with ``score.model`` and writes into ``score.output``.

    For each video: ``<name>.csv`` (frame, time_sec, score), ``<name>.json`` (scores, alarms, model), ``<name>.png``
    (the timeline) and ``<name>_top_frames.png`` (the frames with the highest scores and their patches). A video that
    this version has already scored with the same threshold is left alone, unless ``score.force`` is set.

    Args:
        config: The run's `Config`.

    Returns:
        The folder of the results.

    Raises:
        UserError: when there is no model, no input, or an input that does not exist.
    """
    start = time.monotonic()
    files = find_videos(config.score.inputs)
    model = config.score.model or Path(config.export.root) / config.export.name
    scorer = SavedScorer(model)
    threshold = config.score.threshold or scorer.info.threshold
    output = Path(config.score.output or config.work_path / "scores")
    results, skipped, kept = [], [], 0
    alone = len(files) == 1  # then the bar counts snippets, not videos
    for path, name in files if alone else track(files, "Scoring"):
        target = output / name
        result = None if config.score.force else _finished(scorer, path, target, threshold)
        if result:
            kept += 1
        else:
            try:
                result = _score_file(scorer, path, target, threshold, config.score.top_frames, show_progress=alone)
            except VideoError as error:
                skipped.append((error.file, error.reason))
                continue
        results.append((name, result))
    _print_table(results)
    done = f"{len(results) - kept} videos with {scorer.info.name} version {scorer.folder.name}, threshold {threshold:g}"
    if kept:
        done += f"; {kept} already scored by it (score.force=true scores them again)"
    write_summary(config, "score", done, skipped=skipped, output=output, seconds=time.monotonic() - start)
    return output


def find_videos(inputs):
    """Video files with a result name each: a file's stem, or its path under the folder that was given.

    Args:
        inputs: Files (of any suffix) and folders (searched for video suffixes).

    Raises:
        UserError: when there are none, or one does not exist.
    """
    if not inputs:
        raise UserError("nothing to score: name video files or folders, such as `vad score door.mp4 videos/`.")
    found = {}
    for entry in map(Path, inputs):
        if entry.is_dir():
            files = sorted(path for path in entry.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
            found |= {path: path.relative_to(entry) for path in files if path not in found and path.is_file()}
        elif entry.is_file():
            found.setdefault(entry, Path(entry.name))
        else:
            raise UserError(f"{entry} does not exist. Check the path given to `score`.")
    if not found:
        raise UserError(f"no video in {', '.join(map(str, inputs))}. Known suffixes: {' '.join(VIDEO_SUFFIXES)}.")
    return _with_unique_names(found)


def _with_unique_names(found):
    """Drops the suffix where the name stays unique; further doubles are numbered."""
    stems = [name.with_suffix("").as_posix() for name in found.values()]
    taken, named = set(), []
    for (path, name), stem in zip(found.items(), stems, strict=True):
        wanted = stem if stems.count(stem) == 1 else name.as_posix().replace(".", "_")
        unique, number = wanted, 2
        while unique in taken:
            unique, number = f"{wanted}_{number}", number + 1
        taken.add(unique)
        named.append((path, unique))
    return named


def _identity(scorer, path, threshold):
    """What decides the result: the file, the model's version and the threshold."""
    stat = path.stat()
    return {
        "model": {"name": scorer.info.name, "version": scorer.folder.name, "weights": scorer.info.weights},
        "threshold": threshold,
        "source": {"size_bytes": stat.st_size, "modified_ns": stat.st_mtime_ns},
    }


def _finished(scorer, path, target, threshold):
    """The stored result of an earlier run when it is still right, else None."""
    try:
        result = json.loads(_with_suffix(target, ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    identity = _identity(scorer, path, threshold)
    complete = _with_suffix(target, ".csv").is_file() and _with_suffix(target, ".png").is_file()
    return result if complete and {key: result.get(key) for key in identity} == identity else None


def _score_file(scorer, path, target, threshold, top_count, show_progress=False):
    info = scorer.info
    reader = VideoReader(path, info.frames_per_sec, info.image_size_px)
    snippets = reader.snippets(info.clip_frames)
    sampled = scorer.score(track(snippets, f"Scoring {path.name}", unit="snippets") if show_progress else snippets)
    scores = expand_to_frames(sampled.anomaly_score, sampled.frame_indices, reader.num_frames).astype(float)
    times_sec = np.asarray(reader.frame_times_sec)
    top = find_top_frames(sampled.anomaly_score, times_sec[sampled.frame_indices], top_count)
    result = {
        "video": path.as_posix(),
        **_identity(scorer, path, threshold),
        "fps": round(reader.fps, 3),
        "num_frames": reader.num_frames,
        "num_sampled": len(sampled.frame_indices),
        "max_score": round(float(scores.max()), SCORE_DIGITS),
        "alarms": [alarm._asdict() for alarm in find_alarms(scores, times_sec, threshold, 1 / reader.fps)],
        "top_frames": sampled.frame_indices[top].tolist(),
        "warning": reader.warning,
        "scores": [round(score, SCORE_DIGITS) for score in scores.tolist()],
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    _write_csv(_with_suffix(target, ".csv"), result["scores"], times_sec)
    _draw(target, scorer, path, sampled, scores, times_sec, top, threshold)
    write_json(_with_suffix(target, ".json"), result)  # last: it says that the others are there
    return result


def _draw(target, scorer, path, sampled, scores, times_sec, top, threshold):
    """The timeline, and the heat maps of the frames at the positions `top` among the sampled ones."""
    pictures = _pictures(path, scorer.info.frames_per_sec, sampled.frame_indices[top])
    moments = times_sec[sampled.frame_indices[top]]
    thumbnails = list(zip(moments, pictures, strict=True))[:MAX_THUMBNAILS]
    timeline = _with_suffix(target, ".png")
    plot_timeline(timeline, times_sec, scores, threshold, title=path.name, thumbnails=thumbnails)
    if top:
        shown = zip(moments, sampled.anomaly_score[top], strict=True)
        unit = " s" if times_sec[-1] < 60 else ""
        titles = [f"{format_time(time_sec, times_sec[-1])}{unit}  score {score:.2f}" for time_sec, score in shown]
        before, after = sampled.before_crf[top], sampled.after_crf[top]
        plot_heat_maps(_with_suffix(target, "_top_frames.png"), pictures, before, after, scorer.info.scales, titles)


def _pictures(path, frames_per_sec, frame_indices):
    """Frames of a video by index, in its own proportions; read in a second pass, so that no frame has to be kept."""
    wanted, pictures = set(frame_indices.tolist()), []
    reader = VideoReader(path, frames_per_sec, PICTURE_SIDE_PX)
    for frame_index, _, rgb in reader if wanted else ():
        if frame_index in wanted:
            width_px = round(PICTURE_SIDE_PX * reader.width / reader.height)
            pictures.append(np.asarray(Image.fromarray(rgb).resize((width_px, PICTURE_SIDE_PX))))
        if len(pictures) == len(wanted):
            break
    return pictures


def _with_suffix(target, suffix):
    return target.with_name(target.name + suffix)


def _write_csv(path, scores, times_sec):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("frame", "time_sec", "score"))
        for frame, (time_sec, score) in enumerate(zip(times_sec, scores, strict=True)):
            writer.writerow((frame, f"{time_sec:.3f}", f"{score:.{SCORE_DIGITS}f}"))


def _print_table(results):
    table = Table("video", "frames", "max score", "alarms", "first alarm", title="Anomaly scores")
    for name, result in results:
        alarms = result["alarms"]
        first = f"{alarms[0]['start_sec']:.1f} to {alarms[0]['end_sec']:.1f} s" if alarms else ""
        style = "bold red" if alarms else None
        counts = (f"{result['num_frames']:,}", f"{result['max_score']:.3f}", str(len(alarms)))
        table.add_row(escape(name), *counts, first, style=style)
    if results:
        Console().print(table)
