"""Read a PyTorch ``state_dict`` without PyTorch and without running code of the file.

A ``.pth`` file of ``torch.save`` is a zip archive with one pickle, ``data.pkl``, and one file of numbers per tensor. A
pickle may name any function of any module and have it called. This reader knows two names, ``OrderedDict`` and the one
that lays out a tensor, plus the types of numbers. Every other name is refused before anything is imported.
"""

import collections
import math
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# PyTorch's storage -> NumPy. bfloat16 is the upper half of a float32.
STORAGE_TYPES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
RESAVE = 'Load the file in PyTorch, if you trust it, and save it with `torch.save(model.state_dict(), "weights.pth")`.'


def read_state_dict(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a ``state_dict``, by PyTorch's names and in PyTorch's axis order.

    Args:
        path: ``.npz`` with one array per name, or ``.pth`` / ``.pt`` of ``torch.save(model.state_dict(), path)``.

    Returns:
        Dict of name to NumPy array. ``bfloat16`` becomes float32.

    Raises:
        FileNotFoundError: when the file does not exist.
        ValueError: for a file of another format, a damaged file, or one that holds more than tensors.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.npz"
    >>> np.savez(path, **{"fc.bias": np.zeros(2)})
    >>> read_state_dict(path)
    {'fc.bias': array([0., 0.])}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights file {path} does not exist. Give the path of a .npz or .pth file, or None (random)."
        )
    readers = {".npz": _read_npz, ".pth": _read_torch_zip, ".pt": _read_torch_zip}
    if path.suffix not in readers:
        raise ValueError(f"The weights file {path} must end in one of {tuple(readers)}. {RESAVE}")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"The weights file {path} is damaged, or PyTorch older than 1.6 wrote it: it is no zip archive. {RESAVE}"
        )
    return readers[path.suffix](path)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:  # ValueError: an array of Python objects
        message = f"The weights file {path} cannot be read: {error}. Save plain arrays with `np.savez`."
        raise ValueError(message) from error


def _read_torch_zip(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            found = _TensorUnpickler(archive).load()
            found = dict(found) if isinstance(found, dict) else found
    except Exception as error:  # a pickle that is not what it claims fails in any way
        raise ValueError(f"The weights file {path} cannot be read: {error}. {RESAVE}") from error
    if not isinstance(found, dict) or not all(isinstance(value, np.ndarray) for value in found.values()):
        content = f"the entries {list(found)[:5]}" if isinstance(found, dict) else f"a {type(found).__name__}"
        raise ValueError(f"The weights file {path} must map names to tensors. It holds {content}. {RESAVE}")
    return found


class _TensorUnpickler(pickle.Unpickler):
    """Unpickle the ``data.pkl`` of an archive, with no other names than those of tensors."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("the archive has no `data.pkl`, so `torch.save` did not write it")
        self.archive = archive
        self.folder = pickles[0].removesuffix("data.pkl")
        self.byte_order = "<"
        if self.folder + "byteorder" in archive.namelist():
            self.byte_order = {b"little": "<", b"big": ">"}[self._stored("byteorder")]
        super().__init__(archive.open(pickles[0]))

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        if module == "torch" and name in STORAGE_TYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for `{module}.{name}`, and only tensors are read")

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        """Numbers of one storage, from ``("storage", type, key, device, length)``."""
        kind, storage_type, key, _, _ = pid
        if kind != "storage" or storage_type not in STORAGE_TYPES:
            raise pickle.UnpicklingError(f"it refers to an unknown object {kind!r}")
        dtype = np.dtype(self.byte_order + STORAGE_TYPES[storage_type])
        numbers = np.frombuffer(self._stored(f"data/{key}"), dtype).astype(dtype.newbyteorder("="))
        if storage_type == "BFloat16Storage":
            return (numbers.astype("u4") << 16).view("f4")
        return numbers

    def tensor(
        self, storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> NDArray[Any]:
        """A copy of a strided view of a storage; a view beyond the storage, or larger than it, is refused."""
        whole = all(isinstance(number, int) and number >= 0 for number in (offset, *size, *stride))
        count = math.prod(size)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if not whole or count > storage.size or (count and last >= storage.size):
            raise pickle.UnpicklingError(f"a tensor of shape {tuple(size)} does not fit its {storage.size} numbers")
        view = np.lib.stride_tricks.as_strided(
            storage[offset:], size, [step * storage.itemsize for step in stride], writeable=False
        )
        return np.array(view, order="C")

    def _stored(self, name: str) -> bytes:
        """Bytes of an entry. ``torch.save`` never compresses, so an entry is never larger than the file."""
        entry = self.archive.getinfo(self.folder + name)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"its entry `{entry.filename}` is compressed, so `torch.save` did not write it")
        return self.archive.read(entry)


def assign_arrays(
    layers: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], path: str | Path, ignored: Sequence[str] = ()
) -> None:
    """Set the weights of Keras layers from the arrays of a ``state_dict``.

    Kernels are transposed from ``(out, in, *kernel)`` to ``(*kernel, in, out)``.

    Args:
        layers: dict of PyTorch's module name (``"layer1.0.conv1.0"``) to a built convolution, ``Dense`` or
            ``BatchNormalization``.
        arrays: of ``read_state_dict``.
        path: of the file, for errors.
        ignored: module names (``"fc"``) whose arrays may be there and are not used.

    Raises:
        ValueError: when arrays are missing, unexpected or of another shape. No weight is changed then.
    """
    wanted = {f"{module}.{suffix}": weight for module, layer in layers.items() for suffix, weight in _weights(layer)}
    found = {
        name: _keras_order(array)
        for name, array in arrays.items()
        if not name.endswith(".num_batches_tracked") and not name.startswith(tuple(f"{name}." for name in ignored))
    }
    problems = [f"missing: {name} {tuple(wanted[name].shape)}" for name in wanted if name not in found]
    problems += [f"unexpected: {name} {arrays[name].shape}" for name in found if name not in wanted]
    problems += [
        f"{name} has shape {arrays[name].shape}, which becomes {array.shape}, expected {tuple(wanted[name].shape)}"
        for name, array in found.items()
        if name in wanted and array.shape != tuple(wanted[name].shape)
    ]
    if problems:
        shown = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
        raise ValueError(
            f"The weights file {path} does not fit. {shown}. Give a file of the same architecture, under torchvision's "
            "names (`stem.0.weight`)."
        )
    for name, weight in wanted.items():
        weight.assign(found[name])


def _weights(layer: Any) -> list[tuple[str, Any]]:
    """PyTorch's names of the weights of a layer: ``(suffix, variable)``."""
    if hasattr(layer, "moving_mean"):
        return [
            ("weight", layer.gamma),
            ("bias", layer.beta),
            ("running_mean", layer.moving_mean),
            ("running_var", layer.moving_variance),
        ]
    return [("weight", layer.kernel)] + ([("bias", layer.bias)] if layer.use_bias else [])


def _keras_order(array: NDArray[Any]) -> NDArray[Any]:
    return np.transpose(array, (*range(2, array.ndim), 1, 0)) if array.ndim > 1 else array
