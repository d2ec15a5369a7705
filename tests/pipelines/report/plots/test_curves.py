"""Tests of pipelines.report.plots.curves."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from sklearn.metrics import roc_auc_score

from pipelines.config import Config
from pipelines.experiments.systems import read_systems
from pipelines.report.plots import curves
from pipelines.report.plots.canvas import SERIES

LABELS = np.array([0, 0, 1, 0, 1, 1, 0, 1])
SCORES = np.array([0.1, 0.4, 0.35, 0.2, 0.8, 0.7, 0.6, 0.9])


def drawn(monkeypatch, data):
    kept = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, path: kept.append(figure))
    curves.plot_curves("unused.png", data, "Test frames")
    return kept[0].axes


def test_each_model_is_drawn_in_its_color(tmp_path):
    path = curves.plot_curves(tmp_path / "a.png", {"ours": (LABELS, SCORES), "other": (LABELS, 1 - SCORES)}, "Test")
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert pixels.shape[1] == 1152
    for color in SERIES[:2]:
        assert (np.abs(pixels - np.array(to_rgb(color)) * 255).max(axis=-1) <= 6).sum() > 300


def test_the_legend_tells_area_and_average_precision(monkeypatch):
    roc, recall = drawn(monkeypatch, {"ours": (LABELS, SCORES)})
    assert f"ours, AUC {roc_auc_score(LABELS, SCORES):.3f}" in [text.get_text() for text in roc.get_legend().texts]
    labels = [text.get_text() for text in recall.get_legend().texts]
    # worked out by hand: positives at ranks 1, 2, 3 and 6 of 8
    assert f"ours, AP {(1 + 1 + 1 + 4 / 6) / 4:.3f}" in labels and "chance, AP 0.500" in labels


def test_a_long_curve_is_thinned_but_keeps_its_ends(monkeypatch):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 50_000)
    roc, _ = drawn(monkeypatch, {"chance": (labels, generator.random(50_000))})
    points = roc.lines[0].get_xydata()
    assert len(points) <= curves.MAX_POINTS
    assert points[0].tolist() == [0, 0] and points[-1].tolist() == [1, 1]


def test_frames_of_one_kind_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`curves\['ours'\]` must hold normal and abnormal frames"):
        curves.plot_curves(tmp_path / "a.png", {"ours": (np.zeros(8), SCORES)})
    with pytest.raises(ValueError, match="at least one pair"):
        curves.plot_curves(tmp_path / "a.png", {})


def test_each_seed_has_its_curve_and_the_legend_mean_and_deviation(monkeypatch):
    seeds = np.stack([SCORES, 1 - SCORES, SCORES**2 - 0.5 * LABELS])
    roc, _ = drawn(monkeypatch, {"ours": (LABELS, seeds), "rival": (LABELS, SCORES)})
    assert len(roc.lines) == 3 + 1 + 1  # seeds of ours, the rival's, chance
    areas = [roc_auc_score(LABELS, scores) for scores in seeds]
    expected = f"ours, AUC {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}"
    assert [text.get_text() for text in roc.get_legend().texts][:2] == [expected, f"rival, AUC {areas[0]:.3f}"]


def test_every_row_of_an_ablation_has_a_look_of_its_own(monkeypatch):
    count = 1 + len(read_systems("ablations", Config()))
    roc, _ = drawn(monkeypatch, {f"model {i}": (LABELS, SCORES) for i in range(count)})
    assert len({(line.get_color(), line.get_linestyle()) for line in roc.lines[:count]}) == count


def test_many_models_have_one_line_each_the_mean_of_their_seeds(monkeypatch):
    seeds = np.stack([SCORES, 1 - SCORES])
    roc, recall = drawn(monkeypatch, {f"model {i}": (LABELS, seeds) for i in range(5)})
    assert len(roc.lines) == 5 + 1 and len(recall.lines) == 5 + 1
    first, *others = (line.get_linewidth() for line in roc.lines[:5])
    assert first > 2 * max(others), "the first is the one that all others are held against"
    x, y = roc.lines[0].get_xydata().T
    np.testing.assert_allclose(np.trapezoid(y, x), 0.5, atol=2e-3)  # a model and its reverse
    assert (x[0], x[-1], y[-1]) == (0, 1, 1)
    x, y = recall.lines[0].get_xydata().T
    assert x[0] == 0 and y[-1] == 0.5, "where all is found, precision is the share of abnormal frames"
