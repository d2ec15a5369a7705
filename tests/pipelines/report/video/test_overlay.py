"""Tests of pipelines.report.video.overlay."""

import numpy as np
import pytest

from pipelines.report.plots.heat_map import COLORS
from pipelines.report.video.overlay import MAP_OPACITY, Overlay

GREY = np.full((240, 320, 3), 100, np.uint8)
ORANGE = [232, 135, 30]


def overlay(scores, patch_scores, region=(1.0, 1.0), threshold=0.5):
    times_sec = np.arange(len(scores)) / 10
    is_alarm = np.asarray(scores) >= threshold
    maps = np.arange(len(scores)), np.array(patch_scores)
    return Overlay(times_sec, scores, threshold, is_alarm, *maps, (1, 2), region)


def test_a_patch_is_tinted_by_its_score_and_the_rest_of_the_picture_is_unchanged():
    drawn = overlay([0.4], [[0, 0, 1, 0, 0]]).draw(0, GREY)
    assert (drawn[:120, :160] == 100).all() and (drawn[120:240] == 100).all()
    expected = (1 - MAP_OPACITY) * 100 + MAP_OPACITY * 255 * np.array(COLORS(1.0)[:3])
    np.testing.assert_allclose(drawn[60, 240], expected, atol=2)


def test_patches_cover_the_part_of_the_picture_that_the_model_sees():
    drawn = overlay([0.4], [[1, 0, 0, 0, 0]], region=(0.5, 0.75)).draw(0, GREY)
    rows, columns = np.nonzero((drawn[:240] != 100).any(axis=-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 179, 40, 279)


def test_an_alarm_has_a_border_and_a_score_below_the_threshold_none():
    drawing = overlay([0.2, 0.9], [[0, 0, 0, 0, 0]] * 2)
    assert drawing.draw(1, GREY)[0, 0].tolist() == drawing.draw(1, GREY)[239, 319].tolist() == ORANGE
    assert drawing.draw(0, GREY)[0, 0].tolist() == [100, 100, 100]


@pytest.mark.parametrize("shape", [(240, 320), (143, 175), (50, 51), (1080, 1920)])
def test_the_picture_keeps_its_place_and_the_frame_has_an_even_size(shape):
    picture = np.random.default_rng(0).integers(0, 255, (*shape, 3), "uint8")
    drawn = overlay([0.1], [[0, 0, 0, 0, 0]]).draw(0, picture)
    assert drawn.shape[0] % 2 == drawn.shape[1] % 2 == 0 and drawn.shape[1] - shape[1] in (0, 1)
    np.testing.assert_array_equal(drawn[: shape[0], : shape[1]], picture)
    assert 36 <= drawn.shape[0] - shape[0] <= max(37, 0.15 * shape[0])


def test_the_bar_shows_the_curve_with_a_cursor_at_the_frame():
    scores = np.r_[np.full(50, 0.9), np.full(50, 0.1)]
    drawing = overlay(scores, np.zeros((100, 5)))
    first, last = (drawing.draw(frame, GREY)[240:] for frame in (0, 99))
    middle = last[last.shape[0] // 2]
    assert middle[150].tolist() == ORANGE and middle[310].tolist() != ORANGE  # high, then low
    assert (last[:, 318:320] == 255).all() and not (first[:, 318:320] == 255).all()
    assert first[first.shape[0] // 2, 150].tolist() != ORANGE  # still to come: dimmed
