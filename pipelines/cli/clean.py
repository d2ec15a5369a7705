"""Remove files of a run that its stages can make again (``vad clean``)."""

import json
import shutil
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pipelines.cli.options import FLAG
from pipelines.config import UserError
from pipelines.run.disk import format_bytes, size_of
from pipelines.run.files import TEMPORARY
from pipelines.run.folder import RunFolder
from pipelines.run.lock import run_lock


def clean(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run (work_dir).", show_default=False)],
    records: Annotated[
        bool,
        typer.Option(
            "--records", metavar=FLAG, help="Also remove clips/ and nodes/. The videos or features must still exist."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", metavar=FLAG, help="Only list what would be removed.")] = False,
):
    """Remove what the stages of a run can make again: maps/, by far the largest part.

    Models, reports, scores and logs stay. The next vad train-extractor computes the maps again when it needs them.
    """
    folder, console = RunFolder(run), Console()
    _refuse_other_folders(folder)
    with run_lock(folder.path):
        freed = 0
        for path, source in _removable(folder, records):
            if path.is_symlink():
                console.print(f"left {escape(str(path))}: it is a link", highlight=False, soft_wrap=True)
                continue
            size = size_of(path)
            freed += size
            if not dry_run:
                _remove(path)
            verb, text = "would remove" if dry_run else "removed", f"{escape(str(path))}, {format_bytes(size)}"
            console.print(f"{verb} {text}  [dim]{source}[/]", highlight=False, soft_wrap=True)
    console.print(f"{format_bytes(freed)} {'would be freed' if dry_run else 'freed'}", highlight=False)


def _refuse_other_folders(folder):
    try:
        settings = json.loads(folder.config.read_text(encoding="utf-8"))
        is_run = isinstance(settings, dict) and {"work_dir", "train_detector"} <= settings.keys()
    except (OSError, ValueError):
        is_run = False
    if not is_run:
        raise UserError(
            f"{folder.path} is no run: it holds no config.json of `vad`. Give the work_dir of a run, such as runs/demo."
        )


def _removable(folder, records):
    """Return pairs of a path and a text that says where it comes from."""
    found = [(folder.maps, "`vad train-extractor` makes it again if it needs it")]
    if records:
        found += [(folder.clips, "`vad prepare` makes it again")]
        found += [(folder.nodes, "`vad extract` or `vad import-features` makes it again")]
        nodes = [RunFolder(path).nodes for path in sorted(folder.folds.glob("*/*"))]
        found += [(path, "the same `vad repeat`, `vad compare` or `vad ablate` makes it again") for path in nodes]
    leftovers = [(path, "left by a command that was killed") for path in sorted(folder.path.rglob(f"{TEMPORARY}*"))]
    found = [(path, text) for path, text in found if path.exists()]
    return [*((path, text) for path, text in leftovers if not any(map(path.is_relative_to, dict(found)))), *found]


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
