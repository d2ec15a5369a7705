"""Folders of an exported model: ``<root>/<name>/<integer version>/``, as TensorFlow Serving polls them."""

import os
import platform
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.config import UserError

SAVED_MODEL_FILE = "saved_model.pb"
DRAFT = f".export-{platform.node()}-"


def versions(model_folder):
    """Return the version numbers in a model's folder, oldest first.

    Args:
        model_folder: ``<root>/<name>``; need not exist.
    """
    folder = Path(model_folder)
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.is_dir() and entry.name.isdecimal())


def version_folder(path):
    """Return the folder to load: ``path`` if it is a version, the newest version if it is a model's folder.

    Raises:
        UserError: There is no model at ``path``.
    """
    path = Path(path)
    if (path / SAVED_MODEL_FILE).is_file():
        return path
    numbers = [number for number in versions(path) if (path / str(number) / SAVED_MODEL_FILE).is_file()]
    if numbers:
        return path / str(numbers[-1])
    reason = "holds no exported model (no numbered folder with saved_model.pb)" if path.is_dir() else "does not exist"
    raise UserError(f"the model folder {path} {reason}. Run `vad export` first, or set `score.model`.")


@contextmanager
def new_version(model_folder):
    """Yield a temporary folder to write into; it becomes the next version when the block succeeds.

    TensorFlow Serving reads a version the moment its folder appears: it appears complete, by one rename, or not at all.
    No version is ever overwritten, even when two exports end at the same time. A block that fails leaves no new folder,
    and what an export left that was killed on this machine is removed.

    Yields:
        A dict: ``"folder"`` to write into; after the block ``"version_folder"`` holds the final path.
    """
    model_folder = Path(model_folder)
    created = [path for path in (model_folder, *model_folder.parents) if not path.exists()]
    model_folder.mkdir(parents=True, exist_ok=True)
    _remove_left(model_folder)
    draft = {"folder": Path(tempfile.mkdtemp(prefix=f"{DRAFT}{os.getpid()}-", dir=model_folder))}
    draft["folder"].chmod(0o755)
    try:
        yield draft
        draft["version_folder"] = _publish(draft["folder"], model_folder)
    finally:
        shutil.rmtree(draft["folder"], ignore_errors=True)
        with suppress(OSError):  # those with content stay
            for path in created:
                path.rmdir()


def _remove_left(model_folder):
    """Remove the drafts of processes that have ended."""
    for folder in model_folder.glob(f"{DRAFT}*"):
        number = folder.name.removeprefix(DRAFT).partition("-")[0]
        if number.isdecimal() and not _is_alive(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _publish(folder, model_folder):
    while True:
        target = model_folder / str(max(versions(model_folder), default=0) + 1)
        try:
            os.rename(folder, target)
            return target
        except OSError:
            if not target.exists():
                raise
