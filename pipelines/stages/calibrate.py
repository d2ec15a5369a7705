"""Calibrate: scores of normal footage -> the threshold for a wanted number of false alarms per camera-day."""

import csv
import dataclasses
import math
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from pipelines.config import UserError
from pipelines.data.listing.files import VIDEO_SUFFIXES
from pipelines.live.cameras import camera_named, change_camera
from pipelines.report.plots.calibration_curve import plot_calibration
from pipelines.report.terminal.summary import counted, printable, write_summary
from pipelines.run.files import write_json
from pipelines.run.folder import RunFolder
from pipelines.serving.alarms import AlarmRules
from pipelines.serving.calibration import Footage, calibrate, curve
from pipelines.serving.results import NO_FOOTAGE, check_footage, read_result, source_of, with_suffix

CLUSTERED = 2  # more alarmed blocks per cluster, and blocks are too short


def run(config) -> Path:
    """Calibrate the threshold of a camera from the scores of ``calibrate.inputs``.

    Writes ``calibration/<camera>.json`` and ``.png``, and the threshold into ``calibrate.cameras`` if it is set.
    Videos must have been scored before: ``vad calibrate`` does that first.

    Args:
        config: The run's ``Config``.

    Returns:
        The folder of the results.

    Raises:
        UserError: There is no footage, too little of it for the promise, or its scores are too high; or the camera is
            not in ``calibrate.cameras``.
    """
    start, options = time.monotonic(), config.calibrate
    own = camera_named(options.cameras, options.camera) if options.cameras else None
    camera = own.name if own else options.camera or "camera"
    rules = AlarmRules.of(config.alarms)
    if options.confidence >= 1:
        raise UserError("`calibrate.confidence` must be below 1: no footage makes it certain. Try 0.95.")
    scores = Path(config.score.output or RunFolder.of(config).scores)
    results, skipped = find_results(options.inputs, scores)
    footage = [_footage(target, result) for target, result in results]
    block = f"a block of {options.block_sec:g} s" if options.block_sec else "a block"
    try:
        found = calibrate(
            footage, rules, options.false_alarms, options.block_sec, options.confidence, options.days_ahead
        )
    except ValueError:
        raise UserError(f"the footage is shorter than {block}. Give more, or lower calibrate.block_sec.") from None
    target = RunFolder.of(config).calibration / camera
    _plot(with_suffix(target, ".png"), footage, rules, options, found, camera)
    if found.threshold is None:
        raise UserError(_why_not(found, options))
    content = dataclasses.asdict(options) | found._asdict() | {"rules": dataclasses.asdict(rules)}
    content["videos"] = [result["video"] for _, result in results]
    content["models"] = sorted({str(result.get("model")) for _, result in results})
    write_json(with_suffix(target, ".json"), content)
    if options.cameras:
        change_camera(options.cameras, camera, threshold=found.threshold)
    unzoned = sum(result.get("zones") is None for _, result in results) if own and own.zones else 0
    _print_notes(found, options, rules, content["models"], unzoned)
    done = f"threshold {found.threshold:.6g} from {found.days:.3g} camera-days of {counted(len(footage), 'video')}: "
    done += f"at most {_rate(found.bound_per_day)} {_promise(options)}"
    done += f"; written into {options.cameras}" if options.cameras else ""
    write_summary(config, "calibrate", done, skipped=skipped, output=target.parent, seconds=time.monotonic() - start)
    return target.parent


def find_results(inputs, scores):
    """Find results of ``vad score``.

    Args:
        inputs: JSON files of results, videos, and folders of either.
        scores: Folder of the results of videos.

    Returns:
        ``(results, skipped)``: pairs of a path without suffix and the content of its JSON file, and pairs of a file and
        the reason why it is skipped.

    Raises:
        UserError: An input does not exist, or there is no result at all.
    """
    check_footage(inputs)
    files = []
    for entry in map(Path, inputs):
        inside = sorted(path for path in entry.rglob("*") if path.is_file()) if entry.is_dir() else [entry]
        files += [path for path in inside if path == entry or path.suffix.lower() in (".json", *VIDEO_SUFFIXES)]
    scored = {}
    for path in sorted(scores.rglob("*.json")):
        result = read_result(path.with_suffix(""))
        if result is not None:
            scored[source_of(result["video"])] = path
    results, skipped = {}, []
    for path in files:
        target = path if path.suffix == ".json" else scored.get(source_of(path))
        result = None if target is None else read_result(target.with_suffix(""))
        if result is not None and result.get("scores"):
            results[source_of(result["video"])] = target.with_suffix(""), result
        elif path.suffix != ".json" or path in map(Path, inputs):
            skipped.append((path, "it has no scores" if target is None else "it is no result of `vad score`"))
    if not results:
        raise UserError(NO_FOOTAGE)
    return list(results.values()), skipped


def _footage(target, result):
    """Return the ``Footage`` of a result. Its CSV file has the times; without it, they follow from the frame rate."""
    scores = np.array(result["scores"], float)
    times = np.arange(scores.size) / result["fps"]
    try:
        with with_suffix(target, ".csv").open(newline="", encoding="utf-8") as file:
            read = np.array([float(row["time_sec"]) for row in csv.DictReader(file)])
        times = read if read.shape == scores.shape else times
    except (OSError, KeyError, ValueError):
        pass
    return Footage(scores, times, 1 / result["fps"])


def _promise(options):
    if not options.confidence:
        return "on average"
    return f"over the next {options.days_ahead:g} days, with {100 * options.confidence:g} % confidence"


def _why_not(found, options):
    """Return in words why there is no threshold, and what helps."""
    wanted = _rate(options.false_alarms)
    if found.allowed_blocks >= 0:
        return (
            f"no threshold gives {wanted}: scores reach 1 in more than {counted(found.allowed_blocks, 'block')} of the "
            "footage. Check that it is normal, and that the model fits this camera."
        )
    best = math.ceil(found.best_per_day * 100) / 100
    return (
        f"{wanted} {_promise(options)}: needs at least {_duration(found.needed_days)} of normal footage. "
        f"Received: {_duration(found.days)}, which can promise {best:g}. Add footage, or use --false-alarms {best:g}."
    )


def _duration(days):
    """Return a number of days in words.

    Example:
    >>> _duration(3.0), _duration(0.05), _duration(0.01)
    ('3 days', '1.2 hours', '14.4 minutes')
    """
    unit, name = next((one for one in ((1, "days"), (24, "hours")) if days * one[0] >= 1), (1440, "minutes"))
    return f"{days * unit:.3g} {name}"


def _rate(per_day):
    """Return a number of false alarms per camera-day in words.

    Example:
    >>> _rate(1.0), _rate(17.8749), _rate(8640)
    ('1 false alarm per camera-day', '17.9 false alarms per camera-day', '8,640 false alarms per camera-day')
    """
    number = f"{per_day:,.0f}" if per_day >= 100 else f"{per_day:.3g}"
    return f"{number} false alarm{'' if number == '1' else 's'} per camera-day"


def _print_notes(found, options, rules, models, unzoned):
    """Print what weakens the promise."""
    notes = []
    if options.block_sec and rules.cooldown_sec < options.block_sec:
        notes.append(
            f"alarms less than {options.block_sec:g} s apart count once; alarms.cooldown_sec={options.block_sec:g} "
            "makes it so for the operator, too"
        )
    if found.alarmed_blocks > CLUSTERED * max(found.clusters, 1):
        notes.append(
            f"the {found.alarmed_blocks} alarmed blocks lie in {counted(found.clusters, 'cluster')}: blocks depend on "
            "each other, and the promise is too bold; raise calibrate.block_sec"
        )
    if found.days < 1:
        notes.append(f"{_duration(found.days)} of footage do not show a whole day: night and day may differ")
    if unzoned:
        notes.append(
            f"{counted(unzoned, 'result')} without the zones of the camera: scores of the whole picture are higher, "
            "and so may be the threshold. Give the videos to have them scored with its zones"
        )
    if len(models) > 1:
        notes.append("the scores come from several models; score the footage with the one that watches")
    for note in notes:
        Console(stderr=True).print(f"[yellow]note:[/] {escape(printable(note))}", highlight=False, soft_wrap=True)


def _plot(path, footage, rules, options, found, camera):
    thresholds, per_day, bounds = curve(footage, rules, options.block_sec, options.confidence, options.days_ahead)
    name = f"{100 * options.confidence:g} % bound" if options.confidence else "mean bound"
    title = f"{camera}: {_duration(found.days)} of normal footage"
    plot_calibration(path, thresholds, per_day, bounds, options.false_alarms, found.threshold, title, name)
