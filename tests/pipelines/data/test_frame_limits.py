"""Tests of pipelines.data.frame_limits."""

import pytest

from pipelines.data.frame_limits import refusal


@pytest.mark.parametrize("size", [(1920, 1080), (8192, 4320), (3840, 540), (2, 2), (64, 2), (0, 0)])
def test_sizes_of_real_cameras_are_read(size):
    assert refusal(*size) == refusal(*reversed(size)) == ""


@pytest.mark.parametrize(
    ("size", "reason"), [((8192, 8192), "too large"), ((2, 1200), "too narrow"), ((65, 2), "too narrow")]
)
def test_extreme_sizes_are_refused_with_a_reason(size, reason):
    for width, height in (size, reversed(size)):
        assert f"frames of {width} x {height} pixels are {reason}" in refusal(width, height)
