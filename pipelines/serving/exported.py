"""``export.json`` in a run's folder: which model the run exported, so that no other model scores for it."""

import json
import os
from pathlib import Path

from pipelines.config import UserError
from pipelines.run.files import write_json
from pipelines.serving.model_info import version_hash


def remember_export(run, folder):
    """Write which version a run exported.

    The path is kept relative to the run's folder: both may be moved together, and the current folder does not matter.

    Args:
        run: ``RunFolder``.
        folder: Folder of the version.
    """
    folder = Path(folder)
    content = {"name": folder.parent.name, "version": folder.name, "sha256": version_hash(folder)}
    content["folder"] = Path(os.path.relpath(folder.resolve(), run.path.resolve())).as_posix()
    write_json(run.exported, content)


def exported_model(run):
    """Return the folder of the version that a run exported.

    Args:
        run: ``RunFolder``.

    Raises:
        UserError: The run exported nothing, or its version is gone or was replaced by another model.
    """
    way_out = "Run `vad export` with the --config and --set of its training, or choose a model with --model."
    try:
        held = json.loads(run.exported.read_text(encoding="utf-8"))
        folder = Path(os.path.normpath(run.path.resolve() / held["folder"]))
        expected = held["sha256"]
    except FileNotFoundError:
        raise UserError(f"the run {run.path} has exported no model. {way_out}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{run.exported} cannot be used. {way_out}") from None
    if not folder.is_dir():
        raise UserError(f"the model that {run.path} exported is not at {folder} any more. {way_out}")
    if version_hash(folder) != expected:
        raise UserError(f"{folder} holds another model than {run.path} exported. {way_out}")
    return folder
