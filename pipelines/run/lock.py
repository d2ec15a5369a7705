"""A lock on a run's folder: one command at a time may modify it."""

import contextlib
import fcntl
import os

from pipelines.config import UserError

LOCK_NAME = ".lock"


@contextlib.contextmanager
def run_lock(folder):
    """Hold the lock of a run's folder while the block runs. The lock is released however the process ends.

    Args:
        folder: ``Path``, created if it does not exist. On a file system without locks the block runs unprotected.

    Raises:
        UserError: Another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK_NAME, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"another command (process {file.read().strip() or 'unknown'}) is using {folder}. Wait for it to "
                "finish, or use another folder: --set work_dir=FOLDER"
            ) from None
        except OSError:
            pass
        with contextlib.suppress(OSError):  # a full disk; the number is only for the error above
            os.truncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield
