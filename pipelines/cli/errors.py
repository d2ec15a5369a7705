"""How the command reports a user's mistake: one line on standard error."""

from rich.console import Console
from rich.markup import escape

# Options of earlier versions, and the commands that do the same now.
MOVED_OPTIONS = {f"vad evaluate --{name}": f"vad repeat --{name} N" for name in ("folds", "seeds", "jobs")}
MOVED_OPTIONS["vad evaluate --runs"] = "vad report RUN ..."


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
    Console(stderr=True).print(f"[bold red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)
