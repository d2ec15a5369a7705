"""Watch cameras (``vad watch``)."""

import dataclasses
from typing import Annotated, Any

import typer

from pipelines.cli.dispatch import run
from pipelines.cli.options import FLAG, ConfigOption, ModelOption, SetOption, load_named


def watch(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Files, folders of recordings, devices such as /dev/video0, rtsp:// or http(s):// addresses.",
            show_default=False,
        ),
    ] = None,
    cameras: Annotated[
        str | None, typer.Option(metavar="FILE", help="cameras.toml: many cameras, with thresholds and zones.")
    ] = None,
    model: ModelOption = None,
    lag: Annotated[
        int | None,
        typer.Option(min=0, metavar="FRAMES", help="Wait for fewer frames than the cliques need. Default: all."),
    ] = None,
    pace: Annotated[
        bool | None,
        typer.Option("--pace/--no-pace", metavar=FLAG, help="Play files at their own pace, or as fast as possible."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of events and clips. Default: live/ in work_dir.")
    ] = None,
    web: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Address of the web page. Default: 127.0.0.1:8090.")
    ] = None,
    no_web: Annotated[bool, typer.Option("--no-web", metavar=FLAG, help="Serve no web page.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
):
    """Watch cameras: score their frames as they come.

    Reports alarms, keeps clips and snapshots of them, and reconnects to lost cameras for ever. A folder is watched for
    recordings that are dropped into it. Ctrl-C or SIGTERM ends it cleanly, with status 0, or 1 if a camera never
    gave a frame. So does the end of all files, if no other source is watched.
    """
    loaded = load_named(config, overrides)
    given: dict[str, Any] = {"sources": tuple(sources or ()) or None, "cameras": cameras, "lag": lag, "pace": pace}
    given |= {"store": store, "web": "" if no_web else web}
    chosen = dataclasses.replace(loaded.watch, **{key: value for key, value in given.items() if value is not None})
    scoring = dataclasses.replace(loaded.score, model=model or loaded.score.model)
    return run(["stages.watch"], dataclasses.replace(loaded, watch=chosen, score=scoring), modifies_run=False)
