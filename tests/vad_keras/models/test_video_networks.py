import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from tests.torchvision_arrays import state_dict, write_weights
from vad_keras.models.frame_windows import plan_windows
from vad_keras.models.video_networks import VIDEO_BACKBONES, MixedConvolution18, build_video_backbone

REACH = MixedConvolution18.TEMPORAL_REACH
NEEDS_TORCH = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: pip install 'vad-keras[torch]'"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def network(weights):
    return build_video_backbone("mc3_18", weights)


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(1).normal(size=(2, 6, 24, 20, 3)).astype("f4")


def maps_of(network, clips, **arguments):
    return ops.convert_to_numpy(network(clips, **arguments))


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def published(arrays, clips, training=False, stages=4):
    """torchvision's `mc3_18` up to its average, in PyTorch's functions: `(B, K, H, W, 3)` to `(B, K, h, w, 512)`."""
    import torch
    from torch.nn import functional

    arrays = {name: torch.tensor(array) for name, array in arrays.items()}

    def unit(x, name, stride=1):
        kernel = arrays[f"{name}.0.weight"]
        padding = [size // 2 for size in kernel.shape[2:]]
        x = functional.conv3d(x, kernel, stride=(1, stride, stride), padding=padding)
        statistics = (arrays[f"{name}.1.{part}"].clone() for part in ("running_mean", "running_var"))
        scale, shift = arrays[f"{name}.1.weight"], arrays[f"{name}.1.bias"]
        return functional.batch_norm(x, *statistics, scale, shift, training=training, eps=1e-5)

    x = torch.relu(unit(torch.tensor(clips).permute(0, 4, 1, 2, 3), "stem", 2))
    for stage in range(1, stages + 1):
        for block in range(2):
            stride, name = 2 if stage > 1 and block == 0 else 1, f"layer{stage}.{block}"
            y = unit(torch.relu(unit(x, f"{name}.conv1", stride)), f"{name}.conv2")
            x = torch.relu(y + (unit(x, f"{name}.downsample", stride) if stride > 1 else x))
    return x.permute(0, 2, 3, 4, 1).numpy()


@NEEDS_TORCH
@pytest.mark.parametrize("height, width", [(24, 20), (33, 16)])
def test_the_maps_are_those_of_pytorch(network, height, width):
    clips = np.random.default_rng(4).normal(size=(1, 4, height, width, 3)).astype("f4")
    found = maps_of(network, clips)
    assert found.shape == network.compute_output_shape(clips.shape)
    close(found, published(state_dict(), clips))


ON_BACKEND = """
import sys
import numpy as np
from keras import ops
from vad_keras.models.video_networks import build_video_backbone

_, weights, inputs, out = sys.argv
network, inputs = build_video_backbone("mc3_18", weights), np.load(inputs)
clips, mask = inputs["clips"], inputs["mask"]
found = {"maps": network(clips), "masked": network(clips, mask=mask)}
found["trained"] = network(clips, mask=mask, training=True)
found["statistics"] = network.norms["layer1.0.conv1"].moving_variance
np.savez(out, **{name: ops.convert_to_numpy(value) for name, value in found.items()})
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_numbers_are_those_of_tensorflow(backend, weights, clips, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: make backends")
    mask = np.arange(6) < np.array([[6], [3]])
    np.savez(tmp_path / "inputs.npz", clips=clips, mask=mask)
    command = [sys.executable, "-c", ON_BACKEND, weights, tmp_path / "inputs.npz", tmp_path / "found.npz"]
    environment = os.environ | {"KERAS_BACKEND": backend}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    found, network = np.load(tmp_path / "found.npz"), build_video_backbone("mc3_18", weights)
    close(found["maps"], maps_of(network, clips))
    close(found["masked"], maps_of(network, clips, mask=mask))
    close(found["trained"], maps_of(network, clips, mask=mask, training=True), 1e-4)
    close(found["statistics"], ops.convert_to_numpy(network.norms["layer1.0.conv1"].moving_variance))


@NEEDS_TORCH
def test_statistics_of_the_batch_are_those_of_pytorch(weights, clips):
    network = build_video_backbone("mc3_18", weights)
    close(maps_of(network, clips, training=True), published(state_dict(), clips, training=True), 1e-4)


@NEEDS_TORCH
@pytest.mark.parametrize("stages, shape", [(1, (12, 10, 64)), (3, (3, 3, 256))])
def test_an_earlier_stage_gives_the_maps_on_the_way(weights, clips, stages, shape):
    part = build_video_backbone("mc3_18", weights, layer=f"layer{stages}")
    found = maps_of(part, clips)
    assert found.shape[2:] == part.compute_output_shape(clips.shape)[2:] == shape
    close(found, published(state_dict(), clips, stages=stages))


def test_padding_changes_no_real_frame_and_no_statistic(weights, clips):
    short = clips[:1, :4]
    padded = np.concatenate([short, np.full_like(short[:, :2], 7)], axis=1)
    mask = np.arange(6)[None] < 4
    for training, tolerance in ((False, 1e-6), (True, 1e-4)):
        alone, filled = (build_video_backbone("mc3_18", weights) for _ in range(2))
        found = maps_of(filled, padded, mask=mask, training=training)
        close(found[:, :4], maps_of(alone, short, training=training), tolerance)
        assert not found[:, 4:].any()
        for first, second in zip(alone.weights, filled.weights, strict=True):
            close(ops.convert_to_numpy(second), ops.convert_to_numpy(first))


def test_copies_of_the_last_frame_change_the_last_five_maps_alone(network):
    clip = np.random.default_rng(2).normal(size=(1, 9, 16, 16, 3)).astype("f4")
    repeated = np.concatenate([clip, clip[:, -1:].repeat(6, axis=1)], axis=1)
    change = np.abs(maps_of(network, repeated)[:, :9] - maps_of(network, clip)).max(axis=(0, 2, 3, 4))
    assert (change[: 9 - REACH] < 1e-5).all() and (change[9 - REACH :] > 1e-3).all()


def test_a_frame_sees_five_frames_to_each_side(network):
    clip = np.zeros((1, 15, 16, 16, 3), "f4")
    changed = clip.copy()
    changed[:, 7] = 1
    change = np.abs(maps_of(network, changed) - maps_of(network, clip)).max(axis=(0, 2, 3, 4))
    assert np.flatnonzero(change > 1e-6).tolist() == list(range(7 - REACH, 7 + REACH + 1))


def test_windows_that_overlap_by_the_reach_give_the_maps_of_the_whole_video(network):
    video = np.random.default_rng(3).normal(size=(1, 40, 16, 16, 3)).astype("f4")
    windows = plan_windows(40, window_frames=16, stride_frames=16 - 2 * REACH)
    kept = [maps_of(network, video[:, window.start : window.stop])[:, window.kept] for window in windows]
    close(np.concatenate(kept, axis=1), maps_of(network, video))


@NEEDS_TORCH
def test_a_pth_file_gives_the_weights_of_the_npz(network, tmp_path):
    import torch

    torch.save({name: torch.tensor(array) for name, array in state_dict().items()}, tmp_path / "weights.pth")
    loaded = build_video_backbone("mc3_18", tmp_path / "weights.pth")
    for first, second in zip(network.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(first), ops.convert_to_numpy(second))


def test_weights_of_another_layout_are_refused_by_name(tmp_path):
    arrays = state_dict()
    arrays["layer2.0.conv1.0.weight"] = np.zeros((128, 64, 3, 3, 3), "f4")  # as in r3d_18
    np.savez(tmp_path / "r3d.npz", **arrays)
    message = r"r3d\.npz does not fit\. layer2\.0\.conv1\.0\.weight has shape \(128, 64, 3, 3, 3\)"
    with pytest.raises(ValueError, match=message):
        build_video_backbone("mc3_18", tmp_path / "r3d.npz")


def test_an_unknown_name_and_a_clip_without_time_are_refused(network, clips):
    with pytest.raises(ValueError, match=r"must be one of \('mc3_18',\)\. Received: 'r3d_18'"):
        build_video_backbone("r3d_18")
    with pytest.raises(ValueError, match="expected ndim=5, found ndim=4"):
        network(clips[0])


def test_the_preprocessing_is_that_of_torchvision():
    entry, pixels = VIDEO_BACKBONES["mc3_18"], np.array([0.0, 128.0, 255.0])[:, None] * np.ones(3)
    expected = (pixels / 255 - [0.43216, 0.394666, 0.37645]) / [0.22803, 0.22145, 0.216989]
    np.testing.assert_allclose(pixels * np.array(entry["scale"]) - np.array(entry["offset"]), expected, atol=1e-12)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_computes_in_half_and_stays_near(weights, clips, policy):
    half = MixedConvolution18(dtype=policy)
    half.load_torchvision_weights(weights)
    found, expected = half(clips), maps_of(build_video_backbone("mc3_18", weights), clips)
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in half.weights} == {"float32"}
    difference = ops.convert_to_numpy(ops.cast(found, "float32")) - expected
    assert np.sqrt(np.mean(difference**2)) < 0.03 * np.sqrt(np.mean(expected**2))


def test_a_saved_network_gives_the_same_maps(network, clips, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert type(loaded) is MixedConvolution18
    np.testing.assert_array_equal(maps_of(loaded, clips), maps_of(network, clips))


def test_a_saved_model_takes_clips_of_any_length(network, clips, tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    archive = keras.export.ExportArchive()
    archive.track(network)
    signature = [
        tensorflow.TensorSpec((None, None, 24, 20, 3), "float32"),
        tensorflow.TensorSpec((None, None), "bool"),
    ]
    archive.add_endpoint("maps", lambda clips, mask: network(clips, mask=mask), signature)
    archive.write_out(tmp_path / "saved", verbose=False)
    served = tensorflow.saved_model.load(tmp_path / "saved")
    mask = np.arange(6)[None] < np.array([[6], [4]])
    close(served.maps(clips, mask).numpy(), maps_of(network, clips, mask=mask))
    close(served.maps(clips[:, :3], mask[:, :3]).numpy(), maps_of(network, clips[:, :3]))


def test_the_real_weights_give_the_reference_numbers(shared_data):
    path = shared_data / "weights" / "mc3_18_kinetics400_cctv_fights_state_dict.npz"
    if not path.is_file():
        pytest.skip(f"the weights are not at {path}")
    clip = np.random.default_rng(0).standard_normal((1, 16, 112, 112, 3)).astype("f4")
    features = maps_of(build_video_backbone("mc3_18", path), clip).mean(axis=(0, 1, 2, 3))
    np.testing.assert_allclose(features[:5], [0.06961, 0.05239, 0.11565, 0.34510, 0.57911], atol=1e-4)
    assert features.sum() == pytest.approx(153.9558, abs=1e-3)
