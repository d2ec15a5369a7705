import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.models.backbones import BACKBONES, build_backbone


@pytest.mark.parametrize("name, channels", [("resnet50", 2048), ("mobilenet_v2", 1280), ("small", 96)])
def test_each_backbone_ends_in_feature_maps(name, channels):
    backbone = build_backbone(name, 64)
    side = 4 if name == "small" else 2
    assert backbone.output_shape == (None, side, side, channels)


def test_an_earlier_layer_has_finer_maps_of_the_same_weights(tmp_path):
    whole, path = build_backbone("mobilenet_v2", 64), tmp_path / "mobilenet_v2.weights.h5"
    whole.save_weights(path)
    part = build_backbone("mobilenet_v2", 64, str(path), "block_13_expand_relu")
    assert part.output_shape == (None, 4, 4, 576)
    images = np.random.default_rng(0).uniform(-1, 1, size=(1, 64, 64, 3))
    expected = keras.Model(whole.input, whole.get_layer("block_13_expand_relu").output)(images)
    np.testing.assert_allclose(ops.convert_to_numpy(part(images)), ops.convert_to_numpy(expected), atol=1e-5)


@pytest.mark.parametrize("name, layer", [("mobilenet_v2", "block_99"), ("mc3_18", "layer5")])
def test_an_unknown_layer_is_named(name, layer):
    with pytest.raises(ValueError, match=f"must be one of .*Received: '{layer}'"):
        build_backbone(name, 64, layer=layer)


def test_the_preprocessing_is_that_of_keras_applications():
    from keras.applications import mobilenet_v2, resnet50

    image = np.random.default_rng(0).uniform(0, 255, size=(1, 4, 4, 3)).astype("float32")
    for name, module in {"resnet50": resnet50, "mobilenet_v2": mobilenet_v2}.items():
        backbone = BACKBONES[name]
        ordered = image[..., ::-1] if backbone["channels"] == "BGR" else image
        expected = module.preprocess_input(image.copy())
        np.testing.assert_allclose(ordered * backbone["scale"] - np.array(backbone["offset"]), expected, atol=1e-4)


def test_weights_saved_from_a_backbone_load_into_another(tmp_path):
    first, path = build_backbone("small", 32), tmp_path / "small.weights.h5"
    first.save_weights(path)
    images = np.random.default_rng(0).uniform(size=(1, 32, 32, 3))
    second = build_backbone("small", 32, weights=str(path))
    np.testing.assert_array_equal(*(ops.convert_to_numpy(backbone(images)) for backbone in (first, second)))


def test_a_missing_weights_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.weights\.h5 does not exist"):
        build_backbone("small", 32, weights="nowhere.weights.h5")


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "small.weights.h5"
    build_backbone("small", 32).save_weights(path)
    with pytest.raises(ValueError, match=r"small\.weights\.h5 does not fit the backbone 'mobilenet_v2'"):
        build_backbone("mobilenet_v2", 32, weights=path)


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    path = tmp_path / "text.weights.h5"
    path.write_text("not weights")
    with pytest.raises(ValueError, match=r"text\.weights\.h5 does not fit"):
        build_backbone("small", 32, weights=path)


@pytest.mark.parametrize("name, weights, message", [("resnet51", None, "'resnet51'"), ("small", "imagenet", "small")])
def test_an_unknown_backbone_and_missing_weights_are_named(name, weights, message):
    with pytest.raises(ValueError, match=message):
        build_backbone(name, 32, weights)


def test_the_real_mobilenet_weights_are_all_loaded(shared_data):
    import h5py

    path = shared_data / "weights" / "mobilenet_v2_1.0_224_imagenet_notop_dequantised.weights.h5"
    stored = []

    def visit(_, item):
        if isinstance(item, h5py.Dataset):
            stored.append(np.abs(item[()]).sum())

    with h5py.File(path) as file:
        file.visititems(visit)
    loaded = [np.abs(weight).sum() for weight in build_backbone("mobilenet_v2", 96, path).get_weights()]
    np.testing.assert_allclose(sorted(loaded), sorted(stored), rtol=1e-5)
