"""Processes: that work for another one, and that must not work in one folder at a time."""

import contextlib
import fcntl
import multiprocessing
import os
import threading

from pipelines.config import UserError

LOCK_NAME = ".lock"


def exit_with_parent():
    """End this process, whatever it is doing, as soon as the one that started it has ended, even by SIGKILL."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


@contextlib.contextmanager
def only_one_in(folder):
    """Keeps other commands out of a run's folder while the block runs; however the process ends, its hold ends too.

    Args:
        folder: `Path`, made if it is not there. On a file system without locks nobody is kept out.

    Raises:
        UserError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK_NAME, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"another command (process {file.read().strip() or 'unknown'}) is at work in {folder}. Wait for its "
                "end, or give this one a folder of its own: --set work_dir=FOLDER"
            ) from None
        except OSError:
            pass
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
