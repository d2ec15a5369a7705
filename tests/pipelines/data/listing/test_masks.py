"""Tests of pipelines.data.listing.masks."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.config import UserError, load_config
from pipelines.data.listing.masks import MASKS_NAME, PixelMasks

VIDEO = SimpleNamespace(video_id="test/a", path="videos/test/a.mp4", num_frames=3, height=4, width=10)


def masks_of(folder, **arrays):
    np.savez(folder / MASKS_NAME, **arrays)
    return PixelMasks(load_config(overrides=[f"data.root={folder}"]).data, [VIDEO])


@pytest.mark.parametrize("key", ["test/a", "a", "test/a.mp4", "a.mp4", "./test/a.mp4", "videos/test/a.mp4"])
def test_a_mask_is_found_by_the_path_or_its_last_part_and_cut_to_the_video(key, tmp_path):
    mask = np.random.default_rng(0).random((5, 4, 10)) < 0.5
    found = masks_of(tmp_path, **{key: np.packbits(mask, axis=-1)}).of(VIDEO)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask[:3])


def test_without_a_file_or_an_entry_there_is_no_mask(tmp_path):
    data = load_config(overrides=[f"data.root={tmp_path}"]).data
    assert PixelMasks(data, [VIDEO]).of(VIDEO) is None
    assert masks_of(tmp_path, b=np.zeros((3, 4, 2), np.uint8)).of(VIDEO) is None


def test_the_folder_of_annotations_comes_first(tmp_path):
    (tmp_path / "lists").mkdir()
    masks_of(tmp_path, a=np.zeros((3, 4, 2), np.uint8))
    data = masks_of(tmp_path / "lists", a=np.full((3, 4, 2), 255, np.uint8))
    config = load_config(overrides=[f"data.root={tmp_path}", f"data.annotations={tmp_path / 'lists'}"])
    assert PixelMasks(config.data, [VIDEO]).of(VIDEO).all() and data.path.parent.name == "lists"
    assert not PixelMasks(dataclasses.replace(config.data, annotations=""), [VIDEO]).of(VIDEO).any()


@pytest.mark.parametrize("shape", [(2, 4, 2), (3, 5, 2), (3, 4, 3), (3, 8)])
def test_a_mask_of_another_size_is_named(shape, tmp_path):
    with pytest.raises(UserError, match=r"mask of `test/a` must have the packed shape \(3, 4, 2\)\. Received: \("):
        masks_of(tmp_path, a=np.zeros(shape, np.uint8)).of(VIDEO)


def test_a_damaged_mask_is_named_and_another_one_is_read(tmp_path):
    other = SimpleNamespace(**{**vars(VIDEO), "video_id": "test/b", "path": "videos/test/b.mp4"})
    masks_of(tmp_path, a=np.full((3, 4, 2), 7, np.uint8), b=np.zeros((3, 4, 2), np.uint8))
    path = tmp_path / MASKS_NAME
    content = path.read_bytes()
    path.write_bytes(content.replace(bytes([7] * 24), bytes([8] * 24)))  # no longer as its checksum says
    masks = PixelMasks(load_config(overrides=[f"data.root={tmp_path}"]).data, [VIDEO, other])
    with pytest.raises(UserError, match=r"pixel_masks\.npz\[a\] cannot be read \(Bad CRC.*Write it again"):
        masks.of(VIDEO)
    assert not masks.of(other).any()


def test_masks_of_numbers_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"Received: \(3, 4, 2\), float64\."):
        masks_of(tmp_path, a=np.zeros((3, 4, 2))).of(VIDEO)


def test_the_masks_of_ucsd_ped2_agree_with_its_frame_labels(shared_data):
    root = shared_data / "videos" / "ucsd_ped2"
    name = "test/Test004"
    video = SimpleNamespace(video_id=name, path=root / name, height=240, width=360)
    masks = PixelMasks(load_config(overrides=[f"data.root={root}"]).data, [video])
    with np.load(root / "frame_labels.npz") as labels:
        frames = labels["Test004"]
    video.num_frames = len(frames)
    np.testing.assert_array_equal(masks.of(video).any(axis=(1, 2)), frames > 0)


def test_a_key_that_fits_two_videos_is_refused(tmp_path):
    masks_of(tmp_path, a=np.zeros((3, 4, 2), np.uint8))
    other = SimpleNamespace(video_id="train/a", path="videos/train/a.mp4")
    with pytest.raises(UserError, match=r"pixel_masks\.npz: key `a` matches several files\. Use the path .*`test/a`"):
        PixelMasks(load_config(overrides=[f"data.root={tmp_path}"]).data, [VIDEO, other])
