"""Find and read the feature files of each video. Imports no TensorFlow.

Formats of published features. In all but the first, a row stands for one snippet of 16 original frames:

* Sultani et al. (CVPR 2018): ``NAME_C.txt``, 32 lines of 4096 numbers. C3D fc6 per 16 frames, averaged over 32 equal
  parts of the video and scaled to unit length (their ``Save_C3DFeatures_32Segments.m``).
* RTFM (ICCV 2021), UCF-Crime and ShanghaiTech: ``NAME_i3d.npy``, ``(T, 10, 2048)``, I3D of ten crops. Its loader moves
  the crops to the front, its evaluation repeats each score 16 times.
* UR-DMU (AAAI 2023): one file per crop, ``NAME__0.npy`` .. ``NAME__9.npy``, each ``(T, D)``; ten crops for UCF-Crime,
  five for XD-Violence (I3D of Wu et al.). Its evaluation averages the scores of the crops and repeats the mean 16
  times.
* VadCLIP (AAAI 2024): the same names with CLIP features of width 512; its frame labels assume 16 frames per row.

Crops become patches: nodes are ``(T, G, D)`` with G = 10, 5 or 1. Arrays that hold Python objects are never unpickled.
"""

import math
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from pipelines.config import UserError
from pipelines.data.features.layouts import node_shape, to_nodes
from pipelines.data.listing.lists import UNREADABLE, open_archive
from pipelines.run.files import quick_hash

SUFFIXES = ("", "_i3d", "_C")  # file name suffixes after the video name, if `features.suffix` is empty
KINDS = (".npy", ".npz", ".txt")
CROP = re.compile(r"^(?P<name>.+)__(?P<crop>[0-9]{1,2})$")
MAX_UNCHECKED_BYTES = 1 << 28
MAX_INFLATION = 200  # of a larger array in an archive: real features shrink by a factor of 10 at most
LARGEST = float(np.finfo(np.float16).max)


class FeatureError(Exception):
    """The features of one video cannot be used. This does not affect other videos."""


@dataclass(frozen=True)
class FeatureArray:
    """One array on disk.

    Args:
        path: The file.
        key: Key in an ``.npz`` file; ``""`` for other files.
    """

    path: Path
    key: str = ""

    def __str__(self):
        return f"{self.path}[{self.key}]" if self.key else str(self.path)

    def stamp(self):
        """Return facts that change with the array: name, size, modification time, head and tail of its file."""
        stat = self.path.stat()
        return [str(self), stat.st_size, stat.st_mtime_ns, quick_hash(self.path)]

    def shape(self):
        """Read the shape of the array from its header.

        Raises:
            FeatureError: It is not an array of real numbers, or it is empty.
        """
        try:
            shape, dtype = self._header()
        except UNREADABLE as error:
            raise self.error(f"cannot be read ({error}). Copy or extract it again") from None
        if dtype.hasobject:
            raise self.error("holds Python objects, which are not loaded. Save a plain array with numpy.save")
        if dtype.kind not in "fiu":
            raise self.error(f"must hold real numbers. Received dtype {dtype}. Save it as float32")
        if 0 in shape or not shape:
            raise self.error(f"is empty: shape {shape}. Extract it again, or remove the line")
        claimed, held = math.prod(shape) * dtype.itemsize, self.path.stat().st_size
        if claimed > MAX_UNCHECKED_BYTES and claimed > held * (MAX_INFLATION if self.key else 1):
            raise self.error(
                f"cannot be read (it claims {claimed:,} bytes, but has {held:,}). Copy or extract it again"
            )
        return shape

    def values(self):
        """Read the array, whatever its values.

        Raises:
            FeatureError: It cannot be read.
        """
        try:
            return self._values()
        except UNREADABLE as error:
            raise self.error(f"cannot be read ({error}). Copy or extract it again") from None

    def read(self):
        """Read the array and check that its values are finite and within the range of float16.

        Raises:
            FeatureError: It cannot be read, or holds other values.
        """
        values = self.values()
        wrong = ~np.isfinite(values)
        if wrong.any():
            first = tuple(int(axis[0]) for axis in np.nonzero(wrong))
            raise self.error(f"{wrong.sum():,} values are NaN or infinite, the first at {first}. Extract it again")
        largest = float(np.abs(values).max())
        if largest > LARGEST:
            raise self.error(f"holds {largest:.6g}, beyond float16 ({LARGEST:.0f}). Scale all features by one factor")
        return values

    def error(self, text):
        """Return a ``FeatureError`` about this array."""
        return FeatureError(f"{self}: {text}.")

    def _header(self):
        if self.path.suffix == ".txt":
            lines = [line for line in self.path.read_text(encoding="ascii").splitlines() if line.strip()]
            return (len(lines), len(lines[0].split()) if lines else 0), np.dtype(np.float32)
        if not self.key:
            with open(self.path, "rb") as stream:
                return _npy_header(stream)
        with _archive(self.path, self.path.stat().st_mtime_ns).zip.open(f"{self.key}.npy") as stream:
            return _npy_header(stream)

    def _values(self):
        if self.path.suffix == ".txt":
            lines = self.path.read_text(encoding="ascii").splitlines()
            return np.array([line.split() for line in lines if line.strip()], np.float32)
        if not self.key:
            return np.load(self.path, allow_pickle=False)
        return _archive(self.path, self.path.stat().st_mtime_ns)[self.key]


@dataclass(frozen=True)
class VideoFeatures:
    """Features of one video: one array, or one per crop."""

    arrays: tuple[FeatureArray, ...]
    shapes: tuple[tuple[int, ...], ...]

    def node_shape(self, layout):
        """Return ``(T, G, D)``; raise ``FeatureError`` when the shapes do not match the layout."""
        try:
            return node_shape(self.shapes, layout)
        except ValueError as error:
            raise self.arrays[0].error(str(error)) from None

    def read(self, layout):
        """Read the nodes, float16 ``(T, G, D)``; raise ``FeatureError`` when they cannot be used."""
        self.node_shape(layout)
        return to_nodes([array.read() for array in self.arrays], layout).astype(np.float16)


class FeatureFolder:
    """All arrays under a folder, indexed by the name of their video.

    Args:
        root: A folder, searched recursively, or one ``.npz`` file.
        suffix: File name suffix after the video name, before the number of a crop; ``""`` tries ``SUFFIXES``.

    Raises:
        UserError: The folder does not exist, or holds no feature file.
    """

    SETTING, CONTENT = "features.root", "feature"  # in errors
    CHOOSE = (
        "Set `features.root` to the folder of one kind of features, or `features.suffix` to the suffix of their names."
    )
    RENAME = 'If {near} holds them, set `features.suffix = "{suffix}"`.'
    UNNAMED: tuple[list[str], ...] = (["arr_0"],)  # keys of an .npz that holds one video and not its name

    def __init__(self, root, suffix=""):
        self.root = Path(root)
        self.suffixes = (suffix,) if suffix else SUFFIXES
        self.unreadable = []
        self._groups = {}  # path under the root, without suffix and crop -> {crop or None: [FeatureArray]}
        self._paths = {}  # name -> paths
        files = [self.root] if self.root.suffix == ".npz" and self.root.is_file() else self._walk()
        for path in files:
            for name, array in self._arrays(path):
                found = CROP.match(name)
                name, crop = (found["name"], int(found["crop"])) if found else (name, None)
                self._groups.setdefault(name, {}).setdefault(crop, []).append(array)
        if not self._groups and not self.unreadable:
            raise UserError(
                f"no {', '.join(KINDS)} is under {self.root}. Set `{self.SETTING}` to the {self.CONTENT} files."
            )
        for path in self._groups:
            self._paths.setdefault(PurePosixPath(path).name, []).append(path)

    def _walk(self):
        """Yield the files of the folder, in order, without hidden ones."""
        if not self.root.is_dir():
            wrong = f"`{self.SETTING}` is neither a folder nor an .npz file: {self.root}"
            raise UserError(f"{wrong}. Set it to the {self.CONTENT} files.")
        for folder, folders, names in os.walk(self.root, followlinks=True):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.endswith(KINDS) and not name.startswith("."):
                    yield Path(folder) / name

    def find(self, video_id):
        """Find the features of a video by its name or, if several files have this name, by its path.

        Raises:
            FeatureError: There are none or several, or a crop is missing or damaged. The text names the fix.
        """
        wanted = [video_id + suffix for suffix in self.suffixes]
        found = [path for name in wanted for path in self._paths.get(PurePosixPath(name).name, ())]
        if len(found) > 1:
            found = [path for path in found if f"/{path}".endswith(tuple(f"/{name}" for name in wanted))] or found
        if not found:
            raise FeatureError(self._missing(PurePosixPath(video_id).name))
        if len(found) > 1:
            raise FeatureError(
                f"{found[0]} and {found[1]} under {self.root} both have the name of this video. {self.CHOOSE}"
            )
        arrays = self._crops(found[0])
        shapes = tuple(array.shape() for array in arrays)
        if len(set(shapes)) > 1:
            odd = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
            raise arrays[odd].error(f"has shape {shapes[odd]}, but crop 0 has {shapes[0]}. Extract all crops again")
        return VideoFeatures(tuple(arrays), shapes)

    def _crops(self, path):
        """Return the arrays of the crops in order, or the only array."""
        group = self._groups[path]
        doubled = next((arrays for arrays in group.values() if len(arrays) > 1), None)
        if doubled is None and None in group and len(group) > 1:
            doubled = [group[None][0], next(arrays[0] for crop, arrays in group.items() if crop is not None)]
        if doubled:
            both = f"{doubled[0]} and {doubled[1]} hold the {self.CONTENT}s of the same video"
            raise FeatureError(f"{both}. Keep one of them.")
        if None in group:
            return group[None]
        absent = sorted(set(range(max(group) + 1)) - set(group))
        if absent:
            raise FeatureError(
                f"{path}__{absent[0]} is not under {self.root}, but {len(group)} other crops are. "
                "Copy it there, or remove the line."
            )
        return [group[crop][0] for crop in sorted(group)]

    def _missing(self, name):
        text = f"no {self.CONTENT} file named {name} is under {self.root}"
        if self.unreadable:
            text += f" ({len(self.unreadable)} archives cannot be read, the first: {self.unreadable[0]})"
        near = next((other for other in self._paths if other.startswith(name) and other != name), None)
        if near:
            return f"{text}. {self.RENAME.format(near=near, suffix=near[len(name) :])}"
        return f"{text}. Copy it there, correct the name or remove the line."

    def _arrays(self, path):
        """Return ``(path under the root without file type, FeatureArray)`` for each array of a file."""
        folder = path.parent.relative_to(self.root) if path != self.root else Path()
        own = (folder / path.name[: -len(path.suffix)]).as_posix()
        if path.suffix != ".npz":
            return [(own, FeatureArray(path))]
        try:
            keys = _archive(path, path.stat().st_mtime_ns).files
        except UNREADABLE as error:
            self.unreadable.append(f"{path}: {error}")
            return []
        if keys in self.UNNAMED:
            return [(own, FeatureArray(path, keys[0]))]
        return [((folder / key).as_posix(), FeatureArray(path, key)) for key in keys]


@lru_cache(maxsize=4)
def _archive(path, _):
    """Open an ``.npz`` file; its modification time is part of the cache key."""
    return open_archive(path)


def _npy_header(stream):
    """Read shape and dtype of the ``.npy`` data at the start of a stream."""
    major = np.lib.format.read_magic(stream)[0]
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype
