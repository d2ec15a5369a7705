"""The command `vad`: one subcommand a stage. A stage and its frameworks are imported only when it runs."""

import contextlib
import dataclasses
import importlib
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from pipelines.cli import datasets as cli_datasets
from pipelines.cli.options import (
    ConfigOption,
    FoldsOption,
    JobsOption,
    SeedsOption,
    SetOption,
    load_named,
    repeats_overrides,
)
from pipelines.config import UserError
from pipelines.report.terminal.summary import print_closing_table, read_summaries
from pipelines.run.folder import RunFolder
from pipelines.run.lock import run_lock
from pipelines.run.workers import load_tensorflow_quietly

TRAIN_STAGES = ("prepare", "train_extractor", "extract", "train_detector", "evaluate", "export")
FEATURE_STAGES = ("import_features", *TRAIN_STAGES[3:])  # with features.root
EXPERIMENTS = ("aggregate", "repeats", "compare", "ablate")  # each trains, or puts together, several runs
ABOVE_STAGES = ("demo", "bench")

EXIT_SKIPPED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

AT_ONCE = "All at once"
IN_ORDER = "The stages, in their order"
IN_USE = "With a trained model"
IN_NUMBERS = "How good it is, beside others"
DATA = "Known datasets"
MACHINE = "This machine"

DESCRIPTION = """Find abnormal events in surveillance video, trained from one label a video.

Every stage reads what the one before it wrote in the run's folder (work_dir), \
goes on where it was stopped, and names what it skipped."""

EPILOG = """First steps: [bold]vad demo[/]

Your own videos: [bold]vad train --set data.root=FOLDER[/], where FOLDER holds the videos \
and labels.csv with the columns file,label (0 normal, 1 something abnormal happens).

Exit status: 0 done, 1 done but inputs were skipped, 2 something to mend, 130 stopped."""


class StageGroup(TyperGroup):
    """Takes `train_extractor` for `train-extractor`."""

    def get_command(self, ctx, cmd_name):
        return super().get_command(ctx, cmd_name.replace("_", "-"))


app = typer.Typer(
    cls=StageGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=EPILOG,
)


def _print_version(wanted: bool):
    if wanted:
        try:
            print(f"vad {version('vad-keras')}")
        except PackageNotFoundError:
            print("vad (not installed)")
        raise typer.Exit


@app.callback(help=DESCRIPTION)
def vad(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
):
    """Options of the command as a whole."""


@app.command(rich_help_panel=AT_ONCE)
def demo(config: ConfigOption = None, overrides: SetOption = None):
    """Try everything on synthetic videos; needs no data.

    Makes surveillance-like clips, runs every stage on them and scores a test video. Takes minutes on two cores.
    """
    _run(["demo"], load_named(config or "demo", overrides))


@app.command(rich_help_panel=AT_ONCE)
def train(config: ConfigOption = None, overrides: SetOption = None):
    """Run the stages from prepare to export.

    prepare, train-extractor, extract, train-detector, evaluate and export, one after the other. With features.root,
    import-features takes the place of the first three.
    """
    loaded = load_named(config, overrides)
    _run(FEATURE_STAGES if loaded.features.root else TRAIN_STAGES, loaded)


@app.command(rich_help_panel=IN_ORDER)
def prepare(config: ConfigOption = None, overrides: SetOption = None):
    """Decode the videos once into records of JPEG frames.

    Writes clips/ in the run's folder. A file that cannot be decoded is skipped and named.
    """
    _run(["prepare"], load_named(config, overrides))


@app.command(rich_help_panel=IN_ORDER)
def train_extractor(config: ConfigOption = None, overrides: SetOption = None):
    """Train the relation-aware frame features (Sec 3.2).

    Snippets carry the labels of their videos. Writes extractor.keras and TensorBoard logs.
    """
    _run(["train_extractor"], load_named(config, overrides))


@app.command(rich_help_panel=IN_ORDER)
def extract(config: ConfigOption = None, overrides: SetOption = None):
    """Turn each video into node features.

    One vector for each patch of each frame, in nodes/ of the run's folder.
    """
    _run(["extract"], load_named(config, overrides))


@app.command(rich_help_panel=IN_ORDER)
def import_features(config: ConfigOption = None, overrides: SetOption = None):
    """Take downloaded features (features.root) as nodes.

    In place of prepare, train-extractor and extract: I3D, C3D or CLIP features of each listed video, which need not
    be there itself. Writes nodes/ in the run's folder. A file that cannot be used is skipped and named.
    """
    _run(["import_features"], load_named(config, overrides))


@app.command(rich_help_panel=IN_ORDER)
def train_detector(config: ConfigOption = None, overrides: SetOption = None):
    """Train cliques, CRF and scorer on nodes (Sec 3.3, 3.4).

    Contrastive multi-instance learning on bags of nodes. Writes detector.keras and TensorBoard logs.
    """
    _run(["train_detector"], load_named(config, overrides))


@app.command(rich_help_panel=IN_ORDER)
def evaluate(config: ConfigOption = None, overrides: SetOption = None):
    """Measure on videos that were not trained on.

    Metrics, timelines and heat maps, in evaluation/ of the run's folder.
    """
    _run(["evaluate"], load_named(config, overrides))


@app.command(rich_help_panel=IN_ORDER)
def export(config: ConfigOption = None, overrides: SetOption = None):
    """Write a SavedModel for TensorFlow Serving.

    Both models as one, with four signatures and warm-up requests, as the next version under export.root.
    """
    _run(["export"], load_named(config, overrides))


@app.command(rich_help_panel=IN_USE)
def score(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="VIDEO_OR_FOLDER", help="What to score.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="DIR", help="Exported model or a version of it. Default: the run's own.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to write. Default: scores/ in work_dir.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
):
    """Score video files or folders of them.

    One score for each original frame as CSV and JSON, and a timeline to look at.
    """
    given = {"inputs": tuple(inputs or ()), "model": model, "output": output}
    loaded = load_named(config, overrides)
    changed = dataclasses.replace(loaded.score, **{key: value for key, value in given.items() if value})
    _run(["score"], dataclasses.replace(loaded, score=changed))


@app.command(rich_help_panel=IN_NUMBERS)
def repeat(
    config: ConfigOption = None,
    overrides: SetOption = None,
    folds: FoldsOption = None,
    seeds: SeedsOption = None,
    jobs: JobsOption = None,
):
    """Retrain in every fold and with several seeds.

    One report with intervals, in evaluation/ of the run's folder. Baselines (repeat.rivals) train on the same folds.
    """
    _run(["repeats"], load_named(config, [*(overrides or ()), *repeats_overrides(folds, seeds, jobs)]))


@app.command(rich_help_panel=IN_NUMBERS)
def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Folders of evaluated runs.", show_default=False)],
    config: ConfigOption = None,
    overrides: SetOption = None,
):
    """Put finished runs, of several seeds or settings, side by side.

    One report in aggregate/ of the run's folder. Nothing is trained.
    """
    _run(["aggregate"], load_named(config, overrides), runs)


@app.command(rich_help_panel=IN_NUMBERS)
def compare(
    rivals: Annotated[
        list[str] | None, typer.Argument(metavar="RIVAL", help="Such as sultani rtfm. Default: all.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    folds: FoldsOption = None,
    seeds: SeedsOption = None,
    jobs: JobsOption = None,
):
    """Train published rivals beside the full model.

    On the same folds and features; one table with intervals, in comparison/ of the run's folder.
    """
    loaded = load_named(config, [*(overrides or ()), *repeats_overrides(folds, seeds, jobs)])
    chosen = dataclasses.replace(loaded.compare, rivals=tuple(rivals or loaded.compare.rivals))
    _run(["compare"], dataclasses.replace(loaded, compare=chosen))


@app.command(rich_help_panel=IN_NUMBERS)
def ablate(
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="ROW", help="Such as trn causal. Default: all of them.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    folds: FoldsOption = None,
    seeds: SeedsOption = None,
    jobs: JobsOption = None,
):
    """Train the paper's Tables 1 and 2, and other readings of it.

    On the same folds; one table with intervals and the paper's values, in ablation/ of the run's folder.
    """
    loaded = load_named(config, [*(overrides or ()), *repeats_overrides(folds, seeds, jobs)])
    chosen = dataclasses.replace(loaded.ablate, rows=tuple(rows or loaded.ablate.rows))
    _run(["ablate"], dataclasses.replace(loaded, ablate=chosen))


@app.command(rich_help_panel=MACHINE)
def bench(config: ConfigOption = None, overrides: SetOption = None):
    """Measure speed and peak memory of each part.

    Decoding, preparing, extraction, a training step, and the scoring of a long video.
    """
    _run(["bench"], load_named(config or "bench", overrides))


app.add_typer(cli_datasets.app, name="datasets", rich_help_panel=DATA)


def _run(stages, config, *arguments):
    """Run the stages in order; end with 1 when one skipped an input. What modifies no run skips the lock."""
    start = time.time()
    changes_run = stages not in (["score"], ["aggregate"])
    with run_lock(config.work_path) if changes_run else contextlib.nullcontext():
        if changes_run:
            RunFolder.of(config).write_config(config)
        try:
            load_tensorflow_quietly()
            for stage in stages:
                _stage(stage).run(config, *arguments)
        except KeyboardInterrupt:
            print("\nstopped: run the same command again to go on from here", file=sys.stderr)
            raise typer.Exit(EXIT_INTERRUPTED) from None
    summaries = read_summaries(config, since=start)
    if len(stages) > 1:
        print_closing_table(summaries, Console())
    if any(summary["skipped"] for summary in summaries):
        raise typer.Exit(EXIT_SKIPPED)


def _stage(name):
    """The module that runs a stage."""
    package = "pipelines.experiments" if name in EXPERIMENTS else "pipelines.stages"
    return importlib.import_module(f"pipelines.{name}" if name in ABOVE_STAGES else f"{package}.{name}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status.

    Args:
        arguments: Words after `vad`; those of the process by default.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return app(args=arguments, prog_name="vad", standalone_mode=False) or 0
    except UserError as error:
        return _print_error(str(error))
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        text, command = error.format_message(), context.command_path if context else "vad"
        return _print_error(f"{text}{'' if text.endswith(('.', '?')) else '.'} See `{command} --help`.")
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED


def _print_error(text):
    Console(stderr=True).print(f"[bold red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)
    return EXIT_USER_ERROR
