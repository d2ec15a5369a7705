"""The command `vad config`: print settings, write them as TOML, and start a file for a folder of videos."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from pipelines.cli.options import FLAG, ConfigOption, SetOption, completing, load_named
from pipelines.config import UserError, all_settings
from pipelines.config.sections import find_settings, section_classes, value_of
from pipelines.config.starter import FolderFacts, starter_toml
from pipelines.config.toml import about, to_toml, toml_value
from pipelines.run.files import write_text

KEY_WIDTH = max(len(setting.name) for setting in all_settings().values()) + len(" *")
NAMED = 3  # unreadable files that are named


class ShowByDefault(TyperGroup):
    """`vad config detector` is `vad config show detector`."""

    def parse_args(self, ctx, args):
        first = args[0] if args else ""
        own = first in self.commands or first in ctx.help_option_names
        return super().parse_args(ctx, list(args) if own else ["show", *args])


app = typer.Typer(
    cls=ShowByDefault, rich_markup_mode="markdown", context_settings={"help_option_names": ["--help", "-h"]}
)


@app.callback()
def config():
    """Print the settings, or start a configuration file.

    **vad config** prints all settings, **vad config detector** those of one section,
    **vad config detector.key_dim** one. See **vad config show --help**.
    """


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="SECTION_OR_KEY",
            help="Such as detector or data.root. Default: all.",
            autocompletion=completing(lambda: [*section_classes(), *all_settings()]),
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    toml: Annotated[
        bool, typer.Option("--toml", metavar=FLAG, help="Write a commented TOML file to the standard output.")
    ] = False,
):
    """Print settings with default, unit and meaning (the default).

    Values are those that a command with the same --config and --set uses. Changed ones are marked with a star.
    """
    loaded = load_named(config, overrides)
    settings = find_settings(name) if name else list(all_settings().values())
    if toml:
        print(to_toml(loaded, keys=[setting.key for setting in settings]), end="")
        return
    _print_settings(loaded, settings, Console(highlight=False))


def _print_settings(config, settings, console):
    values = {setting: _with_unit(value_of(config, setting.key), setting) for setting in settings}
    width = min(max(map(len, values.values())), console.width // 4)
    changed = {setting for setting in settings if value_of(config, setting.key) != setting.default}
    for section in dict.fromkeys(setting.section for setting in settings):
        if section:
            console.print(f"\n[bold]\\[{section}][/]  [dim]{escape(section_classes()[section].__doc__)}[/]")
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(no_wrap=True, width=KEY_WIDTH)
        table.add_column(overflow="fold", width=width)
        table.add_column(ratio=1)
        for setting in settings:
            if setting.section == section:
                table.add_row(*_row(setting, values[setting], setting in changed))
        console.print(table)
    kept = "All values are the defaults." if not changed else "* changed. All other values are the defaults."
    console.print(f"\n[dim]{kept}[/]")


def _row(setting, value, changed):
    if not changed:
        return setting.name, escape(value), f"[dim]{escape(about(setting))}[/]"
    meaning = f"[dim]{escape(about(setting))}.[/] Default: {escape(_with_unit(setting.default, setting))}"
    return f"[bold yellow]{setting.name} *[/]", f"[bold yellow]{escape(value)}[/]", meaning


def _with_unit(value, setting):
    return f"{toml_value(value)} {setting.unit}".rstrip()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the videos, with or without labels.csv.")],
    weights: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Pretrained weights, such as mobilenet_v2.weights.h5; imagenet: download. Default: none.",
        ),
    ] = "",
    output: Annotated[str, typer.Option(metavar="FILE", help="TOML file to write. Default: FOLDER.toml here.")] = "",
):
    """Start a configuration file for a folder of videos.

    Looks at the videos and the labels. Without --weights, training needs no download. Never overwrites a file.
    """
    path = Path(output or f"{folder.resolve().name}.toml")
    if path.exists():
        raise UserError(f"{path} exists. Remove it, or name another file: --output FILE")
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}. Name the folder that holds the videos.")
    console = Console(highlight=False, soft_wrap=True)
    durations = _look_at_videos(folder, console)
    num_training = _look_at_labels(folder, console)
    facts = FolderFacts(len(durations) if num_training is None else num_training, durations)
    write_text(path, starter_toml(folder, facts, weights))
    console.print(f"[green]✓[/] wrote {escape(str(path))}")
    if num_training is None:
        labels = escape(str(folder / "labels.csv"))
        console.print(f"Write {labels} first, with the columns file,label (0 normal, 1 abnormal).")
    console.print(f"Next: [bold]vad train --config {escape(str(path))}[/]")


def _look_at_videos(folder, console):
    """Print what the videos are and return their lengths in seconds."""
    from pipelines.data.listing.files import VIDEO_SUFFIXES
    from pipelines.data.video import probe

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise UserError(f"no video in {folder}. Known suffixes: {' '.join(VIDEO_SUFFIXES)}.")
    probed = {path: probe(path) for path in paths}
    known = [one for one in probed.values() if one]
    broken = [path.relative_to(folder).as_posix() for path, one in probed.items() if not one]
    text = f"{len(paths)} videos"
    if known:
        sizes = sorted({(one.width, one.height) for one in known}, key=lambda size: size[0] * size[1])
        text += f", {_span([f'{width}×{height}' for width, height in sizes])}"
        text += f", {_span([f'{fps:.4g}' for fps in sorted(one.fps for one in known)])} frames/s"
        text += f", {_span([f'{length:.0f}' for length in sorted(one.duration_sec for one in known)])} s"
    console.print(f"[green]✓[/] {escape(str(folder))}: {text}")
    if broken:
        names = ", ".join(broken[:NAMED]) + (f" and {len(broken) - NAMED} more" if len(broken) > NAMED else "")
        console.print(f"[yellow]![/] {len(broken)} cannot be read and will be skipped: {escape(names)}")
    return tuple(one.duration_sec for one in known)


def _look_at_labels(folder, console):
    """Print what is labelled and return the number of training videos; None without labels.csv."""
    from pipelines.data.datasets.folder import load

    if not (folder / "labels.csv").is_file():
        console.print("[yellow]![/] no labels.csv")
        return None
    videos = load(load_named(None, [f"data.root={toml_value(str(folder))}"]))
    counts = []
    for subset, name in (("train", "training"), ("test", "test")):
        labels = [video.label for video in videos if video.subset == subset]
        counts.append(f"{labels.count(0)} normal and {labels.count(1)} abnormal {name} videos")
    console.print(f"[green]✓[/] labels.csv: {', '.join(counts)}")
    if not any(video.subset == "test" for video in videos):
        console.print("[yellow]![/] no test videos. To evaluate, mark some with `test` in a column `subset`")
    return sum(video.subset == "train" for video in videos)


def _span(texts):
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
