import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from keras import layers, ops

from vad_keras.models.torch_weights import assign_arrays, read_state_dict

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'vad-keras[torch]'")


class Call:
    """Something whose pickle calls `function(*arguments)` when it is loaded."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def archive(path, content, **entries):
    """A file as `torch.save` lays it out, around any pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights/data.pkl", content)
        for name, value in entries.items():
            file.writestr(f"weights/{name}", value)
    return path


def save(path, **entries):
    torch.save(OrderedDict(entries), path)
    return path


def test_what_pytorch_saves_is_read_as_pytorch_reads_it(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv3d(2, 3, (1, 2, 3)), torch.nn.BatchNorm3d(3))
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    found = read_state_dict(tmp_path / "weights.pth")
    expected = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.numpy().dtype and found[name].flags.writeable
        np.testing.assert_array_equal(found[name], tensor.numpy())


KINDS = ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_of_number_is_read(tmp_path, kind):
    tensor = torch.arange(-2, 4).to(getattr(torch, kind))
    found = read_state_dict(save(tmp_path / "weights.pt", a=tensor))["a"]
    np.testing.assert_array_equal(found, tensor.float().numpy() if kind == "bfloat16" else tensor.numpy())


def test_views_of_a_shared_storage_are_read(tmp_path):
    whole = torch.arange(24.0).reshape(2, 3, 4)
    views = {"whole": whole, "turned": whole.permute(2, 0, 1), "part": whole[1, 1:, ::2], "one": whole[1, 2, 3]}
    views["none"] = whole[:0]
    found = read_state_dict(save(tmp_path / "weights.pth", **views))
    for name, tensor in views.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_arrays_of_an_npz_are_read(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"fc.bias": np.arange(3.0)})
    np.testing.assert_array_equal(read_state_dict(tmp_path / "weights.npz")["fc.bias"], [0, 1, 2])


@pytest.mark.parametrize("function, named", [(os.system, r"posix\.system"), (eval, r"__builtin__\.eval")])
def test_a_pickle_that_calls_a_function_is_refused_and_calls_nothing(tmp_path, function, named):
    marker = tmp_path / "called"
    argument = f"touch {marker}" if function is os.system else f"open({str(marker)!r}, 'w')"
    path = save(tmp_path / "weights.pth", a=Call(function, argument))
    with pytest.raises(ValueError, match=rf"weights\.pth cannot be read: it asks for `{named}`, and only tensors"):
        read_state_dict(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the file does what it says where pickles are trusted
    assert marker.exists()


@pytest.mark.parametrize("module, name", [("torch", "load"), ("torch._utils", "_rebuild_sparse_tensor")])
def test_other_names_of_pytorch_are_refused(tmp_path, module, name):
    path = archive(tmp_path / "weights.pth", f"c{module}\n{name}\n.".encode())
    with pytest.raises(ValueError, match=f"asks for `{module}.{name}`"):
        read_state_dict(path)


def test_a_pickled_model_is_refused_with_the_way_out(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pth")
    with pytest.raises(ValueError, match=r"torch\.nn\.modules\.linear\.Linear.*torch\.save\(model\.state_dict\(\)"):
        read_state_dict(tmp_path / "model.pth")


def test_a_checkpoint_of_more_than_weights_is_refused_by_its_entries(tmp_path):
    save(tmp_path / "weights.pth", epoch=3, model={"a": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"must map names to tensors. It holds the entries \['epoch', 'model'\]"):
        read_state_dict(tmp_path / "weights.pth")


def test_a_format_before_the_zip_archives_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"old\.pth is damaged, or PyTorch older than 1\.6 wrote it"):
        read_state_dict(tmp_path / "old.pth")


@pytest.mark.parametrize("size, stride", [((2,), (10**6,)), ((10**9,), (0,)), ((5,), (1,)), ((2,), (-1,))])
def test_a_tensor_beyond_its_numbers_is_refused(tmp_path, size, stride):
    rebuild = torch._utils._rebuild_tensor_v2
    path = tmp_path / "weights.pth"
    storage = torch.zeros(4)
    torch.save(storage, path)  # for a storage that is written as PyTorch writes it
    with zipfile.ZipFile(path) as file:
        content = {name.partition("/")[2]: file.read(name) for name in file.namelist()}

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if isinstance(item, Storage) else None

    with open(tmp_path / "pickle", "wb") as file:
        Pickler(file, protocol=2).dump({"a": Call(rebuild, Storage(), 0, size, stride, False, OrderedDict())})
    content.pop("data.pkl")
    archive(path, (tmp_path / "pickle").read_bytes(), **content)
    with pytest.raises(ValueError, match="does not fit its 4 numbers"):
        read_state_dict(path)


def test_compressed_entries_which_could_be_of_any_size_are_refused(tmp_path):
    original, path = save(tmp_path / "weights.pth", a=torch.zeros(1000)), tmp_path / "compressed.pth"
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(ValueError, match="is compressed"):
        read_state_dict(path)


def test_numbers_of_the_other_byte_order_are_read(tmp_path):
    original, path = save(tmp_path / "weights.pth", a=torch.arange(3.0)), tmp_path / "big.pth"
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            content = np.frombuffer(content, "<f4").astype(">f4").tobytes() if name.endswith("data/0") else content
            target.writestr(name, b"big" if name.endswith("byteorder") else content)
    np.testing.assert_array_equal(read_state_dict(path)["a"], [0, 1, 2])


@pytest.mark.parametrize(
    "name, content, message",
    [("a.h5", b"", "must end in one of"), ("a.npz", b"text", "damaged"), ("a.pth", b"", "damaged")],
)
def test_files_of_other_formats_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_state_dict(tmp_path / name)


def test_a_missing_file_and_an_archive_without_tensors_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth does not exist"):
        read_state_dict(tmp_path / "nowhere.pth")
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as file:
        file.writestr("readme", "text")
    with pytest.raises(ValueError, match=r"has no `data\.pkl`"):
        read_state_dict(tmp_path / "other.pth")


def test_objects_in_an_npz_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([Call(os.system, "exit 1")], object))
    with pytest.raises(ValueError, match=r"objects\.npz cannot be read"):
        read_state_dict(tmp_path / "objects.npz")


def built():
    convolution, norm, dense = layers.Conv3D(3, (1, 2, 2), use_bias=False), layers.BatchNormalization(), layers.Dense(4)
    convolution.build((None, 2, 2, 2, 2))
    norm.build((None, 3))
    dense.build((None, 3))
    return {"a": convolution, "b": norm, "fc": dense}


def arrays_of_them():
    """What PyTorch would save of these layers, with a number of its own in each place."""
    shapes = {"a.weight": (3, 2, 1, 2, 2), "fc.weight": (4, 3), "fc.bias": (4,)}
    shapes |= {f"b.{name}": (3,) for name in ("weight", "bias", "running_mean", "running_var")}
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=shape).astype("f4") for name, shape in shapes.items()}


def test_every_array_reaches_its_weight():
    modules = built()
    arrays = arrays_of_them()
    assign_arrays(modules, arrays | {"b.num_batches_tracked": np.array(3)}, "weights.pth")
    a, b, fc = (modules[name] for name in ("a", "b", "fc"))
    assert float(a.kernel[0, 1, 0, 1, 2]) == arrays["a.weight"][2, 1, 0, 1, 0]
    np.testing.assert_array_equal(ops.convert_to_numpy(fc.kernel), arrays["fc.weight"].T)
    of_norm = {"weight": b.gamma, "bias": b.beta, "running_mean": b.moving_mean, "running_var": b.moving_variance}
    for name, weight in of_norm.items():
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), arrays[f"b.{name}"])


def test_arrays_that_do_not_fit_are_all_named_and_nothing_is_changed():
    modules = built()
    arrays = arrays_of_them()
    arrays["a.weight"] = arrays["a.weight"][:2]
    arrays["c.bias"] = arrays.pop("b.bias")
    before = [ops.convert_to_numpy(weight) for layer in modules.values() for weight in layer.weights]
    with pytest.raises(ValueError, match=r"weights\.pth does not fit") as error:
        assign_arrays(modules, arrays, "weights.pth")
    assert "missing: b.bias (3,)" in str(error.value) and "unexpected: c.bias (3,)" in str(error.value)
    became = "which becomes (1, 2, 2, 2, 2), expected (1, 2, 2, 2, 3)"
    assert f"a.weight has shape (2, 2, 1, 2, 2), {became}" in str(error.value)
    after = [ops.convert_to_numpy(weight) for layer in modules.values() for weight in layer.weights]
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first, second)


def test_ignored_modules_may_be_there_and_only_they():
    modules = built()
    arrays = arrays_of_them()
    del modules["fc"]
    assign_arrays(modules, arrays, "weights.pth", ignored=("fc",))
    with pytest.raises(ValueError, match=r"unexpected: fcn\.bias"):
        assign_arrays(modules, arrays | {"fcn.bias": np.zeros(1)}, "weights.pth", ignored=("fc",))
