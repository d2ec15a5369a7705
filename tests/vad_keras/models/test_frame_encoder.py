import keras
import numpy as np
import pytest
from keras import ops

from tests.torchvision_arrays import write_weights
from vad_keras.models import RelationAwareExtractor
from vad_keras.models.backbones import BACKBONES
from vad_keras.models.frame_preprocessing import normalize_frames, resize_frames
from vad_keras.models.video_networks import build_video_backbone

VIDEO = {"backbone": "mc3_18", "image_size": 32, "clip_frames": 4, "gate_dim": 4, "relation_units": 8, "seed": 0}
PAIR = VIDEO | {"backbone": "small", "video_backbone": "mc3_18", "image_size": 32}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def video(weights):
    return RelationAwareExtractor(**VIDEO, weights=weights, train_backbone=False)


@pytest.fixture(scope="module")
def pair(weights):
    keras.utils.set_random_seed(0)
    return RelationAwareExtractor(**PAIR, video_weights=weights)


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(1).integers(0, 256, (1, 16, 32, 32, 3)).astype("uint8")


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def close(found, expected, tolerance=1e-4):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_a_video_backbone_sees_the_normalised_frames_together(video, weights, frames):
    clip = normalize_frames(frames.astype("float32"), BACKBONES["mc3_18"])
    close(numbers(video.feature_maps(frames)), numbers(build_video_backbone("mc3_18", weights)(clip)))
    assert video.map_shape == (2, 2, 512) and video.channel_groups == (512,) and video.temporal_reach == 5
    assert RelationAwareExtractor("mc3_18", train_backbone=False).image_size == 112


def test_with_its_reach_on_both_sides_a_window_has_the_maps_of_the_whole(video, frames):
    whole = numbers(video.feature_maps(frames))
    close(numbers(video.feature_maps(frames[:, 2:]))[:, 5:], whole[:, 7:])
    assert np.abs(numbers(video.feature_maps(frames[:, 2:]))[:, 4] - whole[:, 6]).max() > 1e-3
    # what lies outside of the video may stand at either end, unseen
    mask = np.array([[False] * 3 + [True] * 16 + [False]])
    longer = np.pad(frames, [(0, 0), (3, 1), (0, 0), (0, 0), (0, 0)], "edge")
    close(numbers(video.feature_maps(longer, mask))[:, 3:19], whole)


def test_appearance_and_motion_lie_side_by_side(pair, weights, frames):
    maps = numbers(pair.feature_maps(frames))
    assert pair.map_shape == maps.shape[2:] == (2, 2, 96 + 512) and pair.channel_groups == (96, 512)
    image = normalize_frames(frames[0].astype("float32"), BACKBONES["small"])
    close(maps[0, ..., :96], numbers(pair.backbone(image)))
    clip = normalize_frames(frames.astype("float32"), BACKBONES["mc3_18"])
    close(maps[..., 96:], numbers(build_video_backbone("mc3_18", weights)(clip)))


def test_the_video_network_beside_another_gets_smaller_frames():
    extractor = RelationAwareExtractor(**PAIR | {"backbone": "mobilenet_v2", "image_size": 64}, train_backbone=False)
    frames = np.random.default_rng(1).integers(0, 256, (1, 4, 64, 64, 3)).astype("float32")
    maps = numbers(extractor.feature_maps(frames))
    assert maps.shape == (1, 4, 2, 2, 1280 + 512)
    clip = normalize_frames(resize_frames(frames[0], 32), BACKBONES["mc3_18"])[None]
    close(maps[..., 1280:], numbers(extractor.video_backbone(clip)))
    assert extractor.motion is False and RelationAwareExtractor(**PAIR, motion=True).channel_groups == (96, 512) * 2


def test_all_but_the_first_batch_norm_of_each_network_are_frozen(pair, video):
    for network in (pair.backbone, pair.video_backbone):
        norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
        assert [norm.trainable for norm in norms] == [True] + [False] * (len(norms) - 1)
    assert pair.video_backbone.norms["stem"].trainable and not pair.video_backbone.norms["layer1.0.conv1"].trainable
    assert not video.backbone.trainable_weights


def test_training_sees_no_padding(frames):
    mask, results = np.array([[True, True, False, False]]), []
    for content in (0, 255):
        keras.utils.set_random_seed(0)
        extractor, clip = RelationAwareExtractor(**PAIR), frames[:, :4].copy()
        clip[:, 2:] = content
        results.append(numbers(extractor({"frames": clip, "mask": mask}, training=True)["nodes"]))
    close(*results)
    assert not results[0][:, 2:].any()


@pytest.mark.parametrize("options", [{"video_backbone": "small"}, {"backbone": "mc3_18", "video_backbone": "mc3_18"}])
def test_only_a_video_network_stands_beside_an_image_backbone(options):
    with pytest.raises(ValueError, match=r"`video_backbone` must be one of \('mc3_18',\), beside an image `backbone`"):
        RelationAwareExtractor(**VIDEO | {"backbone": "small"} | options)
