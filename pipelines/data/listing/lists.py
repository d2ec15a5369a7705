"""Read list and label files: text, CSV and arrays. An error names the file, the line and the fix."""

import contextlib
import csv
import re
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from pipelines.config import UserError

# What NumPy raises for a damaged file, depending on which byte is wrong.
UNREADABLE = (OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, MemoryError, OverflowError, RuntimeError)
UNREADABLE += (struct.error, zipfile.BadZipFile, zlib.error, tokenize.TokenError)


@dataclass(frozen=True)
class Line:
    """One line of a list.

    Args:
        path: The file.
        number: Line number, from 1.
        text: The line; of a list, without leading and trailing white space.
        values: ``{column: value}`` of a CSV file.
    """

    path: Path
    number: int
    text: str = ""
    values: dict = field(default_factory=dict)

    @property
    def where(self):
        """File and line, as errors start: ``"lists/labels.csv, line 3"``."""
        return f"{self.path}, line {self.number}"

    @property
    def location(self):
        """Line and name of the file, inside a sentence: ``"line 3 of labels.csv"``."""
        return f"line {self.number} of {self.path.name}"

    def get(self, column):
        """Return the value of a column, ``""`` when there is none."""
        return (self.values.get(column) or "").strip()

    @property
    def quotes_hint(self):
        """How to quote the name at the start of a CSV line if it seems to hold a comma, else ``""``."""
        found = re.match(r'([^"]*?[,;][^"]*?\.\w{2,5})[,;]', self.text)
        return f' A name that holds a comma needs quotes: `"{found[1]}"`.' if found else ""

    def error(self, text):
        """Return an error about this line."""
        return UserError(f"{self.where}: {text}")


def read_lines(path):
    """Read the non-empty lines of a text file: UTF-8 with or without a byte order mark, any line endings.

    Raises:
        UserError: The file does not exist, is empty or is not UTF-8.
    """
    lines = [Line(Path(path), number, text.strip()) for number, text in enumerate(_lines(path), 1)]
    lines = [line for line in lines if line.text]
    if not lines:
        raise UserError(f"{path} is empty. Copy it from the dataset again.")
    return lines


def read_csv(path, columns):
    """Read a CSV file with a header: UTF-8 with or without a byte order mark, any line endings, commas or semicolons.

    Raises:
        UserError: The file does not exist, cannot be read, lacks a column, or has a line with too many values.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist. Create it with the columns {','.join(columns)}.")
    lines = _lines(path)
    header = lines[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}. Correct the quotes of this line.") from None
    names = [name.strip().lower() for name in rows[0][1]] if rows else []
    absent = [column for column in columns if column not in names]
    if absent:
        raise UserError(
            f"{path}, line 1: column `{absent[0]}` is missing. "
            f"Expected: {','.join(columns)}. Received: `{header.strip()}`."
        )
    found = []
    for number, row in rows[1:]:
        line = Line(Path(path), number, lines[number - 1], dict(zip(names, row, strict=False)))
        if any(value.strip() for value in row[len(names) :]):
            hint = line.quotes_hint or ' A value that holds a comma needs quotes: `"a, b.mp4"`.'
            raise line.error(f"{len(row)} values for {len(names)} columns.{hint}")
        if any(value.strip() for value in row):
            found.append(line)
    return found


def read_arrays(path):
    """Read the arrays of an ``.npz`` file as ``{key: array}``; the key of an ``.npy`` file is its stem.

    Raises:
        UserError: The file cannot be read.
    """
    with _reading(path):
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {Path(path).stem: content}
        with content as archive:
            return {key: archive[key] for key in archive.files}


def read_keys(path):
    """Read the keys of an ``.npz`` file.

    Raises:
        UserError: The file cannot be read.
    """
    with _reading(path), open_archive(path) as archive:
        return list(archive.files)


def read_array(path, key):
    """Read one array of an ``.npz`` file.

    Raises:
        UserError: It cannot be read.
    """
    with _reading(f"{path}[{key}]"), open_archive(path) as archive:
        return archive[key]


def open_archive(path):
    """Open an ``.npz`` file.

    Raises:
        ValueError: It is a single array under this name. NumPy raises others of ``UNREADABLE``.
    """
    content = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
        raise ValueError("it is a single array, not an archive: its suffix should be .npy")
    return content


@contextlib.contextmanager
def _reading(name):
    """Turn whatever a damaged array file raises into a ``UserError``."""
    try:
        yield
    except UNREADABLE as error:
        remedy = "Copy it again." if str(name).endswith(".npy") else "Write it again with numpy.savez."
        raise UserError(f"{name} cannot be read ({error}). {remedy}") from None


def match_keys(path, keys, videos):
    """Match the keys of an archive with videos.

    A key is the path of a video, as its list writes it, with or without suffix, or its last part if no other video has
    the same.

    Args:
        path: The archive, for messages.
        keys: Its keys; those of no video are ignored.
        videos: Entries with ``video_id`` and ``path``.

    Returns:
        ``{video_id: key}``.

    Raises:
        UserError: A key fits several videos, or several keys fit the same one.
    """
    whole, last = {}, {}
    for video in videos:
        file = PurePosixPath(video.path)
        for name in {video.video_id, video.video_id + file.suffix, str(file), str(file.with_suffix(""))}:
            whole.setdefault(name, {})[video.video_id] = None
            last.setdefault(PurePosixPath(name).name, {})[video.video_id] = None
    found = {}
    for key in keys:
        name = str(PurePosixPath(key.replace("\\", "/")))
        ids = list(whole.get(name) or last.get(name, ()))
        if len(ids) > 1:
            raise UserError(f"{path}: key `{key}` matches several files. Use the path without suffix: `{ids[0]}`.")
        if ids and ids[0] in found:
            raise UserError(f"{path}: keys `{found[ids[0]]}` and `{key}` match the same file. Keep one of them.")
        found |= dict.fromkeys(ids, key)
    return found


def frame_mask(array, path, key):
    """Check the frame labels of a video and return them as uint8 ``(num_frames,)``.

    Raises:
        UserError: The array is not one 0 or 1 per frame.
    """
    if array.ndim != 1 or not np.isin(array, (0, 1)).all():
        raise UserError(f"{path}: `{key}` must hold one 0 or 1 per frame. Received an array of shape {array.shape}.")
    return array.astype(np.uint8)


def read_spans(line, words, first, inclusive):
    """Convert the abnormal frames of one line to ``((start, end_exclusive), ...)``, counted from 0.

    Args:
        line: The ``Line``, for messages.
        words: Start and end of each event, alternating, as text.
        first: Number of the first frame in this file, 0 or 1.
        inclusive: Whether the end frame belongs to the event.

    Raises:
        UserError: They are not pairs of whole numbers, or an event ends before it starts.
    """
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        numbers = None
    if not numbers or len(numbers) % 2:
        raise line.error(
            f"expected the first and last frame of each event as whole numbers. Received: `{' '.join(words)}`. "
            "Copy the file from the dataset again, or correct the line."
        )
    spans = [(start - first, end - first + inclusive) for start, end in zip(numbers[::2], numbers[1::2], strict=True)]
    for position, (start, end) in enumerate(spans):
        if not 0 <= start < end:
            pair = numbers[2 * position : 2 * position + 2]
            raise line.error(
                f"an event must start at frame {first} or later and end after its start. "
                f"Received: {pair[0]} to {pair[1]}. Correct the line."
            )
    return tuple(sorted(spans))


def refuse_twice(entries):
    """Check that no video is listed twice, in the same subset or in both.

    Args:
        entries: Pairs of a video's name and the ``Line`` that lists it.

    Raises:
        UserError: A video is listed twice; the text names both lines and the number of such videos.
    """
    first, twice = {}, []
    for name, line in entries:
        if name in first:
            twice.append((name, line))
        first.setdefault(name, line)
    if twice:
        name, line = twice[0]
        more = f" {len(twice) - 1:,} more videos are listed twice." if len(twice) > 1 else ""
        raise line.error(
            f"`{name}` is already in {first[name].location}. List a video once, in one subset: remove one of the lines."
            f"{more}"
        )


def _lines(path):
    """Return the lines of a text file. Names may hold what Unicode calls a line break, such as U+2028."""
    return re.split(r"\r\n|\n|\r", re.sub(r"(\r\n|\n|\r)\Z", "", _text(path)))


def _text(path):
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Copy it from the dataset again.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        remedy = "Save the file as `CSV UTF-8`." if Path(path).suffix == ".csv" else "Save the file as UTF-8."
        raise UserError(f"{path}, line {number}: not UTF-8 text. {remedy}") from None
