"""Tests of vad_keras.metrics.location by hand, and pixel by pixel against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vad_keras.metrics import evaluate_location


def test_two_frames_by_hand():
    # the brightest cell touches the event in the first frame, the two brightest half of the time in the second
    values, event, cells = [[0.9, 0.2, 0.1], [0.5, 0.5, 0.1]], [[1, 0, 0], [0, 2, 0]], [2, 2, 4]
    found = evaluate_location(values, event, cells)
    assert found["pointing_game"] == (1 + 0.5) / 2
    assert found["pointing_game_chance"] == (2 / 8 + 2 / 8) / 2
    assert found["pointing_game_pixel"] == (1 / 2 + 2 / 4) / 2
    assert found["pointing_game_pixel_chance"] == (1 / 8 + 2 / 8) / 2
    first, second = (0.5 + 6) / 7, (0.5 * 2 + 4) / 6
    assert found["pixel_auc_mean_over_frames"] == pytest.approx((first + second) / 2)
    assert found["num_frames"] == 2


def test_every_number_equals_the_count_of_single_pixels():
    random = np.random.default_rng(0)
    values, pixels = random.integers(0, 4, (5, 6)) / 3, random.integers(1, 9, (5, 6))
    event = random.integers(0, pixels + 1)
    event[4] = 0  # not abnormal: left out
    found = evaluate_location(values, event, pixels)
    frames = []
    for frame in range(4):
        scores = np.repeat(values[frame], pixels[frame])
        marks = np.concatenate([np.arange(n) < e for n, e in zip(pixels[frame], event[frame], strict=True)])
        touching = np.repeat(event[frame] > 0, pixels[frame])
        frames.append((scores, marks, touching))
    top = [scores == scores.max() for scores, _, _ in frames]
    expected = {
        "pointing_game": np.mean([touching[t].mean() for (_, _, touching), t in zip(frames, top, strict=True)]),
        "pointing_game_chance": np.mean([touching.mean() for _, _, touching in frames]),
        "pointing_game_pixel": np.mean([marks[t].mean() for (_, marks, _), t in zip(frames, top, strict=True)]),
        "pointing_game_pixel_chance": np.mean([marks.mean() for _, marks, _ in frames]),
        "pixel_auc": roc_auc_score(*(np.concatenate([frame[n] for frame in frames]) for n in (1, 0))),
        "pixel_auc_mean_over_frames": np.mean([roc_auc_score(marks, scores) for scores, marks, _ in frames]),
        "num_frames": 4,
    }
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_map_of_equal_values_is_at_chance():
    event, cells = [[1, 0, 3, 0]], [4, 2, 5, 9]
    found = evaluate_location([[0.3] * 4], event, cells)
    assert found["pointing_game"] == found["pointing_game_chance"] == 9 / 20
    assert found["pointing_game_pixel"] == found["pointing_game_pixel_chance"] == 4 / 20 and found["pixel_auc"] == 0.5


def test_without_a_marked_pixel_nothing_is_known():
    found = evaluate_location([[0.1, 0.2]], [[0, 0]], [1, 1])
    assert found.pop("num_frames") == 0 and all(np.isnan(value) for value in found.values())


def test_wrong_shapes_and_counts_are_named():
    with pytest.raises(ValueError, match=r"Received: \(1, 2\), \(1, 3\) and \(3,\)"):
        evaluate_location([[0.1, 0.2]], [[0, 0, 0]], [1, 1, 1])
    with pytest.raises(ValueError, match="must lie between 0 and `cell_pixels`"):
        evaluate_location([[0.1, 0.2]], [[2, 0]], [1, 1])
    with pytest.raises(ValueError, match="`scores` must be finite"):
        evaluate_location([[np.nan, 0.2]], [[1, 0]], [1, 1])
