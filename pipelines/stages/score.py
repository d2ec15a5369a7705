"""Score: video files -> one score per original frame, with an exported model or a server alone (no Keras code)."""

import contextlib
import csv
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.data.decode_pool import DecodeProcess
from pipelines.data.frame_reading import FrameRequest, read_frames
from pipelines.data.listing.files import find_videos
from pipelines.data.video import VideoError
from pipelines.live.zones import check_zones, score_zones
from pipelines.report.html.score_page import refuse_other_files, write_score_report, write_thumbnails
from pipelines.report.plots.canvas import format_time
from pipelines.report.plots.heat_map import plot_heat_maps, score_maps
from pipelines.report.plots.timeline import MAX_THUMBNAILS, plot_timeline
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import counted, printable, write_summary
from pipelines.run.failures import reason_of
from pipelines.run.files import content_hash, replacing, write_json
from pipelines.run.folder import RunFolder
from pipelines.serving.alarms import AlarmRules
from pipelines.serving.annotated import write_annotated
from pipelines.serving.clients import ServerError
from pipelines.serving.engines import open_engine
from pipelines.serving.events import RECORDING_RULES
from pipelines.serving.exported import exported_model
from pipelines.serving.results import (
    ANNOTATED,
    CSV_HEADER,
    SUFFIXES,
    THUMBNAILS,
    finished_result,
    is_annotated,
    read_result,
    result_names,
    source_of,
    with_suffix,
)
from pipelines.serving.scorer import FrameScores, Scorer
from pipelines.serving.top_frames import find_top_frames
from pipelines.serving.video_scores import read_results, score_with
from vad_keras import spec

SCORE_DIGITS = 6
PICTURE_SIDE_PX = 240
PICTURE_WIDTHS_PX = (60, 960)  # a picture of extreme proportions is squeezed


def run(config) -> Path:
    """Score ``score.inputs`` (files and folders) and write the results into ``score.output``.

    The model is the one that the run exported, unless ``score.model`` or ``score.server`` is set. Each video gets
    ``<name>.csv`` (frame, time_sec, score), ``<name>.json`` (scores, alarms, model), ``<name>.png`` (the timeline) and
    ``<name>_top_frames.png`` (the frames with the highest scores and their patches); with ``score.annotate`` also
    ``<name>_annotated.mp4``. ``report.html``, ``alarms.csv`` and ``alarms.json`` hold all videos of the command. A
    video that the same model has already scored with the same settings is kept unless ``score.force`` is set. A video
    that fails is skipped, also one that crashes the decoder or keeps it silent for ``data.stall_timeout_sec``: another
    process decodes.

    Args:
        config: The run's ``Config``.

    Returns:
        The folder of the results.

    Raises:
        UserError: There is no model that takes frames, no server, no input, or an input that does not exist.
    """
    start = time.monotonic()
    check_zones(config.score.zones)
    found = find_videos(config.score.inputs, without=is_annotated)
    engine = _open_engine(config)
    Scorer(engine)  # refuses a model that takes no frames
    output = Path(config.score.output or RunFolder.of(config).scores)
    refuse_other_files(output)
    named = result_names(found, output)
    single = len(named) == 1  # then the progress bar counts snippets, not videos
    results, skipped, kept, again = [], [], 0, []
    with contextlib.closing(engine), contextlib.closing(DecodeProcess(config.data, read_frames)) as decoder:
        for path, name in named if single else track(named, "Scoring"):
            try:
                stamp, identity = _stamp(path), _identity(engine, path, config)
                before = read_result(output / name)
                result = None if config.score.force else finished_result(output / name, identity)
                if config.score.annotate and not (result or {}).get("annotated"):
                    result = None
                kept += result is not None
                arguments = engine, decoder, path, output / name, identity, stamp, single
                results.append((name, result or _score_file(config, *arguments)))
            except VideoError as error:
                skipped.append((error.file, error.reason))
            except ServerError as error:
                skipped.append((path, f"{error}; the same command scores it when the server answers again"))
            except Exception as error:  # a picture may raise anything; the other videos must not suffer
                skipped.append((path, reason_of(error)))
            else:
                if before and before.get("source", {}).get("sha256") not in (None, identity["source"]["sha256"]):
                    again.append(name)
    _print_table(results)
    _print_names(found, named)
    model = f"Scored by {engine.info.name} version {engine.version}."
    page = write_score_report(output, results, skipped, model, THUMBNAILS)
    done = _describe(engine, config.score, len(results) - kept, kept, again) + _describe_warnings(results)
    write_summary(config, "score", done, skipped=skipped, output=page, seconds=time.monotonic() - start)
    return output


def plan(config):
    """Return what ``run`` would do, in words; ``""`` if all videos are scored. No video is decoded.

    Raises:
        UserError: As for ``run``.
    """
    found = find_videos(config.score.inputs, without=is_annotated)
    output = Path(config.score.output or RunFolder.of(config).scores)
    with contextlib.closing(_open_engine(config)) as engine:
        Scorer(engine)
        named = result_names(found, output)
        todo = sum(not _is_scored(engine, path, output / name, config) for path, name in named)
        model = f"{engine.info.name} version {engine.version}"
    return f"score {todo:,} of {counted(len(found), 'video')} with {model}; write {output}" if todo else ""


def _is_scored(engine, path, target, config):
    """Whether the results of a video are those of this model, these settings and this file."""
    with contextlib.suppress(VideoError):
        result = None if config.score.force else finished_result(target, _identity(engine, path, config))
        return bool(result) and (not config.score.annotate or bool(result.get("annotated")))
    return False


def _open_engine(config):
    """Load the chosen model, or connect to the chosen server."""
    options = config.score
    if not options.server:
        return open_engine(options.model or exported_model(RunFolder.of(config)))
    chosen = {"name": options.server_model or config.export.name, "version": options.server_version}
    chosen |= {"label": options.server_label, "timeout_sec": options.server_timeout_sec}
    return open_engine(options.model, options.server, **chosen)


def _describe(engine, options, num_new, num_kept, again):
    """Return in words what was scored, kept and replaced."""
    done = f"{counted(num_new, 'video')} with {engine.info.name} version {engine.version}, "
    done += f"threshold {options.threshold or engine.info.threshold:g}"
    if num_kept:
        done += f"; {num_kept} already scored by it (score.force=true scores them again)"
    if again:
        done += f"; {counted(len(again), 'result')} replaced because the file has changed, such as {again[0]}"
    return done


def _describe_warnings(results):
    """Return in words which videos were scored with a warning; ``""`` when none was."""
    warned = [(name, result["warning"]) for name, result in results if result.get("warning")]
    if not warned:
        return ""
    first = f"{warned[0][0]}: {warned[0][1]}"
    return f"; {len(warned)} with a warning (see the JSON files), the first: {first}"


def _identity(engine, path, config):
    """Return what decides a result: the model, the settings and every byte of the file.

    Raises:
        VideoError: The file cannot be read.
    """
    try:
        source = {"size_bytes": path.stat().st_size, "sha256": content_hash(path)}
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror or error})") from None
    info, options = engine.info, config.score
    rules = AlarmRules.of_recording(config.alarms, options.threshold or info.threshold)
    return {
        "model": {"name": info.name, "version": engine.version, "weights": info.weights, "sha256": engine.sha256},
        "threshold": rules.threshold,
        "alarm_rules": {name: getattr(rules, name) for name in RECORDING_RULES},
        "max_top_frames": options.top_frames,
        "source": source,
        "zones": json.loads(json.dumps(options.zones)) or None,  # as they are read again
    }


def _stamp(path):
    """Return what changes while a file is written; None when it does not exist."""
    with contextlib.suppress(OSError):
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns


def _score_file(config, engine, decoder, path, target, identity, stamp, show_progress):
    """Score one video, write its files and return the content of its JSON file."""
    info, threshold = engine.info, identity["threshold"]
    progress = partial(track, description=f"Scoring {path.name}", unit="snippets") if show_progress else iter
    video = score_with(engine, path, threshold, progress, decoder, config.alarms)
    if identity["zones"]:
        video = score_zones(video, identity["zones"], info)
    sampled, frame_indices, scores, times_sec = video.sampled, video.sampled_indices, video.scores, video.times_sec
    warning = video.warning
    top = find_top_frames(sampled.anomaly_score, times_sec[frame_indices], identity["max_top_frames"])
    moments_sec = times_sec[frame_indices[top]]
    pictures = _read_pictures(decoder, path, engine.info, frame_indices[top], video)
    if _stamp(path) != stamp:
        identity["source"]["sha256"], warning = "", "the file changed while it was scored; score it again"
    result = {
        "video": source_of(path),
        **{key: value for key, value in identity.items() if value is not None},
        "fps": round(video.fps, 3),
        "num_frames": len(scores),
        "num_sampled": len(frame_indices),
        "max_score": round(float(scores.max()), SCORE_DIGITS),
        "alarms": [alarm._asdict() for alarm in video.alarms],
        "top_frames": frame_indices[top].tolist(),
        "warning": warning,
        "scores": [round(score, SCORE_DIGITS) for score in scores.tolist()],
    }
    own = (*SUFFIXES, THUMBNAILS, *((ANNOTATED,) if (read_result(target) or {}).get("annotated") else ()))
    for suffix in own:  # the JSON file first: what is left of an earlier result stands for nothing
        with_suffix(target, suffix).unlink(missing_ok=True)
    _write_csv(with_suffix(target, ".csv"), result["scores"], times_sec)
    thumbnails = list(zip(moments_sec, pictures, strict=True))[:MAX_THUMBNAILS]
    title = printable(path.name)
    shown = {"title": title, "thumbnails": thumbnails}
    shown["alarms_sec"] = [(alarm.start_sec, alarm.end_sec) for alarm in video.alarms]
    plot_timeline(with_suffix(target, ".png"), times_sec, scores, threshold, **shown)
    if top:
        write_thumbnails(with_suffix(target, THUMBNAILS), [picture for _, picture in thumbnails])
        top_scores = FrameScores(*(values[top] for values in sampled))
        top_path = with_suffix(target, SUFFIXES[-1])
        _plot_top_frames(top_path, pictures, moments_sec, times_sec[-1], top_scores, engine.info)
    if config.score.annotate:
        result["annotated"] = with_suffix(target, ANNOTATED).name
        progress = partial(track, description=f"Annotating {title}", total=len(scores), unit="frames")
        note = write_annotated(path, with_suffix(target, ANNOTATED), video, info, progress)
        result["warning"] = "; ".join(filter(None, (result["warning"], note)))
    write_json(with_suffix(target, ".json"), result)  # last: its presence says that the other files are complete
    return result


def _read_pictures(decoder, path, info, frame_indices, video):
    """Read frames by index, in the proportions of the video or of its cut. Scoring kept no frame, so it reads again."""
    wanted = frozenset(frame_indices.tolist())
    stretch = spec.CENTER_CROP[1] / spec.CENTER_CROP[0] if info.crop else 1.0
    width_px = round(PICTURE_SIDE_PX * stretch * video.width / video.height)
    width_px = min(max(width_px, PICTURE_WIDTHS_PX[0]), PICTURE_WIDTHS_PX[1])
    request = FrameRequest(path, info.frames_per_sec, PICTURE_SIDE_PX, info.crop, 1, wanted)
    *snippets, _ = read_results(request, decoder) if wanted else (None,)
    return [np.asarray(Image.fromarray(one.frames[0]).resize((width_px, PICTURE_SIDE_PX))) for one in snippets]


def _plot_top_frames(path, pictures, moments_sec, last_sec, scores, info):
    """Plot the patch scores of frames; ``scores`` are the ``FrameScores`` of these frames."""
    unit = " s" if last_sec < 60 else ""
    shown = zip(moments_sec, scores.anomaly_score, strict=True)
    titles = [f"{format_time(time_sec, last_sec)}{unit}  score {score:.2f}" for time_sec, score in shown]
    maps = score_maps(scores.patch_score, scores.before_crf, scores.after_crf, info.score_from)
    plot_heat_maps(path, pictures, maps, info.scales, titles)


def _write_csv(path, scores, times_sec):
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        for frame, (time_sec, score) in enumerate(zip(times_sec, scores, strict=True)):
            writer.writerow((frame, f"{time_sec:.3f}", f"{score:.{SCORE_DIGITS}f}"))


def _print_names(found, named):
    """Print which results do not have the name of their video."""
    for path, name in named:
        if name != found[path].with_suffix("").as_posix():
            text = f"  results of [bold]{escape(printable(path))}[/] have the name [bold]{escape(printable(name))}[/]"
            Console().print(text, highlight=False, soft_wrap=True)


def _print_table(results):
    table = Table("video", "frames", "max score", "alarms", "first alarm", title="Anomaly scores")
    for name, result in results:
        alarms = result["alarms"]
        first = f"{alarms[0]['start_sec']:.1f} to {alarms[0]['end_sec']:.1f} s" if alarms else ""
        style = "bold red" if alarms else None
        counts = (f"{result['num_frames']:,}", f"{result['max_score']:.3f}", str(len(alarms)))
        table.add_row(escape(printable(name)), *counts, first, style=style)
    if results:
        Console().print(table)
