"""Disk space: what a stage will write is compared with what is free before it starts."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from pipelines.run.failures import MachineError


def format_bytes(number):
    """Format a number of bytes in decimal units.

    Example:
    >>> format_bytes(820), format_bytes(7_600_000), format_bytes(41e9)
    ('820 bytes', '7.6 MB', '41.0 GB')
    """
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number:,.0f} bytes"


def check_space(folder, needed_bytes, what, remedy):
    """Compare the space that files will take with the free space of their disk.

    Args:
        folder: Folder of the files; it need not exist yet.
        needed_bytes: Size of the files, or an estimate.
        what: The files, such as ``"clips/"``.
        remedy: What needs less space, a sentence.

    Returns:
        Both sizes, as text.

    Raises:
        MachineError: The files do not fit.
    """
    folder = Path(folder).absolute()
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    if needed_bytes > free:
        raise MachineError(
            f"{what} in {folder} needs about {format_bytes(needed_bytes)}, but {format_bytes(free)} are free. Make "
            "room (`vad clean RUN` removes what can be made again), set `work_dir` to another disk, or write less: "
            f"{remedy}"
        )
    return f"{what} needs about {format_bytes(needed_bytes)}; {format_bytes(free)} are free"


def check_room(path, needed_bytes):
    """Take the space of a file that a library will write, and give it back.

    HDF5 prints tracebacks of its own when a disk is full, and goes on.

    Args:
        path: The file, which is left empty.
        needed_bytes: Its size, or an estimate.

    Raises:
        OSError: There is no room, or such a file is not allowed.
    """
    with open(path, "wb") as file, _where_possible():
        os.posix_fallocate(file.fileno(), 0, max(1, needed_bytes))
        file.truncate(0)


@contextlib.contextmanager
def _where_possible():
    """Ignore that a file system or a system cannot reserve space."""
    try:
        yield
    except AttributeError:
        pass
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def size_of(path):
    """Return the space that a file, or all files in a folder, take on the disk; a link takes none."""
    path = Path(path)
    if path.is_symlink() or not path.exists():
        return 0
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_blocks * 512 for file in files)
