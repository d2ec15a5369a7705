"""A progress bar with rate and time left on a terminal, plain lines in a log file."""

import time
from collections.abc import Iterable, Iterator, Sized

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

LOG_INTERVAL_SEC = 10.0


class RateColumn(ProgressColumn):
    """Show ``12.3 videos/s``, or seconds per unit below one per second."""

    def render(self, task):
        return Text(format_rate(task.finished_speed or task.speed, task.fields["unit"]), style="cyan")


def format_rate(per_sec, unit):
    """Format a rate: ``12.3 videos/s``; below one per second ``4.0 s/video``; empty while unknown.

    Example:
    >>> format_rate(12.34, "videos"), format_rate(0.25, "videos"), format_rate(None, "videos")
    ('12.3 videos/s', '4.0 s/video', '')
    """
    if not per_sec:
        return ""
    if per_sec >= 1:
        return f"{per_sec:,.1f} {unit}/s"
    return f"{1 / per_sec:,.1f} s/{unit.removesuffix('s')}"


def format_duration(seconds):
    """Format a duration: ``8.3 s``, ``2 min 05 s`` or ``1 h 02 min``.

    Example:
    >>> format_duration(8.31), format_duration(125), format_duration(3725)
    ('8.3 s', '2 min 05 s', '1 h 02 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def track(
    iterable: Iterable, description: str, total: int | None = None, unit: str = "videos", console: Console | None = None
) -> Iterator:
    """Yield the items of ``iterable`` and show progress, rate and time left.

    Args:
        iterable: Items to process.
        description: Two or three words, such as ``"Extracting nodes"``.
        total: Number of items; by default ``len(iterable)``, if it has a length.
        unit: Name of the items, in the plural.
        console: Where to print; standard error by default, so that standard output stays clean.

    Example:
    >>> list(track([1, 2, 3], "Counting", unit="numbers"))
    [1, 2, 3]
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    console = console or Console(stderr=True)
    return (_show_bar if console.is_terminal else _print_lines)(iterable, description, total, unit, console)


def print_line(text):
    """Print a line to standard error, beside the progress of a stage."""
    _line(Console(stderr=True), text)


def _show_bar(iterable, description, total, unit, console):
    columns = [TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), RateColumn()]
    columns.append(TimeRemainingColumn(compact=True, elapsed_when_finished=True))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=total, unit=unit)
        for item in iterable:
            yield item
            progress.advance(task)
        progress.update(task, total=progress.tasks[0].completed)


def _print_lines(iterable, description, total, unit, console):
    start = last_print = time.monotonic()
    done = 0
    for item in iterable:
        yield item
        done += 1
        now = time.monotonic()
        if now - last_print >= LOG_INTERVAL_SEC:
            last_print = now
            rate = done / (now - start)
            left = f", {format_duration((total - done) / rate)} left" if total and total > done else ""
            count = f"{done:,} of {total:,}" if total else f"{done:,}"
            _line(console, f"{description}: {count} {_named(total or done, unit)}, {format_rate(rate, unit)}{left}")
    seconds = time.monotonic() - start
    _line(console, f"{description}: {done:,} {_named(done, unit)} in {format_duration(seconds)}")


def _named(number, unit):
    return unit.removesuffix("s") if number == 1 else unit


def _line(console, text):
    console.print(text, markup=False, highlight=False, soft_wrap=True)
