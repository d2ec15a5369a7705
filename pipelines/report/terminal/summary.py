"""Summary of a stage: what it did and skipped, on the terminal and in ``summaries/<stage>.json``."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipelines.report.terminal.progress import format_duration
from pipelines.run.files import write_text
from pipelines.run.folder import RunFolder

MAX_SHOWN_SKIPPED = 10


def counted(number, noun):
    """Return a number and its noun.

    Example:

    >>> counted(1, "video"), counted(1542, "snippet")
    ('1 video', '1,542 snippets')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text):
    """Return a text, such as a file's name, without what a terminal or UTF-8 cannot take: it is shown as an escape.

    Example:

    >>> print(printable("a\\x1b[2J.mp4"), printable("caf\\udce9.mp4"), printable("été.mp4"))
    a\\x1b[2J.mp4 caf\\udce9.mp4 été.mp4
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))


def write_summary(
    config,
    stage: str,
    done: str,
    skipped: Sequence[tuple[str, str]] = (),
    output: str | Path | None = None,
    seconds: float | None = None,
    console: Console | None = None,
) -> Path:
    """Print and store the summary of a stage.

    Args:
        config: ``Config`` of the run; only ``work_dir`` is used.
        stage: Name of the stage, such as ``"prepare"``.
        done: What the stage did, in words: ``"73 videos, 1,542 snippets"``.
        skipped: Pairs of an input and the reason why it was skipped. With any of them the command exits with 1.
        output: Path of the result.
        seconds: Duration.
        console: Where to print; standard output by default.

    Returns:
        Path of the written JSON file.
    """
    skipped = [{"input": printable(name), "reason": printable(reason)} for name, reason in skipped]
    summary = {
        "stage": stage,
        "done": printable(done),
        "skipped": skipped,
        "output": None if output is None else Path(output).as_posix(),
        "seconds": None if seconds is None else round(float(seconds), 3),
    }
    path = RunFolder.of(config).summaries / f"{stage}.json"
    write_text(path, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    print_summary(summary, console or Console())
    return path


def print_summary(summary, console):
    """Print the summary of a stage in a few lines."""
    text = f"[green]✓[/] [bold]{escape(summary['stage'])}[/]  {escape(summary['done'])}"
    if summary["seconds"] is not None:
        text += f"  [dim]in {format_duration(summary['seconds'])}[/]"
    if summary["output"]:
        output = f"  [dim]→ {escape(summary['output'])}[/]"
        text += output if Text.from_markup(text + output).cell_len <= console.width else "\n" + output
    console.print(text, highlight=False, soft_wrap=True)
    skipped = summary["skipped"]
    if not skipped:
        return
    console.print(f"  [yellow]skipped {len(skipped)}:[/]", highlight=False)
    for entry in skipped[:MAX_SHOWN_SKIPPED]:
        line = f"    {escape(entry['input'])}: [dim]{escape(entry['reason'])}[/]"
        console.print(line, highlight=False, soft_wrap=True)
    if len(skipped) > MAX_SHOWN_SKIPPED:
        more = len(skipped) - MAX_SHOWN_SKIPPED
        console.print(f"    and {more} more; the full list is in the JSON file of the summary", highlight=False)


def summary_stamps(config) -> dict:
    """Return what changes when a summary is written, for ``read_summaries``. Clocks of network drives may differ."""
    stats = {path: path.stat() for path in RunFolder.of(config).summaries.glob("*.json")}
    return {path: (stat.st_mtime_ns, stat.st_ino) for path, stat in stats.items()}


def read_summaries(config, before=None) -> list[dict]:
    """Return the summaries written since ``before``, a result of ``summary_stamps``, oldest first; all without it."""
    stamps = summary_stamps(config)
    paths = sorted((stamp, path) for path, stamp in stamps.items() if stamp != (before or {}).get(path))
    return [json.loads(path.read_text(encoding="utf-8")) for _, path in paths]


def print_closing_table(summaries, console):
    """Print one row per stage: what it did, what it skipped, how long it took."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("stage", no_wrap=True)
    table.add_column("done", ratio=1)
    table.add_column("skipped", justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    for summary in summaries:
        skipped = len(summary["skipped"])
        seconds = summary["seconds"]
        table.add_row(
            escape(summary["stage"]),
            escape(summary["done"]),
            f"[yellow]{skipped}[/]" if skipped else "[dim]0[/]",
            "" if seconds is None else format_duration(seconds),
        )
    console.print(table)
