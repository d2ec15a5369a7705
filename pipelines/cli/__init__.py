"""The command `vad`."""

import sys
import traceback

from pipelines.run.restart import EXIT_INTERRUPTED, restart_after_crash

EXIT_DONE = 0
EXIT_SKIPPED = 1
EXIT_USER_ERROR = 2
EXIT_MACHINE_ERROR = 3
EXIT_BUG = 4
LIVE_PACKAGES = ("fastapi", "prometheus_client", "sse_starlette", "tomlkit", "uvicorn")
RESTARTED = ("demo", "train", "train-extractor", "train-detector")

__all__ = [
    "EXIT_BUG",
    "EXIT_DONE",
    "EXIT_INTERRUPTED",
    "EXIT_MACHINE_ERROR",
    "EXIT_SKIPPED",
    "EXIT_USER_ERROR",
    "main",
]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    Without the packages of the extra ``pipelines``, print one line that says how to install them. A command that trains
    is restarted once after a crash inside a library.

    Args:
        arguments: Words after ``vad``; those of the process by default.
    """
    if arguments is not None:
        return _run(arguments)
    if "".join(sys.argv[1:2]).replace("_", "-") in RESTARTED:
        return restart_after_crash(lambda: _run(sys.argv[1:], is_command=True))
    return _run(sys.argv[1:], is_command=True)


def _run(arguments, is_command=False):
    try:
        from pipelines.cli.app import main as run

        if is_command:
            from pipelines.run.workers import leave_out_wrappers

            leave_out_wrappers()
        return run(arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "pipelines", "vad_keras") or package in sys.stdlib_module_names:
            traceback.print_exc()
            return EXIT_BUG
        extra = "live" if package in LIVE_PACKAGES else package if package in ("jax", "torch") else "pipelines"
        print(
            f"error: `vad` needs the extra `{extra}` ({package} is not installed): pip install 'vad-keras[{extra}]'",
            file=sys.stderr,
        )
        return EXIT_USER_ERROR
