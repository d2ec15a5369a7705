"""Show the curves and pictures of a run in TensorBoard (``vad tensorboard``)."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

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
    sys.stdout.flush()
    os.execv(sys.executable, command(run, port, host))


def command(run, port, host):
    """Return the command line of TensorBoard.

    Raises:
        UserError: No training has written into the folder.
    """
    if next(Path(run).rglob("*.tfevents.*"), None) is None:
        raise UserError(f"there are no logs of a training in {run}. Give the work_dir of a run, such as runs/demo.")
    where = ["--logdir", os.path.abspath(run), "--host", host, "--port", str(port)]
    return [sys.executable, "-m", "tensorboard.main", *where, "--window_title", f"vad: {Path(run).name}"]
