"""Lists and labels as files: text lines, CSV and arrays. Every mistake is told by file, line and way out."""

import csv
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.config import UserError


@dataclass(frozen=True)
class Line:
    """One line of a list, which knows where it stands.

    Args:
        path: The file.
        number: From 1 on.
        text: The line without white space at its ends.
        values: `{column: value}` of a CSV file.
    """

    path: Path
    number: int
    text: str = ""
    values: dict = field(default_factory=dict)

    @property
    def where(self):
        """`"lists/labels.csv, line 3"`."""
        return f"{self.path}, line {self.number}"

    @property
    def place(self):
        """`"line 3 of labels.csv"`."""
        return f"line {self.number} of {self.path.name}"

    def get(self, column):
        """The value of a column, `""` when there is none."""
        return (self.values.get(column) or "").strip()

    def error(self, text):
        """An error about this line."""
        return UserError(f"{self.where}: {text}")


def read_lines(path):
    """The lines of a text file that are not empty. UTF-8 with or without a mark, any line ends.

    Raises:
        UserError: The file does not exist, holds no line or is not UTF-8.
    """
    lines = [Line(Path(path), number, text.strip()) for number, text in enumerate(_text(path).splitlines(), 1)]
    lines = [line for line in lines if line.text]
    if not lines:
        raise UserError(f"{path} is empty. Copy it again from the dataset.")
    return lines


def read_csv(path, columns):
    """Lines of a CSV file with a header. UTF-8 with or without a mark, any line ends, commas or semicolons.

    Raises:
        UserError: The file does not exist, cannot be read, or lacks a column.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist. Write it with the columns {','.join(columns)}.")
    lines = _text(path).splitlines()
    header = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=";" if ";" in header and "," not in header else ",", strict=True)
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
    return [
        Line(Path(path), number, values=dict(zip(names, row, strict=False)))
        for number, row in rows[1:]
        if any(value.strip() for value in row)
    ]


def read_arrays(path):
    """`{key: array}` of an `.npz` file; an `.npy` file has one array, under its stem.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {Path(path).stem: content}
        with content as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        way_out = "Write it again with numpy.savez." if Path(path).suffix == ".npz" else "Copy it again."
        raise UserError(f"{path} cannot be read ({error}). {way_out}") from None


def frame_mask(array, path, key):
    """The labels of all frames of a video, uint8 `(num_frames,)`.

    Raises:
        UserError: They are not one 0 or 1 for each frame.
    """
    if array.ndim != 1 or not np.isin(array, (0, 1)).all():
        raise UserError(f"{path}: `{key}` must be one 0 or 1 for each frame. Received shape {array.shape}.")
    return array.astype(np.uint8)


def read_spans(line, words, first, inclusive):
    """Abnormal frames of one line: pairs of numbers -> `((start, end_exclusive), ...)`, counted from 0.

    Args:
        line: The `Line`, for messages.
        words: Start and end of each event, in turn, as text.
        first: Number of the first frame in this file, 0 or 1.
        inclusive: Whether the end belongs to the event.

    Raises:
        UserError: They are no whole numbers, not in pairs, or an event ends before it starts.
    """
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        numbers = None
    if not numbers or len(numbers) % 2:
        raise line.error(
            f"expected the first and last frame of each event as whole numbers. Received: `{' '.join(words)}`. "
            "Copy the file again from the dataset, or correct the line."
        )
    spans = [(start - first, end - first + inclusive) for start, end in zip(numbers[::2], numbers[1::2], strict=True)]
    for position, (start, end) in enumerate(spans):
        if not 0 <= start < end:
            pair = numbers[2 * position : 2 * position + 2]
            raise line.error(
                f"an event must start at frame {first} or later and end after it starts. "
                f"Received: {pair[0]} to {pair[1]}. Correct the line."
            )
    return tuple(sorted(spans))


def refuse_twice(entries):
    """Make sure that no video is listed twice, in one part or in both.

    Args:
        entries: Pairs of a video's name and the `Line` that lists it.

    Raises:
        UserError: One is; the text names both lines and how many there are.
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
            f"`{name}` is already in {first[name].place}. A video belongs to one part, once: remove one of the lines."
            f"{more}"
        )


def _text(path):
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Copy it again from the dataset.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        remedy = "Save the file as `CSV UTF-8`." if Path(path).suffix == ".csv" else "Save the file as UTF-8."
        raise UserError(f"{path}, line {number}: not UTF-8 text. {remedy}") from None
