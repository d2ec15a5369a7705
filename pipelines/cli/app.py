"""The command ``vad``: its subcommands, each with the modules that run it. No stage is imported before it runs."""

import dataclasses
import os
import sys
from typing import Annotated

import typer

from pipelines.cli import EXIT_INTERRUPTED
from pipelines.cli import config as cli_config
from pipelines.cli import datasets as cli_datasets
from pipelines.cli.calibrate import calibrate
from pipelines.cli.clean import clean
from pipelines.cli.collect import collect
from pipelines.cli.dispatch import run
from pipelines.cli.doctor import doctor
from pipelines.cli.errors import report_error
from pipelines.cli.live import watch
from pipelines.cli.next_steps import print_next_steps
from pipelines.cli.options import (
    ConfigOption,
    DryRunOption,
    FoldsOption,
    InnerFoldsOption,
    JobsOption,
    RivalsArgument,
    RowsArgument,
    SeedsOption,
    SetOption,
    StageGroup,
    VersionOption,
    WithoutClassOption,
    load_named,
    repeat_overrides,
)
from pipelines.cli.score import score
from pipelines.cli.tensorboard import tensorboard
from pipelines.experiments.systems import read_systems

TRAIN = ("prepare", "train_extractor", "extract", "train_detector", "evaluate", "export")
TRAIN_ON_FEATURES = ("import_features", *TRAIN[3:])  # with features.root

PIPELINE = "Whole pipeline"
STAGES = "Stages, in order"
INFERENCE = "Inference"
EVALUATION = "Evaluation and comparison"
OTHER = "Settings, datasets and benchmark"

DESCRIPTION = """Detect anomalies in surveillance video, trained with a single label per video.

Each stage reads the output of the previous one from the run's folder (work_dir), \
resumes where it stopped, and lists the inputs that it skipped."""

EPILOG = """Start here: **vad demo**

Your own videos: **vad config init FOLDER**, then **vad train --config FOLDER.toml**. FOLDER holds \
the videos and labels.csv with the columns file,label (0 normal, 1 abnormal).

Exit status: 0 done; 1 done, but inputs were skipped (the summary lists them); 2 user error: fix and rerun; \
3 the machine failed, such as a full disk: rerun to resume; 4 bug; 130 interrupted."""


app = typer.Typer(
    cls=StageGroup,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=EPILOG,
)


@app.callback(help=DESCRIPTION)
def vad(context: typer.Context, version: VersionOption = False):
    """Print the help if there is no subcommand."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(rich_help_panel=PIPELINE)
def demo(config: ConfigOption = None, overrides: SetOption = None):
    """Run everything on synthetic videos; needs no data.

    Generates surveillance-like clips, runs all stages and scores two test videos. Takes minutes on two cores.
    """
    return run(["demo"], load_named(config or "demo", overrides))


@app.command(rich_help_panel=PIPELINE)
def train(config: ConfigOption = None, overrides: SetOption = None, dry_run: DryRunOption = False):
    """Run all stages, from prepare to export.

    These are prepare, train-extractor, extract, train-detector, evaluate and export. With features.root,
    import-features replaces the first three; without test videos, evaluate is left out. A skipped input stops no stage;
    the exit status is then 1.
    """
    loaded = load_named(config, overrides)
    stages = cli_datasets.training_stages(loaded, TRAIN_ON_FEATURES if loaded.features.root else TRAIN)
    status = run([f"stages.{stage}" for stage in stages], loaded, dry_run=dry_run)
    if status != EXIT_INTERRUPTED and not dry_run:
        print_next_steps(loaded, config, overrides)
    return status


@app.command(rich_help_panel=STAGES)
def prepare(config: ConfigOption = None, overrides: SetOption = None, dry_run: DryRunOption = False):
    """Decode the videos into records of JPEG frames.

    Writes clips/ in the run's folder. A file that cannot be decoded is skipped and listed.
    """
    return run(["stages.prepare"], load_named(config, overrides), dry_run=dry_run)


@app.command(rich_help_panel=STAGES)
def train_extractor(config: ConfigOption = None, overrides: SetOption = None, dry_run: DryRunOption = False):
    """Train the relation-aware feature extractor (Sec 3.2).

    Each snippet takes the label of its video. Writes extractor.keras and TensorBoard logs.
    """
    return run(["stages.train_extractor"], load_named(config, overrides), dry_run=dry_run)


@app.command(rich_help_panel=STAGES)
def extract(config: ConfigOption = None, overrides: SetOption = None, dry_run: DryRunOption = False):
    """Extract the node features of each video.

    Writes one vector per patch and frame to nodes/ in the run's folder.
    """
    return run(["stages.extract"], load_named(config, overrides), dry_run=dry_run)


@app.command(rich_help_panel=STAGES)
def import_features(config: ConfigOption = None, overrides: SetOption = None, dry_run: DryRunOption = False):
    """Import downloaded features (features.root) as nodes.

    Replaces prepare, train-extractor and extract. Reads I3D, C3D or CLIP features of each listed video; the videos
    themselves are not needed. Writes nodes/ in the run's folder. A file that cannot be used is skipped and listed.
    """
    return run(["stages.import_features"], load_named(config, overrides), dry_run=dry_run)


@app.command(rich_help_panel=STAGES)
def train_detector(config: ConfigOption = None, overrides: SetOption = None, dry_run: DryRunOption = False):
    """Train the anomaly detector on nodes (Sec 3.3, 3.4).

    Uses contrastive multiple-instance learning on bags of nodes. Writes detector.keras and TensorBoard logs.
    """
    return run(["stages.train_detector"], load_named(config, overrides), dry_run=dry_run)


@app.command(rich_help_panel=STAGES)
def evaluate(config: ConfigOption = None, overrides: SetOption = None, dry_run: DryRunOption = False):
    """Evaluate the detector on the test videos.

    Writes metrics, timelines and heat maps to evaluation/ in the run's folder. With folds and seeds: vad repeat.
    """
    return run(["stages.evaluate"], load_named(config, overrides), dry_run=dry_run)


@app.command(rich_help_panel=STAGES)
def export(config: ConfigOption = None, overrides: SetOption = None, dry_run: DryRunOption = False):
    """Export a SavedModel for TensorFlow Serving.

    Writes extractor and detector as one model, with its signatures, warm-up requests and a model card, as the next
    version under export.root.
    """
    return run(["stages.export"], load_named(config, overrides), dry_run=dry_run)


app.command(rich_help_panel=INFERENCE)(score)


app.command(rich_help_panel=INFERENCE)(collect)


@app.command(rich_help_panel=EVALUATION)
def repeat(
    config: ConfigOption = None,
    overrides: SetOption = None,
    folds: FoldsOption = None,
    seeds: SeedsOption = None,
    jobs: JobsOption = None,
    inner_folds: InnerFoldsOption = None,
):
    """Retrain with several folds and seeds.

    Models score only videos that they were not trained on. Writes one report with confidence intervals to repeats/ in
    the run's folder. The rivals of repeat.rivals are trained on the same folds.
    """
    loaded = load_named(config, repeat_overrides(overrides, folds, seeds, jobs, inner_folds))
    return run(["experiments.repeats"], loaded)


@app.command(rich_help_panel=EVALUATION)
def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Folders of evaluated runs, or one report folder such as comparison/.",
            show_default=False,
        ),
    ],
    config: ConfigOption = None,
    overrides: SetOption = None,
    without: WithoutClassOption = None,
):
    """Compare finished runs in one report.

    Runs that differ only in their seed count as one system. Writes report/ in the folder work_dir. Nothing is trained.
    With --without-class, the report of a repeat, compare or ablate is computed again from its stored scores, too.
    """
    return run(["experiments.aggregate"], load_named(config, overrides), runs, without or (), modifies_run=False)


@app.command(rich_help_panel=EVALUATION)
def compare(
    rivals: RivalsArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    folds: FoldsOption = None,
    seeds: SeedsOption = None,
    jobs: JobsOption = None,
    inner_folds: InnerFoldsOption = None,
):
    """Compare the full model with published rivals.

    Trains all of them on the same folds and features. Writes one table with intervals to comparison/ of the run.
    """
    loaded = load_named(config, repeat_overrides(overrides, folds, seeds, jobs, inner_folds))
    chosen = dataclasses.replace(loaded.compare, rivals=tuple(rivals or loaded.compare.rivals))
    read_systems("rivals", loaded, chosen.rivals)  # reports an unknown name before TensorFlow is loaded
    return run(["experiments.compare"], dataclasses.replace(loaded, compare=chosen))


@app.command(rich_help_panel=EVALUATION)
def ablate(
    rows: RowsArgument = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    folds: FoldsOption = None,
    seeds: SeedsOption = None,
    jobs: JobsOption = None,
    inner_folds: InnerFoldsOption = None,
):
    """Compare the full model with ablations: Tables 1 and 2.

    Trains all on the same folds. Writes one table with the paper's values to ablation/ of the run.
    """
    loaded = load_named(config, repeat_overrides(overrides, folds, seeds, jobs, inner_folds))
    chosen = dataclasses.replace(loaded.ablate, rows=tuple(rows or loaded.ablate.rows))
    read_systems("ablations", loaded, chosen.rows)  # reports an unknown name before TensorFlow is loaded
    return run(["experiments.ablate"], dataclasses.replace(loaded, ablate=chosen))


app.add_typer(cli_config.app, name="config", rich_help_panel=OTHER)
app.add_typer(cli_datasets.app, name="datasets", rich_help_panel=OTHER)
app.command(rich_help_panel=EVALUATION)(tensorboard)
app.command(rich_help_panel=OTHER)(clean)
app.command(rich_help_panel=INFERENCE)(watch)
app.command(rich_help_panel=INFERENCE)(calibrate)
app.command(rich_help_panel=OTHER)(doctor)


@app.command(rich_help_panel=OTHER)
def bench(config: ConfigOption = None, overrides: SetOption = None):
    """Measure the speed and peak memory of each part.

    These are decoding, preparing, extraction, a training step, and scoring a long video.
    """
    return run(["bench"], load_named(config or "bench", overrides))


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: Words after ``vad``; those of the process by default.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        status = app(args=arguments, prog_name="vad", standalone_mode=False) or 0
        sys.stdout.flush()  # what cannot be printed any more is an error, too
        return status
    except ModuleNotFoundError:
        raise
    except BaseException as error:
        return report_error(error)
