"""Show the curves and pictures of a run in TensorBoard (``vad tensorboard``)."""

import os
import sys
import types
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import EXIT_DONE, EXIT_USER_ERROR
from pipelines.config import UserError


def tensorboard(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder of a run (work_dir), or of several runs.", show_default=False)
    ],
    port: Annotated[int, typer.Option(metavar="PORT", help="Port of the page.", min=0, max=65535)] = 6006,
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on.")] = "localhost",
):
    """Show curves, pictures and settings of a run in the browser.

    Starts TensorBoard on the logs of all trainings in the folder, those of vad repeat, compare and ablate included.
    It may run while a training writes. Press Ctrl+C to end it.
    """
    arguments = options(run, port, host)
    # With this module, TensorBoard reads the files by itself: it starts in two seconds and not with TensorFlow in ten.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    from tensorboard import default, program

    server = program.TensorBoard(plugins=default.get_plugins())
    server.configure(["tensorboard", *arguments])
    return EXIT_USER_ERROR if server.main() else EXIT_DONE  # it says why, such as a port in use


def options(run, port, host):
    """Return the options of TensorBoard.

    Raises:
        UserError: No training has written into the folder.
    """
    if next(Path(run).rglob("*.tfevents.*"), None) is None:
        raise UserError(f"there are no logs of a training in {run}. Give the work_dir of a run, such as runs/demo.")
    where = ["--logdir", os.path.abspath(run), "--host", host, "--port", str(port)]
    return [*where, "--window_title", f"vad: {Path(run).name}"]
