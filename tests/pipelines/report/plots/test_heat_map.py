"""Tests of pipelines.report.plots.heat_map."""

import numpy as np
import pytest
from PIL import Image

from pipelines.report.plots.heat_map import (
    MAX_COLUMNS,
    heat_map_figure,
    overlay,
    patch_cells,
    patch_heat_map,
    plot_heat_maps,
    scale_maps,
    score_maps,
)

SCALES = (1, 2, 3)


def test_the_cells_of_a_picture_carry_the_same_map():
    for scales, size_px in (((1, 2, 3), (24, 36)), ((1, 2, 3), (25, 37)), ((1, 4), 7), ((2,), (1, 3))):
        scores = np.random.default_rng(0).random(sum(scale**2 for scale in scales))
        patches, cells = patch_cells(scales, size_px)
        values = scores[patches].max(axis=0)
        np.testing.assert_allclose(values[cells], patch_heat_map(scores, scales, size_px), atol=1e-12)
        assert sorted(set(cells.ravel().tolist())) == list(range(patches.shape[1]))
    assert patch_cells((1, 2, 3), (24, 36))[0].shape == (3, 16)  # cut at 1/3, 1/2 and 2/3


def test_a_pixel_takes_the_highest_of_the_patches_that_cover_it():
    scores = np.arange(14)[::-1] / 14
    scores[4], scores[9] = 1.0, 0.99
    heat = patch_heat_map(scores, SCALES, (6, 6))
    # scale 1 holds patch 0, scale 2 patches 1..4, scale 3 patches 5..13
    assert heat[0, 0] == scores[0] and heat[2, 2] == 0.99 and heat[3, 3] == 1.0 and heat[5, 5] == 1.0


@pytest.mark.parametrize("scales", [(1, 2, 3), (2,), (1, 4), (1, 2, 3, 5)])
def test_the_brightest_pixel_is_the_highest_patch_and_each_scale_keeps_its_own(scales):
    random = np.random.default_rng(0)
    for size_px in (max(scales), 31, (24, 37)):
        scores = random.random(sum(scale**2 for scale in scales))
        assert patch_heat_map(scores, scales, size_px).max() == scores.max()
        first = 0
        for scale, values in zip(scales, scale_maps(scores, scales, size_px), strict=True):
            assert set(values.ravel()) == set(scores[first : first + scale**2])
            first += scale**2


def test_a_high_score_of_any_patch_is_bright_in_the_figure():
    """The mean over the scales of a score of 0.98 in one of 14 patches is 0.33 and dark."""
    for patch in (0, 4, 13):
        scores = np.full((1, 14), 0.01)
        scores[0, patch] = 0.98
        figure = heat_map_figure([np.full((60, 80, 3), 100, np.uint8)], {"patch score": scores}, SCALES)
        axes = figure.axes[1]
        grey = axes.images[0].get_array()[:60].mean(axis=-1)
        side = (1, 2, 3)[(patch > 0) + (patch > 4)]
        bright = grey > 140  # a frame of 100, blended with colours of 0 to 1
        assert bright.mean() == pytest.approx(1 / side**2, rel=0.05) and (bright.all() or grey[~bright].max() < 70)
        assert axes.get_title() == f"0.98 ({'whole frame' if side == 1 else f'{side}×{side}'})"
        (outline,) = axes.patches
        assert outline.get_width() == pytest.approx(80 / side)


def test_the_first_map_is_the_one_that_decides():
    patch, before, after = np.random.default_rng(0).random((3, 4, 14))
    for source, expected in {"scorer": patch, "marginals": after, "mean": (patch + after) / 2}.items():
        maps = score_maps(patch, before, after, source)
        assert list(maps) == ["patch score", "before the CRF", "after the CRF"]
        np.testing.assert_array_equal(next(iter(maps.values())), expected)
    assert list(score_maps(patch, patch, patch)) == ["patch score"]  # a model without a CRF


def test_sides_that_do_not_divide_are_covered_completely():
    heat = patch_heat_map(np.ones(14), SCALES, (7, 10))
    assert heat.shape == (7, 10) and np.all(heat == 1)


def test_scores_that_do_not_fit_the_scales_are_refused():
    with pytest.raises(ValueError, match=r"shape \(14,\).*Received: \(13,\)"):
        patch_heat_map(np.ones(13), SCALES, 8)


def test_the_overlay_changes_color_where_the_score_does():
    frame = np.full((60, 60, 3), 128, np.uint8)
    scores = np.zeros(14)
    cold = overlay(frame, scores, SCALES).astype(int)
    scores[1] = 1.0  # upper left quarter
    hot = overlay(frame, scores, SCALES).astype(int)
    changed = np.abs(hot - cold).sum(axis=-1) > 0
    assert changed[:30, :30].all() and not changed[30:].any() and not changed[:, 30:].any()


def test_the_figure_has_one_column_per_frame_and_a_row_per_map(tmp_path):
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 255, (3, 90, 120, 3)).astype(np.uint8)
    maps = score_maps(*generator.random((3, 3, 14)))
    figure = heat_map_figure(frames, maps, SCALES, ["1 s", "2 s", "3 s"])
    assert [axes.get_title() for axes in figure.axes[:3]] == ["1 s", "2 s", "3 s"]
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert [label for label in labels if label][:4] == ["frame", *maps]
    image = Image.open(plot_heat_maps(tmp_path / "a.png", frames, maps, SCALES)).convert("RGB")
    assert image.size[0] == 900 and image.size[1] > 900
    assert np.asarray(image).std() > 20


def test_scores_are_plotted_alone_without_frames():
    figure = heat_map_figure(None, {"cold": np.zeros((2, 14)), "hot": np.ones((2, 14))}, SCALES, ["1 s", "2 s"])
    assert [axes.get_ylabel() for axes in figure.axes[:4]] == ["cold", "", "hot", ""]
    assert figure.axes[1].get_title() == "2 s\n0.00 (3×3)"
    cold, hot = (figure.axes[index].images[0].get_array() for index in (0, 2))
    assert (cold[0, 0] != hot[0, 0]).any()


def test_lists_of_different_length_are_refused(tmp_path):
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="same length of at least 1. Received: 1, 2, 1, 2"):  # noqa: RUF043
        plot_heat_maps(tmp_path / "a.png", [frame], {"a": np.zeros((2, 14)), "b": np.zeros((1, 14))}, SCALES)
    with pytest.raises(ValueError, match="Received: 0, 0, 0"):
        plot_heat_maps(tmp_path / "a.png", [], {"a": []}, SCALES)


def test_more_frames_than_columns_wrap_onto_rows():
    maps = score_maps(*np.random.default_rng(0).random((3, MAX_COLUMNS + 1, 14)))
    frames = np.zeros((MAX_COLUMNS + 1, 20, 20, 3), np.uint8)
    figure = heat_map_figure(frames, maps, SCALES, [f"{number} s" for number in range(MAX_COLUMNS + 1)])
    titles = [axes.get_title() for axes in figure.axes if axes.get_title().endswith(" s")]
    assert titles == [f"{number} s" for number in range(MAX_COLUMNS + 1)]
    filled = [axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]
    assert len(filled) == 4 * (MAX_COLUMNS + 1)
    assert [axes.get_ylabel() for axes in figure.axes].count("before the CRF") == 2
