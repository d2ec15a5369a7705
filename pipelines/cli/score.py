"""Score videos with an exported model or with a server (``vad score``)."""

import dataclasses
from typing import Annotated, Any

import typer

from pipelines.cli.dispatch import run
from pipelines.cli.options import AnnotateOption, ConfigOption, DryRunOption, ModelOption, SetOption, load_named


def score(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO_OR_FOLDER", help="Videos, or folders of videos.", show_default=False),
    ] = None,
    model: ModelOption = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="TensorFlow Serving: grpc://HOST:8500 or http://HOST:8501."),
    ] = None,
    server_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the model on the server. Default: export.name.")
    ] = None,
    server_version: Annotated[
        str | None, typer.Option(metavar="N", help="Version on the server. Default: the newest.")
    ] = None,
    server_label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Label of the version on the server, such as stable.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of the results. Default: scores/ in work_dir.")
    ] = None,
    annotate: AnnotateOption = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
):
    """Score video files or folders of videos.

    Writes one score per original frame as CSV and JSON, a timeline per video, and report.html for all of them. With
    --server, TensorFlow Serving runs the model, and the results are the same.
    """
    given: dict[str, Any] = {"inputs": tuple(inputs or ()), "model": model, "output": output, "annotate": annotate}
    given |= {"server": server, "server_model": server_model}
    given |= {"server_version": server_version, "server_label": server_label}
    loaded = load_named(config, overrides)
    changed = dataclasses.replace(loaded.score, **{key: value for key, value in given.items() if value})
    return run(["stages.score"], dataclasses.replace(loaded, score=changed), modifies_run=False, dry_run=dry_run)
