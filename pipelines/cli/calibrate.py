"""Calibrate the threshold of a camera (``vad calibrate``)."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.dispatch import run
from pipelines.cli.options import ConfigOption, ModelOption, SetOption, load_named


def calibrate(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOOTAGE",
            help="Normal footage of one camera: videos, folders of them, or JSON files of `vad score`.",
            show_default=False,
        ),
    ] = None,
    cameras: Annotated[
        str | None, typer.Option(metavar="FILE", help="cameras.toml to write the threshold into.")
    ] = None,
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="Camera in that file. Default: its only one.")
    ] = None,
    false_alarms: Annotated[
        float | None, typer.Option(min=0.001, metavar="N", help="Wanted false alarms per camera-day. Default: 1.")
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="C", help="How surely the promise holds; 0: on average. Default: 0.95."),
    ] = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
):
    """Find the threshold for a wanted number of false alarms.

    Takes normal footage of a camera and scores what is not scored yet. Writes the threshold into cameras.toml, and the
    curve of false alarms per camera-day with its bound to calibration/ in work_dir. Says how much footage a promise
    needs if there is too little.
    """
    loaded = load_named(config, overrides)
    given: dict[str, Any] = {"inputs": tuple(inputs or ()), "cameras": cameras, "camera": camera}
    given = {key: value for key, value in given.items() if value}
    numbers: dict[str, Any] = {"false_alarms": false_alarms, "confidence": confidence}
    given |= {key: value for key, value in numbers.items() if value is not None}
    chosen = dataclasses.replace(loaded.calibrate, **given)
    videos = _videos(chosen.inputs)
    scoring = dataclasses.replace(_scoring(loaded, chosen), inputs=videos)
    scoring = dataclasses.replace(scoring, model=model or scoring.model)
    stages = ["stages.score", "stages.calibrate"] if videos else ["stages.calibrate"]
    return run(stages, dataclasses.replace(loaded, calibrate=chosen, score=scoring), modifies_run=False)


def _scoring(loaded, chosen):
    """Return how footage is scored: as `vad watch` does, with the model and the zones of the camera."""
    from pipelines.live.cameras import camera_named
    from pipelines.run.folder import RunFolder

    camera = camera_named(chosen.cameras, chosen.camera) if chosen.cameras else None
    own = {"model": camera.model, "zones": camera.zones} if camera else {}
    own = {key: value for key, value in own.items() if value}
    if own.get("zones") and not loaded.score.output:  # apart from the scores of the whole picture
        own["output"] = str(RunFolder.of(loaded).calibration / camera.name / "scores")
    return dataclasses.replace(loaded.score, **own)


def _videos(inputs):
    """Return the inputs that must be scored first: videos, and folders with videos in them."""
    from pipelines.data.listing.files import VIDEO_SUFFIXES

    def is_video(path):
        return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()

    chosen = []
    for entry in map(Path, inputs):
        if entry.is_dir():
            chosen += [entry] if any(map(is_video, entry.rglob("*"))) else []
        elif entry.is_file() and entry.suffix.lower() != ".json":
            chosen.append(entry)
    return tuple(map(str, chosen))
