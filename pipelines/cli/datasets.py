"""List the known datasets, and check which files of one are present (``vad datasets``)."""

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import FLAG, completing
from pipelines.config import UserError, choices, load_config
from pipelines.report.terminal.progress import print_line
from pipelines.report.terminal.summary import counted

SHOWN = 5
EXIT_INCOMPLETE = 1

app = typer.Typer(rich_markup_mode="markdown", context_settings={"help_option_names": ["--help", "-h"]})


@app.callback(invoke_without_command=True)
def datasets(ctx: typer.Context):
    """List the known datasets, or check the files of one.

    The list names the videos, lists and labels of each dataset, and where to get them.
    """
    if ctx.invoked_subcommand is None:
        _print_datasets(Console())


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name that vad datasets lists.",
            autocompletion=completing(lambda: choices("data.dataset")),
        ),
    ],
    root: Annotated[str, typer.Option(metavar="DIR", help="Folder of the videos (data.root).")],
    annotations: Annotated[
        str, typer.Option(metavar="DIR", help="Folder of the lists and labels. Default: the folder of the videos.")
    ] = "",
    every: Annotated[
        bool, typer.Option("--all", metavar=FLAG, help="List all missing files, not only the first few.")
    ] = False,
):
    """Compare the files of a dataset with its official lists and counts, and open each video.

    Exit status: 0 complete; 1 files are missing or damaged, or no training is possible; 2 a list cannot be read.
    """
    from pipelines.data.datasets import dataset_module
    from pipelines.data.inventory import take_inventory
    from pipelines.report.terminal.progress import track

    about = dataset_module(name).ABOUT
    quoted = [f"data.{key}='{value}'" for key, value in (("root", root), ("annotations", annotations))]
    config = load_config(overrides=[f"data.dataset={name}", *quoted])
    inventory = take_inventory(config, lambda loop, text, total: track(loop, text, total) if total else loop)
    _print_inventory(inventory, name, about, root, None if every else SHOWN, Console())
    if not inventory.is_complete:
        raise typer.Exit(EXIT_INCOMPLETE)


def training_stages(config, stages):
    """Return the stages of ``vad train``: without ``evaluate`` if no listed video is for the test, and say so.

    Raises:
        UserError: As for ``refuse_untrainable``.
    """
    if config.data.dataset == "synthetic":  # generated, with both labels
        return stages
    videos = refuse_untrainable(config)
    if any(video.subset == "test" and video.label is not None and not video.missing for video in videos):
        return stages
    print_line(
        "no test videos: vad evaluate is left out. To measure the model, mark some videos with `test` in the column "
        "`subset` of labels.csv, or run vad repeat --folds 5"
    )
    return [stage for stage in stages if stage != "evaluate"]


def refuse_untrainable(config):
    """Return the listed videos after a check, before time is spent on them.

    Raises:
        UserError: The list is invalid, or no training is possible with its videos.
    """
    from pipelines.data.datasets import load_dataset
    from pipelines.data.splits import training_problem

    videos = load_dataset(config)
    problem = training_problem(videos, config)
    if problem:
        raise UserError(f"{problem} `vad datasets check {config.data.dataset}` lists the videos.")
    return videos


def _print_datasets(console):
    from pipelines.data.datasets import dataset_module

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for name in choices("data.dataset"):
        about = dataset_module(name).ABOUT
        title = f"{escape(about.title)}, measured by {about.metric}" if about.metric else escape(about.title)
        table.add_row(f"[bold]{name}[/]", title)
        for key in ("videos", "lists", "source", "paper"):
            if getattr(about, key):
                table.add_row(f"[dim]  {key}[/]", f"[dim]{escape(getattr(about, key))}[/]")
        table.add_row()
    console.print(table, highlight=False)
    console.print("Check the files:  [bold]vad datasets check NAME --root DIR[/]", highlight=False)
    console.print("Train on it:      [bold]vad train --set data.dataset=NAME --set data.root=DIR[/]", highlight=False)


def _print_inventory(inventory, name, about, root, shown, console):
    def say(text, **style):
        console.print(text, highlight=False, soft_wrap=True, **style)

    say(f"[bold]{name}[/]  {escape(about.title)}{f'  [dim]{escape(about.paper)}[/]' if about.paper else ''}\n")
    for names, path in inventory.lists:
        where = f"[dim]{escape(str(path))}[/]" if path else "not found; it comes with the dataset: see vad datasets"
        say(f"{_mark(path)} {escape(' or '.join(names) if not path else path.name)}  {where}")
    if not inventory.rows:
        return
    _print_counts(inventory.rows, console)
    say(f"{_mark(True)} no video is listed twice or in both parts")
    missing = [text.removesuffix(f" is not under {root}") for text in inventory.missing]
    unusable = [_in_short(text, inventory.lists) for text in inventory.unusable]
    cut = [_in_short(text, inventory.lists) for text in inventory.cut]
    _print_some(say, "✗", missing, f"missing under {escape(root)}", shown)
    _print_some(say, "✗", unusable, "with labels that do not fit the video or its frame rate", shown)
    _print_some(say, "!", cut, "with labels that end shortly after the video; vad prepare cuts them", shown)
    num_unmeasured = inventory.num_unmeasured
    fits = f"{inventory.num_measured:,} videos compared with the length of their labels"
    say(f"{_mark(not unusable)} {fits}{f', {num_unmeasured:,} of unknown length' if num_unmeasured else ''}")
    unreadable, cut_off = inventory.unreadable, inventory.cut_off
    _print_some(say, "✗", unreadable, "unreadable, skipped by vad prepare", shown)
    _print_some(say, "✗", cut_off, "cut off; vad prepare uses what is left", shown)
    opened = f"{inventory.num_opened:,} videos opened"
    if unreadable:
        opened = f"{inventory.num_opened:,} of {counted(inventory.num_opened + len(unreadable), 'video')} opened"
    say(f"{_mark(not unreadable)} {opened}")
    if inventory.untrainable:
        say(f"{_mark(False)} {escape(inventory.untrainable)}")
    if inventory.is_complete:
        say("\n[green]complete[/]")
    else:
        short = sum(row.official - row.there for row in inventory.rows if row.depth == 0 and row.official)
        say("\n[yellow]not complete[/]" + (f": {short:,} videos fewer than the official count" if short > 0 else ""))


def _print_counts(rows, console):
    official = any(row.official is not None for row in rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in ("", "listed", "there", *(["official"] if official else [])):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for row in rows:
        expected = row.listed if row.official is None else row.official
        style = ("bold", "", "dim")[row.depth]
        there = f"{row.there:,}" if row.there == expected else f"[yellow]{row.there:,}[/]"
        published = ["" if row.official is None else f"{row.official:,}"] if official else []
        table.add_row("  " * row.depth + escape(row.name), f"{row.listed:,}", there, *published, style=style)
    console.print(table)


def _print_some(say, sign, texts, what, shown):
    if not texts:
        return
    colour = "red" if sign == "✗" else "yellow"
    say(f"[{colour}]{sign}[/] {counted(len(texts), 'video')} {what}:")
    for text in texts[:shown]:
        say(f"    [dim]{escape(text)}[/]")
    if shown is not None and len(texts) > shown:
        say(f"    [dim]and {len(texts) - shown:,} more (--all lists them)[/]")


def _in_short(text, lists):
    """Return the first sentence, with the names of the lists in place of their paths."""
    for _, path in lists:
        text = text.replace(f"{path.parent}/", "")
    return text.partition(". ")[0]


def _mark(there):
    return "[green]✓[/]" if there else "[red]✗[/]"
