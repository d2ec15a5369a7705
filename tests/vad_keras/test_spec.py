"""Tests of vad_keras.spec."""

import pytest

from vad_keras import spec


def test_three_scales_make_fourteen_patches():
    assert spec.num_patches() == 1 + 4 + 9 == 14


@pytest.mark.parametrize(("scales", "count"), [((1,), 1), ((2, 4), 20), ((), 0)])
def test_a_scale_of_s_has_s_times_s_patches(scales, count):
    assert spec.num_patches(scales) == count


def test_the_widest_locality_fits_the_default_snippet():
    assert max(spec.DEFAULT_TEMPORAL_LOCALITIES) <= spec.DEFAULT_CLIP_FRAMES
    assert (spec.NORMAL, spec.ABNORMAL, spec.NUM_LABELS) == (0, 1, 2)


def test_the_crop_is_the_published_one():
    entry = pytest.importorskip("vad_keras.models.video_networks").VIDEO_BACKBONES["mc3_18"]
    assert tuple(entry["image_size"] / side for side in entry["resize"]) == spec.CENTER_CROP
