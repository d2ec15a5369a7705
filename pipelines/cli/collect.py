"""Make a dataset of the reviewed events of ``vad watch`` (``vad collect``)."""

import dataclasses
from typing import Annotated

import typer

from pipelines.cli import dispatch
from pipelines.cli.options import ConfigOption, SetOption, load_named


def collect(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder of the run that vad watch used (work_dir).", show_default=False)
    ],
    output: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of the videos. Default: collected/ in RUN.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
):
    """Collect reviewed events as training videos.

    Clips of true alarms become abnormal videos, clips of false alarms and quiet stretches normal ones. Writes the
    videos and labels.csv, which vad train takes as they are. Run it again to add what is new.
    """
    loaded = load_named(config, overrides)
    options = dataclasses.replace(loaded.collect, output=output) if output else loaded.collect
    loaded = dataclasses.replace(loaded, work_dir=run, collect=options)
    return dispatch.run(["stages.collect"], loaded, modifies_run=False)
