"""Zones of the picture."""

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.live.zones import check_zones, zone_mask, zone_score


def box(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def grid(mask, scale, scales=(1, 2, 3)):
    first = sum(one * one for one in scales[: scales.index(scale)])
    return mask[first : first + scale * scale].reshape(scale, scale).astype(int).tolist()


def test_patches_that_lie_in_a_zone_by_half_count():
    mask = zone_mask([box(0, 0, 0.5, 0.5)], (1, 2, 3))
    assert grid(mask, 1) == [[0]], "the whole picture has three quarters that do not count"
    assert grid(mask, 2) == [[1, 0], [0, 0]]
    assert grid(mask, 3) == [[1, 1, 0], [1, 0, 0], [0, 0, 0]], "of the middle only a quarter"


def test_without_zones_and_with_a_zone_of_everything_each_patch_counts():
    assert zone_mask([], (1, 2, 3)).all() and zone_mask([box(0, 0, 1, 1)], (1, 2, 3)).all()


def test_a_zone_smaller_than_a_patch_has_its_patch_of_the_finest_grid():
    mask = zone_mask([box(0.9, 0.9, 0.901, 0.9005)], (1, 2, 3))
    assert np.flatnonzero(mask).tolist() == [13]
    assert zone_mask([box(0.4, 0.4, 0.41, 0.41)], (1,)).all(), "a model with one patch ignores zones"


def test_a_long_thin_zone_has_patches():
    mask = zone_mask([box(0, 0.5, 1, 0.51)], (1, 9))
    assert grid(mask, 9, (1, 9))[4] == [1] * 9 and mask.sum() == 9


def test_several_zones_count_together():
    both = zone_mask([box(0, 0, 0.5, 0.5), box(0.5, 0.5, 1, 1)], (1, 2))
    assert both.astype(int).tolist() == [0, 1, 0, 0, 1]


def test_a_polygon_may_be_concave_or_cross_itself():
    arch = [(0, 0), (1, 0), (1, 1), (0.67, 1), (0.67, 0.34), (0.33, 0.34), (0.33, 1), (0, 1)]
    assert grid(zone_mask([arch], (3,)), 3, (3,)) == [[1, 1, 1], [1, 0, 1], [1, 0, 1]]
    bow_tie = [(0, 0), (1, 1), (1, 0), (0, 1)]
    assert grid(zone_mask([bow_tie], (2,)), 2, (2,)) == [[1, 1], [1, 1]]


def test_the_score_of_a_zone_is_that_of_its_highest_patch():
    patches, mask = np.array([0.9, 0.1, 0.6]), np.array([False, True, True])
    assert zone_score(patches, mask, 0.9) == pytest.approx(0.6)
    assert zone_score(patches, mask, 0.45) == pytest.approx(0.3), "a context score halves both"
    assert zone_score(patches, ~mask, 0.9) == 0.9 and zone_score(patches, mask | True, 0.7) == 0.7
    assert zone_score(np.zeros(3), mask, 0.2) == 0.2
    with pytest.raises(ValueError, match=r"shape \(3,\) of `mask`. Received: \(2,\)"):
        zone_score([0.1, 0.2], mask, 0.2)


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ([(0, 0), (1, 1)], "at least 3 points"),
        ([(0, 0), (1, 1), "ab"], "at least 3 points"),
        (3, "at least 3 points"),
        ([(0, 0), (640, 0), (640, 480)], "must lie in 0..1"),
        ([(0, 0), (1, float("nan")), (1, 1)], "must lie in 0..1"),
        ([(0, 0), (0.5, 0.5), (1, 1)], "has no area"),
    ],
)
def test_a_polygon_that_is_none_is_refused(zone, message):
    with pytest.raises(UserError, match=message):
        check_zones([zone])
