"""What usually follows ``vad train``: the commands, with the options that the user gave."""

import shlex

from rich.console import Console
from rich.markup import escape

from pipelines.run.folder import RunFolder


def print_next_steps(config, config_name, overrides):
    """Print where the report of a trained run is, and the commands that usually follow.

    Args:
        config: The run's ``Config``.
        config_name: Value of ``--config``; None if it was not given.
        overrides: Values of ``--set``.
    """
    run, options = RunFolder.of(config), []
    if config_name is not None:
        options += ["--config", config_name]
    for override in overrides or ():
        if override.partition("=")[0].strip() == "work_dir":  # the run knows the model that it exported
            options += ["--set", override]
    report = run.evaluation / "report.html"
    steps = {"read the report": report} if report.exists() else {}  # without test videos there is none
    steps["view the training"] = shlex.join(["vad", "tensorboard", str(run.path)])
    if not config.features.root:  # a model of imported features scores features, not videos
        steps["score videos"] = shlex.join(["vad", "score", "VIDEO", *options])
    console = Console()
    console.print("[bold]Next[/]")
    for name, step in steps.items():
        console.print(f"  {name:20}{escape(str(step))}", highlight=False, soft_wrap=True)
