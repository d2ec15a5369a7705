"""The curve of a calibration."""

import numpy as np
import pytest
from PIL import Image

from pipelines.report.plots.calibration_curve import plot_calibration


def test_the_threshold_is_a_line_of_its_own_colour(tmp_path):
    thresholds = np.linspace(0, 1, 20)
    per_day = np.maximum(100 * (0.8 - thresholds), 0)
    pictures = []
    for threshold in (None, 0.7):
        path = plot_calibration(tmp_path / "curve.png", thresholds, per_day, per_day + 3, 10.0, threshold, "door")
        pictures.append(np.asarray(Image.open(path).convert("RGB"), int))
    orange = [np.sum(np.abs(picture - (232, 135, 30)).max(axis=-1) < 20) for picture in pictures]
    assert orange[0] == 0 and orange[1] > 300


def test_silent_footage_is_plotted_and_different_lengths_are_refused(tmp_path):
    assert plot_calibration(tmp_path / "silent.png", [0.1, 0.9], [0, 0], [3, 3], 1.0).is_file()
    with pytest.raises(ValueError, match=r"same length of at least 1. Received: 2, 1, 2"):
        plot_calibration(tmp_path / "wrong.png", [0.1, 0.9], [0], [3, 3], 1.0)
