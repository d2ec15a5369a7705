"""Tests of vad_keras.metrics.bag_auc."""

import keras
import numpy as np
import pytest

from vad_keras.metrics import BagAUC, video_auc

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 2, 60)
SCORES = RANDOM.uniform(size=(60, 7, 3)).astype("float32") * (0.7 + 0.3 * LABELS[:, None, None]).astype("float32")
MASK = np.arange(7) < RANDOM.integers(1, 8, size=(60, 1))


def result(scores, **kwargs):
    metric = BagAUC()
    for start in range(0, 60, 20):
        rows = slice(start, start + 20)
        metric.update_state(LABELS[rows], scores[rows], **{name: value[rows] for name, value in kwargs.items()})
    return float(keras.ops.convert_to_numpy(metric.result()))


def test_agrees_with_the_exact_video_auc():
    exact = video_auc(LABELS, [bag[real] for bag, real in zip(SCORES, MASK, strict=True)])
    assert result(SCORES, mask=MASK) == pytest.approx(exact, abs=5e-3)
    assert 0.6 < exact < 1


def test_padding_changes_nothing():
    padded = np.where(MASK[:, :, None], SCORES, 1.0)
    assert result(padded, mask=MASK) == result(SCORES, mask=MASK)
    assert result(padded) != result(SCORES, mask=MASK)


def test_scores_of_whole_bags_are_taken_as_they_are():
    assert result(SCORES.max(axis=(1, 2))) == result(SCORES)


def test_it_can_be_compiled_into_a_model_and_survives_its_config():
    model = keras.Sequential([keras.Input((7, 3)), keras.layers.Dense(1, "sigmoid"), keras.layers.Reshape((7,))])
    model.compile("adam", loss=lambda y, scores: keras.ops.mean(scores, axis=-1), metrics=[BagAUC()])
    assert "bag_auc" in model.evaluate(SCORES, LABELS, verbose=0, return_dict=True)
    again = keras.metrics.deserialize(keras.metrics.serialize(BagAUC(num_thresholds=50, name="other")))
    assert (again.num_thresholds, again.name) == (50, "other")


def test_too_few_thresholds_are_refused():
    with pytest.raises(ValueError, match="num_thresholds"):
        BagAUC(num_thresholds=1)
