"""Failures of the machine and of one input: what a person is told, and whether the other inputs can go on."""

import errno
import os
import re

from pipelines.config import UserError
from pipelines.run.files import TEMPORARY

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NO_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
GONE = (errno.ENOENT, errno.ESTALE)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
READ_FROM_TEXT = (*DISK_FULL, *NO_RIGHTS, *GONE, *TOO_MANY_FILES, errno.EIO)  # of libraries that drop the number
OF_ONE_INPUT = (errno.ENOMEM, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
AGAIN = "then run the same command again: finished work is kept."
MAX_REASON = 300


class MachineError(Exception):
    """The machine stopped a command, not a setting or an input. The command prints its text and exits with 3."""


def machine_error(error):
    """Return an exception as a ``MachineError`` that says what, which file and the way out; None for any other cause.

    Args:
        error: An exception of Python, TensorFlow, h5py, JAX or PyTorch.

    Example:
    >>> print(machine_error(OSError(errno.ENOSPC, "No space left on device", "runs/a")))
    no space is left on the disk to write runs/a. Free some, then run the same command again: finished work is kept.
    >>> machine_error(ValueError("a bug"))
    """
    if isinstance(error, MachineError):
        return error
    number = _number(error)
    return None if number is None else MachineError(_text(number, _file(error, number)))


def reason_of(error):
    """Return in one line why one input failed. The others can go on.

    Args:
        error: The exception.

    Raises:
        Exception: The error itself, when it would stop every other input too: a full disk, a wrong setting.
    """
    if isinstance(error, UserError | MachineError):
        raise error
    number = _number(error)
    if number is not None and number not in OF_ONE_INPUT:
        raise error
    return describe(error)


def describe(error):
    """Return an exception in one line.

    Example:
    >>> describe(MemoryError()), describe(ValueError("no such shape\\nmore"))
    ('out of memory', 'ValueError: no such shape')
    """
    number = _number(error)
    if number == errno.ENOMEM:
        return "out of memory"
    if number is not None:
        return os.strerror(number).lower()
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' if lines else ''}{lines[0] if lines else ''}"[:MAX_REASON]


def _number(error):
    """Return the ``errno`` of a failure of the machine, else None."""
    name, text = type(error).__name__, str(error)
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        return error.errno
    if isinstance(error, OSError | RuntimeError) or type(error).__module__.startswith("tensorflow."):
        found = next((number for number in READ_FROM_TEXT if os.strerror(number) in text), None)
        if found is not None:
            return found
    exhausted = name in ("ResourceExhaustedError", "OutOfMemoryError") or text.startswith("RESOURCE_EXHAUSTED")
    return errno.ENOMEM if exhausted or isinstance(error, MemoryError) else None


def _file(error, number):
    """Return the file of a failure, ``""`` when it is unknown. TensorFlow writes ``path; what went wrong``."""
    name = getattr(error, "filename", None)
    if name is None:
        found = re.search(rf"(?:^|}}}} ?)([^;{{}}\n]+); {re.escape(os.strerror(number))}", str(error))
        name = found[1] if found else ""
    name = os.fsdecode(name) if isinstance(name, str | bytes) else ""
    return re.sub(rf"(^|/){re.escape(TEMPORARY)}([^/]*)$", r"\1\2", name)


def _text(number, file):
    what = file or "a file"
    if number in DISK_FULL:
        return f"no space is left on the disk to write {what}. Free some, {AGAIN}"
    if number in NO_RIGHTS:
        reason = "the file system is read-only" if number == errno.EROFS else "permission denied"
        return f"{what} cannot be used: {reason}. Change its rights or choose another folder, {AGAIN}"
    if number in GONE:
        return f"{what} does not exist (any more). Put it back, {AGAIN}"
    if number in TOO_MANY_FILES:
        return f"too many files are open. Raise the limit, such as `ulimit -n 4096`, {AGAIN}"
    if number == errno.ENOMEM:
        smaller = "train_detector.batch_size, train_extractor.batch_size, data.workers"
        return f"out of memory. Close other programs or lower a setting ({smaller}), {AGAIN}"
    if number == errno.EPIPE:
        return f"the output was closed before the end. Keep it open, {AGAIN}"
    return f"{what}: {os.strerror(number).lower()}. Check the path and its disk, {AGAIN}"
