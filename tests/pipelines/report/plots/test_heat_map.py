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
)

SCALES = (1, 2, 3)


def test_the_cells_of_a_picture_carry_the_same_map():
    for scales, size_px in (((1, 2, 3), (24, 36)), ((1, 2, 3), (25, 37)), ((1, 4), 7), ((2,), (1, 3))):
        scores = np.random.default_rng(0).random(sum(scale**2 for scale in scales))
        patches, cells = patch_cells(scales, size_px)
        values = scores[patches].mean(axis=0)
        np.testing.assert_allclose(values[cells], patch_heat_map(scores, scales, size_px), atol=1e-12)
        assert sorted(set(cells.ravel().tolist())) == list(range(patches.shape[1]))
    assert patch_cells((1, 2, 3), (24, 36))[0].shape == (3, 16)  # cut at 1/3, 1/2 and 2/3


def test_a_pixel_takes_the_mean_over_scales_of_the_patches_that_cover_it():
    scores = np.arange(14) / 14
    heat = patch_heat_map(scores, SCALES, (6, 6))
    assert heat.shape == (6, 6)
    # scale 1 holds patch 0, scale 2 patches 1..4, scale 3 patches 5..13
    assert heat[0, 0] == pytest.approx((scores[0] + scores[1] + scores[5]) / 3)
    assert heat[2, 3] == pytest.approx((scores[0] + scores[2] + scores[9]) / 3)
    assert heat[5, 5] == pytest.approx((scores[0] + scores[4] + scores[13]) / 3)


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


def test_the_figure_has_one_column_per_frame_and_rows_before_and_after(tmp_path):
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 255, (3, 90, 120, 3)).astype(np.uint8)
    before, after = generator.random((2, 3, 14))
    figure = heat_map_figure(frames, before, after, SCALES, ["1 s", "2 s", "3 s"])
    assert [axes.get_title() for axes in figure.axes[:3]] == ["1 s", "2 s", "3 s"]
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert [label for label in labels if label][:3] == ["frame", "before the CRF", "after the CRF"]
    image = Image.open(plot_heat_maps(tmp_path / "a.png", frames, before, after, SCALES)).convert("RGB")
    assert image.size == (900, 651)
    assert np.asarray(image).std() > 20


def test_scores_are_plotted_alone_without_frames():
    figure = heat_map_figure(None, np.zeros((2, 14)), np.ones((2, 14)), SCALES)
    assert [axes.get_ylabel() for axes in figure.axes[:4]] == ["before the CRF", "", "after the CRF", ""]
    cold, hot = (figure.axes[index].images[0].get_array() for index in (0, 2))
    assert (cold[0, 0] != hot[0, 0]).any()


def test_lists_of_different_length_are_refused(tmp_path):
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="same length of at least 1. Received: 1, 2, 1, 2"):  # noqa: RUF043
        plot_heat_maps(tmp_path / "a.png", [frame], np.zeros((2, 14)), np.zeros((1, 14)), SCALES)
    with pytest.raises(ValueError, match="Received: 0, 0, 0, 0"):
        plot_heat_maps(tmp_path / "a.png", [], [], [], SCALES)


def test_more_frames_than_columns_wrap_onto_rows():
    before, after = np.random.default_rng(0).random((2, MAX_COLUMNS + 1, 14))
    frames = np.zeros((MAX_COLUMNS + 1, 20, 20, 3), np.uint8)
    figure = heat_map_figure(frames, before, after, SCALES, [f"{number} s" for number in range(MAX_COLUMNS + 1)])
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [f"{number} s" for number in range(MAX_COLUMNS + 1)]
    filled = [axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]
    assert len(filled) == 3 * (MAX_COLUMNS + 1)
    assert [axes.get_ylabel() for axes in figure.axes].count("before the CRF") == 2
