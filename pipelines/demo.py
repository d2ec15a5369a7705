"""Run every stage on synthetic videos, score two test videos, and name the results (``vad demo``)."""

import dataclasses
import shlex
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipelines.data.listing.manifest import read_manifest
from pipelines.report.html.score_page import PAGE
from pipelines.report.terminal.summary import print_closing_table, read_summaries, summary_stamps
from pipelines.run.folder import RunFolder
from pipelines.stages import evaluate, export, extract, prepare, score, train_detector, train_extractor
from vad_keras.spec import ABNORMAL, NORMAL


def run(config) -> Path:
    """Run the stages from prepare to export, then score one abnormal and one normal test video with the export.

    Args:
        config: The run's ``Config``, such as ``pipelines/configs/demo.toml``.

    Returns:
        Folder of the scored videos.
    """
    before = summary_stamps(config)
    for stage in (prepare, train_extractor, extract, train_detector, evaluate):
        stage.run(config)
    model = export.run(config)
    videos = pick_test_videos(read_manifest(RunFolder.of(config).clips).videos)
    inputs = tuple(video.path for video in videos)
    asked = dataclasses.replace(config.score, inputs=inputs, model=str(model))
    scores = score.run(dataclasses.replace(config, score=asked))
    console = Console()
    print_closing_table(read_summaries(config, before), console)
    for line in closing_lines(config, model, scores, Path(inputs[0])):
        console.print(line, highlight=False, soft_wrap=True)
    return scores


def pick_test_videos(videos):
    """Return the first abnormal and the first normal test video."""
    tested = [video for video in videos if video.subset == "test"]
    return [next(video for video in tested if video.label == label) for label in (ABNORMAL, NORMAL)]


def closing_lines(config, model, scores, video):
    """Yield the paths of the results and three next commands, as lines of markup."""
    run = RunFolder.of(config)
    results = {
        "page of the two videos": scores / PAGE,
        "timeline of a test video": scores / f"{video.stem}.png",
        "its top frames, patch by patch": scores / f"{video.stem}_top_frames.png",
        "timelines of all test videos": run.evaluation / "timelines.png",
        "patches before and after the CRF": run.evaluation / "heat_maps.png",
        "page of the evaluation": run.evaluation / PAGE,
        "SavedModel": model,
    }
    steps = {
        "view the training": shlex.join(["vad", "tensorboard", str(run.path)]),
        "score another video": shlex.join(["vad", "score", "VIDEO", "--model", str(model.parent)]),
        "train on your own videos": "vad config init FOLDER, then vad train --config FOLDER.toml",
    }
    width = max(map(len, (*results, *steps))) + 2
    yield "[bold]Results[/]"
    yield from (f"  {name:{width}}{escape(str(path))}" for name, path in results.items())
    yield "[bold]Next[/]"
    yield from (f"  {name:{width}}{escape(command)}" for name, command in steps.items())
    yield "  FOLDER holds the videos and labels.csv with the columns file,label (0 normal, 1 abnormal)."
