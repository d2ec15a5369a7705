"""Decoded frames to pixels."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from pipelines.data.pixels import grey_picture, picture_jpeg, square_rgb

TURN = ((0, 1), (-1, 0))  # a quarter, clockwise


def frame(width=64, height=32):
    """Dark on the left, bright on the right."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, width // 2 :] = 200
    return av.VideoFrame.from_ndarray(rgb, format="rgb24")


def test_a_square_is_resized_and_upright():
    plain, turned = square_rgb(frame(), None, 16), square_rgb(frame(), TURN, 16)
    assert plain.shape == turned.shape == (16, 16, 3)
    assert plain[:, :6].max() < 20 and plain[:, 10:].min() > 180
    np.testing.assert_array_equal(turned, np.rot90(plain, -1))


def test_a_cut_leaves_the_rim_out():
    cut = square_rgb(frame(), None, 112, crop=True)
    assert cut.shape == (112, 112, 3)
    assert (cut[0, :, 0] > 100).mean() == pytest.approx(0.5, abs=0.05)


def test_a_picture_keeps_its_proportions_and_is_never_enlarged():
    sizes = {Image.open(io.BytesIO(picture_jpeg(frame(), None, longest))).size for longest in (64, 640)}
    assert sizes == {(64, 32)}
    assert Image.open(io.BytesIO(picture_jpeg(frame(640, 320), TURN, 64))).size == (32, 64)


def test_a_grey_picture_holds_the_brightness():
    grey = grey_picture(frame(), 40, 30)
    assert grey.shape == (30, 40) and grey.dtype == np.uint8
    assert grey[:, :15].max() < 40 and grey[:, 25:].min() > 150
