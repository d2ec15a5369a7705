"""Files that appear whole or not at all, JSON without NaN, and fingerprints."""

import contextlib
import errno
import hashlib
import json
import math
import os
from pathlib import Path

QUICK_BYTES = 1 << 16  # at each end of a file
TEMPORARY = ".tmp-"  # how the name of a file begins that is not whole yet; a killed command leaves it


@contextlib.contextmanager
def replacing(path):
    """Yield a temporary path beside ``path``; when the block ends, the file there replaces ``path`` in one step.

    A reader never sees half a file, whether the process is killed or the power fails: the content is flushed to the
    disk before it gets its name. When the block raises, ``path`` stays as it was and the temporary file is removed, and
    an ``OSError`` that names no file names ``path``.

    Args:
        path: The file to write. Missing folders are created. The temporary name starts with a dot and keeps the suffix.

    Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scores" / "door.csv"
    >>> with replacing(path) as temporary:
    ...     _ = temporary.write_text("frame,score")
    >>> path.read_text()
    'frame,score'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a read-only file system refuses this, too
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    _flush(path.parent)


def _flush(path):
    """Flush a file, or the names in a folder, to the disk, where the file system can.

    Raises:
        OSError: The content did not reach the disk, for example because it is full.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def write_text(path, text):
    """Write a text file in one step and return its path."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path, content):
    """Write a JSON file in one step and return its path.

    A number that does not exist (NaN, such as the AUC of videos with a single label) becomes null: JSON has no NaN.
    """
    return write_text(path, json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n")


def _without_nan(content):
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def quick_hash(path):
    """Return a hash of the size, the head and the tail of a file, ``""`` if it is none.

    Size and time alone do not tell two recordings apart: cameras write files of a fixed size, and copies keep the time.
    """
    path = Path(path)
    if not path.is_file():
        return ""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(QUICK_BYTES)
        file.seek(max(size - QUICK_BYTES, 0))
        return fingerprint(size, head, file.read(QUICK_BYTES))


def content_hash(path):
    """Return the SHA-256 of all bytes of a file.

    All of them, because two recordings of a still scene may have the same size, time, head and tail. Reading is much
    faster than decoding.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*facts):
    """Return 16 hexadecimal digits that change with any of the facts.

    Args:
        facts: Bytes-like objects, hashed as they are, and anything JSON can hold.

    Example:
    >>> fingerprint({"seed": 0}) == fingerprint({"seed": 0}), fingerprint(b"a") == fingerprint(b"b")
    (True, False)
    """
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(fact if isinstance(fact, bytes | bytearray | memoryview) else json.dumps(fact).encode())
    return digest.hexdigest()[:16]
