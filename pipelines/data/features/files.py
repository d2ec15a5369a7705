"""Feature files as this field passes them round: where those of a video are, and what their axes mean. No TensorFlow.

What is known of the common ones; a row is one snippet of 16 original frames in all but the first:

* Sultani et al. (CVPR 2018): `NAME_C.txt`, 32 lines of 4096 numbers. C3D fc6 of each 16 frames, averaged over 32 equal
  parts of the video and brought to length 1 (their `Save_C3DFeatures_32Segments.m`).
* RTFM (ICCV 2021), UCF-Crime and ShanghaiTech: `NAME_i3d.npy`, `(T, 10, 2048)`, I3D of ten crops; its loader moves the
  crops in front, its test repeats each score 16 times.
* UR-DMU (AAAI 2023) lists one file a crop, `NAME__0.npy` .. `NAME__9.npy`, each `(T, D)`, ten crops of UCF-Crime and
  five of XD-Violence (I3D of Wu et al.); its test takes the mean of the crops' scores and repeats it 16 times.
* VadCLIP (AAAI 2024): the same names with CLIP features of width 512; its frame labels count 16 frames a row.

Crops become the patches of a node: `(T, G, D)` with G = 10, 5 or 1. Arrays with Python objects are never unpickled.
"""

import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from pipelines.config import UserError
from pipelines.data.features.layouts import node_shape, to_nodes

SUFFIXES = ("", "_i3d", "_C")  # between a video's name and the kind of file, where `features.suffix` says nothing
KINDS = (".npy", ".npz", ".txt")
CROP = re.compile(r"^(?P<name>.+)__(?P<crop>[0-9]{1,2})$")
LARGEST = float(np.finfo(np.float16).max)
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


class FeatureError(Exception):
    """The features of one video cannot be used; the others can."""


@dataclass(frozen=True)
class FeatureArray:
    """One array on disk.

    Args:
        path: The file.
        key: Of an `.npz`; `""` in the other kinds.
    """

    path: Path
    key: str = ""

    def __str__(self):
        return f"{self.path}[{self.key}]" if self.key else str(self.path)

    def stamp(self):
        """What changes when the array does: name, size and time of its file."""
        stat = self.path.stat()
        return [str(self), stat.st_size, stat.st_mtime_ns]

    def shape(self):
        """Shape of the array, from its header alone.

        Raises:
            FeatureError: It is no array of numbers, or empty.
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
        return shape

    def read(self):
        """The array, finite and inside the range of float16.

        Raises:
            FeatureError: It cannot be read, or holds a value that is not so.
        """
        try:
            values = self._values()
        except UNREADABLE as error:
            raise self.error(f"cannot be read ({error}). Copy or extract it again") from None
        wrong = ~np.isfinite(values)
        if wrong.any():
            place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
            raise self.error(f"{wrong.sum():,} values are NaN or infinite, the first at {place}. Extract it again")
        largest = float(np.abs(values).max())
        if largest > LARGEST:
            raise self.error(f"holds {largest:.6g}, beyond float16 ({LARGEST:.0f}). Scale all features alike")
        return values

    def error(self, text):
        """A `FeatureError` about this array."""
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
    """The features of one video: one array, or one for each crop."""

    arrays: tuple[FeatureArray, ...]
    shapes: tuple[tuple[int, ...], ...]

    def node_shape(self, layout):
        """`(T, G, D)`; raises `FeatureError` when the shapes do not fit the layout."""
        try:
            return node_shape(self.shapes, layout)
        except ValueError as error:
            raise self.arrays[0].error(str(error)) from None

    def read(self, layout):
        """The nodes, float16 `(T, G, D)`; raises `FeatureError` when they cannot be used."""
        self.node_shape(layout)
        return to_nodes([array.read() for array in self.arrays], layout).astype(np.float16)


class FeatureFolder:
    """Every array under a folder, by the name of its video.

    Args:
        root: A folder, searched with all below it, or one `.npz`.
        suffix: What follows a video's name in the name of its file, before the number of a crop; `""`: as `SUFFIXES`.

    Raises:
        UserError: There is no such folder, or no feature file in it.
    """

    def __init__(self, root, suffix=""):
        self.root = Path(root)
        self.suffixes = (suffix,) if suffix else SUFFIXES
        self.unreadable = []
        self._groups = {}  # path of a name under the root -> {crop or None: [FeatureArray]}
        self._paths = {}  # name -> paths
        files = [self.root] if self.root.suffix == ".npz" and self.root.is_file() else _walk(self.root)
        for path in files:
            for name, array in self._arrays(path):
                found = CROP.match(name)
                name, crop = (found["name"], int(found["crop"])) if found else (name, None)
                self._groups.setdefault(name, {}).setdefault(crop, []).append(array)
        if not self._groups and not self.unreadable:
            raise UserError(f"no {', '.join(KINDS)} is under {self.root}. Set `features.root` to the feature files.")
        for path in self._groups:
            self._paths.setdefault(PurePosixPath(path).name, []).append(path)

    def find(self, video_id):
        """The features of a video, found by its name or, where several have it, by its path.

        Raises:
            FeatureError: There are none, several, or a crop is missing or damaged; the text says what to do.
        """
        wanted = [video_id + suffix for suffix in self.suffixes]
        found = [path for name in wanted for path in self._paths.get(PurePosixPath(name).name, ())]
        if len(found) > 1:
            found = [path for path in found if f"/{path}".endswith(tuple(f"/{name}" for name in wanted))] or found
        if not found:
            raise FeatureError(self._missing(PurePosixPath(video_id).name))
        if len(found) > 1:
            raise FeatureError(
                f"{found[0]} and {found[1]} under {self.root} both have its name. Set `features.root` to the folder of "
                "one kind of features, or `features.suffix` to the end of their names."
            )
        arrays = self._crops(found[0])
        shapes = tuple(array.shape() for array in arrays)
        if len(set(shapes)) > 1:
            odd = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
            raise arrays[odd].error(f"has shape {shapes[odd]}, crop 0 has {shapes[0]}. Extract all crops again")
        return VideoFeatures(tuple(arrays), shapes)

    def _crops(self, path):
        """The array of each crop in order, or the one array."""
        group = self._groups[path]
        doubled = next((arrays for arrays in group.values() if len(arrays) > 1), None)
        if doubled is None and None in group and len(group) > 1:
            doubled = [group[None][0], next(arrays[0] for crop, arrays in group.items() if crop is not None)]
        if doubled:
            raise FeatureError(f"{doubled[0]} and {doubled[1]} are both its features. Keep one of them.")
        if None in group:
            return group[None]
        absent = sorted(set(range(max(group) + 1)) - set(group))
        if absent:
            raise FeatureError(
                f"{path}__{absent[0]} is missing under {self.root}, {len(group)} other crops are there. "
                "Copy it there, or remove the line."
            )
        return [group[crop][0] for crop in sorted(group)]

    def _missing(self, name):
        text = f"no feature file named {name} is under {self.root}"
        if self.unreadable:
            text += f" ({len(self.unreadable)} archives cannot be read, the first: {self.unreadable[0]})"
        near = next((other for other in self._paths if other.startswith(name) and other != name), None)
        if near:
            return f'{text}. If {near} is it, set `features.suffix = "{near[len(name) :]}"`.'
        return f"{text}. Copy it there, correct the name or remove the line."

    def _arrays(self, path):
        """`(path under the root without the kind, FeatureArray)` of each array of a file."""
        folder = path.parent.relative_to(self.root) if path != self.root else Path()
        own = (folder / path.name[: -len(path.suffix)]).as_posix()
        if path.suffix != ".npz":
            return [(own, FeatureArray(path))]
        try:
            keys = _archive(path, path.stat().st_mtime_ns).files
        except UNREADABLE as error:
            self.unreadable.append(f"{path}: {error}")
            return []
        if keys == ["arr_0"]:  # one video a file, saved without a name
            return [(own, FeatureArray(path, "arr_0"))]
        return [((folder / key).as_posix(), FeatureArray(path, key)) for key in keys]


def _walk(root):
    """The feature files of a folder, in order; hidden ones are passed over."""
    if not root.is_dir():
        raise UserError(f"`features.root` is neither a folder nor an .npz: {root}. Set it to the feature files.")
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(KINDS) and not name.startswith("."):
                yield Path(folder) / name


@lru_cache(maxsize=4)
def _archive(path, _):
    """An open `.npz`; the time of its last change is part of the cache's key."""
    return np.load(path, allow_pickle=False)


def _npy_header(stream):
    """Shape and dtype of the `.npy` that a stream begins with."""
    major = np.lib.format.read_magic(stream)[0]
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype
