"""Look at the machine and say what to do about each problem (``vad doctor``)."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import ConfigOption, SetOption, load_named
from pipelines.report.terminal.summary import printable
from pipelines.run.machine import MACHINE_ERROR, OK, USER_ERROR, WARNING, exit_status, run_checks

SHOWN = {
    OK: "[green]ok[/]",
    WARNING: "[yellow]warning[/]",
    USER_ERROR: "[bold red]error[/]",
    MACHINE_ERROR: "[bold red]error[/]",
}


def doctor(config: ConfigOption = None, overrides: SetOption = None):
    """Check the machine: packages, backends, GPU, decoder, weights, disk.

    Prints what it found and what to do about each problem. Exit status: 0, also with warnings; 2 if something can be
    fixed by an install or a setting; 3 if the machine lacks space, memory or rights.
    """
    loaded = load_named(config, overrides)
    with Console(stderr=True).status("Checking the machine"):  # shown in a terminal only
        checks = run_checks(loaded)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in ("", "check", "found", "what to do"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "")
    for check in checks:
        table.add_row(SHOWN[check.status], *(escape(printable(text)) for text in check[1:]))
    Console().print(table)
    return exit_status(checks)
