"""How the command reports an error, in one line on standard error, and with which exit status."""

import errno
import os
import sys
import traceback

import typer
from rich.console import Console
from rich.markup import escape

from pipelines.cli import EXIT_BUG, EXIT_DONE, EXIT_INTERRUPTED, EXIT_MACHINE_ERROR, EXIT_USER_ERROR
from pipelines.config import UserError
from pipelines.report.terminal.summary import printable
from pipelines.run.failures import machine_error

# Options of earlier versions, and the commands that do the same now.
MOVED_OPTIONS = {f"vad evaluate --{name}": f"vad repeat --{name} N" for name in ("folds", "seeds", "jobs")}
MOVED_OPTIONS["vad evaluate --runs"] = "vad report RUN ..."


def report_error(error) -> int:
    """Print what ended a command, and return its exit status. Only an error of the program itself has a traceback.

    Args:
        error: The exception.
    """
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return EXIT_INTERRUPTED
    if isinstance(error, SystemExit) and not error.code:  # the completion of a shell
        return EXIT_DONE
    if isinstance(error, SystemExit):  # Rich ends the program when nobody reads its output any more
        error = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    if isinstance(error, UserError | typer.TyperException):
        print_error(str(error) if isinstance(error, UserError) else usage_error(error))
        return EXIT_USER_ERROR
    failure = machine_error(error)
    if failure:
        _drop_output()
        print_error(str(failure))
        return EXIT_MACHINE_ERROR
    traceback.print_exception(error)
    print_error("this is a bug of vad: please report it with the lines above.")
    return EXIT_BUG


def usage_error(error) -> str:
    """Return the text of an error in the command line, a ``typer.TyperException``, with the help to look at."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "vad"
    moved = MOVED_OPTIONS.get(f"{command} {getattr(error, 'option_name', '')}")
    if moved:
        return f"`{command} {error.option_name}` is now `{moved}`."
    text, possible = error.format_message(), getattr(error, "possibilities", None)
    if possible and getattr(error, "option_name", None):
        text = f"no such option {error.option_name}. Did you mean {possible[0]}?"
    return f"{text[:1].lower()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'} See `{command} --help`."


def print_error(text):
    """Print an error to standard error, in one line."""
    text = "\n".join(map(printable, text.split("\n")))
    Console(stderr=True).print(f"[bold red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)


def _drop_output():
    """If nothing can be printed any more, let the end of the program try no further: its status would change."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
