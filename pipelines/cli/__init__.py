"""The command `vad`."""

import sys
import traceback

EXIT_USER_ERROR, EXIT_BUG = 2, 4

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    Without the packages of the extra ``pipelines``, print one line that says how to install them.

    Args:
        arguments: Words after ``vad``; those of the process by default.
    """
    try:
        from pipelines.cli.app import main as run

        return run(arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "pipelines", "vad_keras") or package in sys.stdlib_module_names:
            traceback.print_exc()
            return EXIT_BUG
        extra = package if package in ("jax", "torch") else "pipelines"
        print(
            f"error: `vad` needs the extra `{extra}` ({package} is not installed): pip install 'vad-keras[{extra}]'",
            file=sys.stderr,
        )
        return EXIT_USER_ERROR
