"""Tables of metrics, for the terminal and for Markdown."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

MISSING = "–"


def format_mean_sd(values, decimals=3, factor=1.0):
    """Format mean ± sample standard deviation over runs; the value alone for a single run.

    Args:
        values: One number, or one per run; NaN and None are ignored.
        decimals: Digits after the point.
        factor: 100 turns shares into percent.

    Example:
    >>> format_mean_sd([0.60, 0.62, 0.64]), format_mean_sd(0.5), format_mean_sd([0.81, 0.83], 1, 100)
    ('0.620 ± 0.020', '0.500', '82.0 ± 1.4')
    """
    numbers = np.array([math.nan if value is None else value for value in np.atleast_1d(values)], float) * factor
    numbers = numbers[~np.isnan(numbers)]
    if not numbers.size:
        return MISSING
    if numbers.size == 1:
        return f"{numbers[0]:.{decimals}f}"
    return f"{numbers.mean():.{decimals}f} ± {numbers.std(ddof=1):.{decimals}f}"


def format_interval(low, high, decimals=3):
    """Format an interval; a dash when there is none.

    Example:
    >>> format_interval(-0.0448, 0.0196), format_interval(float("nan"), float("nan"))
    ('−0.045 to 0.020', '–')
    """
    return MISSING if math.isnan(low) else f"{_signed(low, decimals)} to {_signed(high, decimals)}"


def format_difference(value, decimals=3):
    """Format a difference with its sign.

    Example:
    >>> format_difference(-0.0168), format_difference(0.027)
    ('−0.017', '+0.027')
    """
    return MISSING if math.isnan(value) else _signed(value, decimals, "+")


def _signed(value, decimals, sign=""):
    """With a true minus sign, and none before 0."""
    return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}".replace("-", "−")


def format_cell(value, decimals=3):
    """Format a cell: text as it is, integers with thousands separators, numbers and lists of them as mean ± sd."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value) if isinstance(value, bool) else format_mean_sd(value, decimals)


def markdown_table(rows: Sequence[Mapping], columns: Sequence[str] | Mapping[str, str], decimals=3) -> str:
    """Return an aligned Markdown table; numbers are right-aligned.

    Args:
        rows: One mapping per row; a missing key gives a dash, a list of numbers its mean ± sd.
        columns: Keys in order, or key -> heading.
        decimals: Digits after the point.

    Example:
    >>> rows = [{"model": "ours", "auc": [0.6, 0.7]}, {"model": "chance"}]
    >>> print(markdown_table(rows, {"model": "Model", "auc": "AUC"}))
    | Model  |           AUC |
    | :----- | ------------: |
    | ours   | 0.650 ± 0.071 |
    | chance |             – |
    """
    headings, cells, right = table_cells(rows, columns, decimals)
    lines = [[cell.replace("|", "\\|") for cell in line] for line in [headings, *cells]]
    widths = [max(3, *(len(line[index]) for line in lines)) for index in range(len(headings))]
    rule = [
        "-" * (width - 1) + ":" if is_right else ":" + "-" * (width - 1)
        for width, is_right in zip(widths, right, strict=True)
    ]

    def joined(line):
        padded = [
            text.rjust(width) if end else text.ljust(width)
            for text, width, end in zip(line, widths, right, strict=True)
        ]
        return "| " + " | ".join(padded) + " |"

    return "\n".join(joined(line) for line in [lines[0], rule, *lines[1:]])


def print_table(
    rows: Sequence[Mapping],
    columns: Sequence[str] | Mapping[str, str],
    title: str = "",
    decimals: int = 3,
    console: Console | None = None,
):
    """Print the same table on a terminal.

    Args:
        rows: As for ``markdown_table``.
        columns: As for ``markdown_table``.
        title: Title above the table, on a line of its own.
        decimals: Digits after the point.
        console: Where to print; standard output by default.
    """
    headings, cells, right = table_cells(rows, columns, decimals)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading, is_right in zip(headings, right, strict=True):
        table.add_column(escape(heading), justify="right" if is_right else "left", overflow="fold")
    for line in cells:
        table.add_row(*map(escape, line))
    console = console or Console()
    if title:  # not that of ``Table``, which is wrapped to the width of a narrow table
        console.print(escape(title), style="italic", highlight=False)
    console.print(table)


def table_cells(rows, columns, decimals=3):
    """Return the headings, the texts of all cells, and which columns are right-aligned."""
    headings = dict(columns) if isinstance(columns, Mapping) else {key: key for key in columns}
    cells = [[format_cell(row.get(key), decimals) for key in headings] for row in rows]
    right = [not any(isinstance(row.get(key), str) for row in rows) for key in headings]
    return list(headings.values()), cells, right
