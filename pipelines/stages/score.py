"""Score: video files -> one score per original frame, with an exported model alone (no Keras code)."""

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
from pipelines.data.records import expand_to_frames
from pipelines.data.video import VideoError, VideoReader
from pipelines.report.plots.canvas import format_time
from pipelines.report.plots.heat_map import plot_heat_maps, score_maps
from pipelines.report.plots.timeline import MAX_THUMBNAILS, plot_timeline
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import write_summary
from pipelines.run.files import replacing, write_json
from pipelines.run.folder import RunFolder
from pipelines.serving.alarms import find_alarms
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.scorer import FrameScores, Scorer
from pipelines.serving.top_frames import find_top_frames
from vad_keras import spec

SCORE_DIGITS = 6
PICTURE_SIDE_PX = 240


def run(config) -> Path:
    """Score ``score.inputs`` (files and folders) with ``score.model`` and write the results into ``score.output``.

    Each video gets ``<name>.csv`` (frame, time_sec, score), ``<name>.json`` (scores, alarms, model), ``<name>.png``
    (the timeline) and ``<name>_top_frames.png`` (the frames with the highest scores and their patches). A video that
    the same version has already scored with the same threshold is kept unless ``score.force`` is set.

    Args:
        config: The run's ``Config``.

    Returns:
        The folder of the results.

    Raises:
        UserError: There is no model that takes frames, no input, or an input that does not exist.
    """
    start = time.monotonic()
    files = find_videos(config.score.inputs)
    engine = SavedModelEngine(config.score.model or Path(config.export.root) / config.export.name)
    threshold = config.score.threshold or engine.info.threshold
    output = Path(config.score.output or RunFolder.of(config).scores)
    results, skipped, num_kept = [], [], 0
    single = len(files) == 1  # then the progress bar counts snippets, not videos
    for path, name in files if single else track(files, "Scoring"):
        target = output / name
        result = None if config.score.force else _finished(engine, path, target, threshold)
        num_kept += result is not None
        try:
            result = result or _score_file(engine, path, target, threshold, config.score.top_frames, single)
            results.append((name, result))
        except VideoError as error:
            skipped.append((error.file, error.reason))
    _print_table(results)
    num_new = len(results) - num_kept
    done = f"{num_new} video{'' if num_new == 1 else 's'} with {engine.info.name} version {engine.version}, "
    done += f"threshold {threshold:g}"
    if num_kept:
        done += f"; {num_kept} already scored by it (score.force=true scores them again)"
    write_summary(config, "score", done, skipped=skipped, output=output, seconds=time.monotonic() - start)
    return output


def find_videos(inputs):
    """Find video files and give each a name for its results: its stem, or its path under the folder that was given.

    Args:
        inputs: Files (of any suffix) and folders (searched for video suffixes).

    Returns:
        List of ``(path, name)``.

    Raises:
        UserError: There are none, or one does not exist.
    """
    if not inputs:
        raise UserError("nothing to score: name video files or folders, such as `vad score door.mp4 videos/`.")
    found = {}
    url = next((entry for entry in inputs if "://" in str(entry)), None)
    if url:
        raise UserError(f"{url} is a URL, but `vad score` reads files. Save the video or stream to a file first.")
    for entry in map(Path, inputs):
        if entry.is_dir():
            files = sorted(path for path in entry.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
            found |= {path: path.relative_to(entry) for path in files if path not in found and path.is_file()}
        elif entry.is_file():
            found.setdefault(entry, Path(entry.name))
        else:
            raise UserError(f"{entry} does not exist. Check the path given to `vad score`.")
    if not found:
        raise UserError(f"no video in {', '.join(map(str, inputs))}. Known suffixes: {' '.join(VIDEO_SUFFIXES)}.")
    return _with_unique_names(found)


def _with_unique_names(found):
    """Drop the suffix where the name stays unique; number further duplicates."""
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


def _identity(engine, path, threshold):
    """Return what decides the result: the file, the version of the model and the threshold."""
    stat = path.stat()
    return {
        "model": {"name": engine.info.name, "version": engine.version, "weights": engine.info.weights},
        "threshold": threshold,
        "source": {"size_bytes": stat.st_size, "modified_ns": stat.st_mtime_ns},
    }


def _finished(engine, path, target, threshold):
    """Return the result of an earlier run if it is still valid, else None."""
    try:
        result = json.loads(_with_suffix(target, ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    identity = _identity(engine, path, threshold)
    complete = _with_suffix(target, ".csv").is_file() and _with_suffix(target, ".png").is_file()
    return result if complete and {key: result.get(key) for key in identity} == identity else None


def _score_file(engine, path, target, threshold, num_top_frames, show_progress):
    """Score one video, write its files and return the content of its JSON file."""
    info = engine.info
    reader = VideoReader(path, info.frames_per_sec, info.image_size_px, crop=info.crop)
    sampled, frame_indices = _score_frames(engine, reader, show_progress)
    scores = expand_to_frames(sampled.anomaly_score, frame_indices, reader.num_frames).astype(float)
    times_sec = np.asarray(reader.frame_times_sec)
    top = find_top_frames(sampled.anomaly_score, times_sec[frame_indices], num_top_frames)
    result = {
        "video": path.as_posix(),
        **_identity(engine, path, threshold),
        "fps": round(reader.fps, 3),
        "num_frames": reader.num_frames,
        "num_sampled": len(frame_indices),
        "max_score": round(float(scores.max()), SCORE_DIGITS),
        "alarms": [alarm._asdict() for alarm in find_alarms(scores, times_sec, threshold, 1 / reader.fps)],
        "top_frames": frame_indices[top].tolist(),
        "warning": reader.warning,
        "scores": [round(score, SCORE_DIGITS) for score in scores.tolist()],
    }
    _write_csv(_with_suffix(target, ".csv"), result["scores"], times_sec)
    moments_sec = times_sec[frame_indices[top]]
    pictures = _read_pictures(path, info, frame_indices[top])
    thumbnails = list(zip(moments_sec, pictures, strict=True))[:MAX_THUMBNAILS]
    plot_timeline(_with_suffix(target, ".png"), times_sec, scores, threshold, title=path.name, thumbnails=thumbnails)
    if top:
        top_scores = FrameScores(*(values[top] for values in sampled))
        top_path = _with_suffix(target, "_top_frames.png")
        _plot_top_frames(top_path, pictures, moments_sec, times_sec[-1], top_scores, engine.info)
    write_json(_with_suffix(target, ".json"), result)  # last: its presence says that the other files are complete
    return result


def _score_frames(engine, reader, show_progress):
    """Return the ``FrameScores`` of the sampled frames of a video and their indices, int64 ``(T,)``."""
    scorer, parts, indices = Scorer(engine), [], []
    snippets = reader.snippets(engine.info.clip_frames)
    for snippet in track(snippets, f"Scoring {reader.path.name}", unit="snippets") if show_progress else snippets:
        parts.append(scorer.push(snippet.frames[snippet.mask]))
        indices.append(snippet.frame_indices[snippet.mask])
    return FrameScores.join([*parts, scorer.finish()]), np.concatenate(indices)


def _read_pictures(path, info, frame_indices):
    """Read frames by index, in the proportions of the video or of its cut. Scoring kept no frame, so it reads again."""
    wanted, pictures = set(frame_indices.tolist()), []
    reader = VideoReader(path, info.frames_per_sec, PICTURE_SIDE_PX, crop=info.crop)
    stretch = spec.CENTER_CROP[1] / spec.CENTER_CROP[0] if info.crop else 1.0
    for frame_index, _, rgb in reader if wanted else ():
        if frame_index in wanted:
            width_px = round(PICTURE_SIDE_PX * stretch * reader.width / reader.height)
            pictures.append(np.asarray(Image.fromarray(rgb).resize((width_px, PICTURE_SIDE_PX))))
        if len(pictures) == len(wanted):
            break
    return pictures


def _plot_top_frames(path, pictures, moments_sec, last_sec, scores, info):
    """Plot the patch scores of frames; ``scores`` are the ``FrameScores`` of these frames."""
    unit = " s" if last_sec < 60 else ""
    shown = zip(moments_sec, scores.anomaly_score, strict=True)
    titles = [f"{format_time(time_sec, last_sec)}{unit}  score {score:.2f}" for time_sec, score in shown]
    score_from = info.config.get("detector", {}).get("score_from", "scorer")
    maps = score_maps(scores.patch_score, scores.before_crf, scores.after_crf, score_from)
    plot_heat_maps(path, pictures, maps, info.scales, titles)


def _with_suffix(target, suffix):
    return target.with_name(target.name + suffix)


def _write_csv(path, scores, times_sec):
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
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
