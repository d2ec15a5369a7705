"""Tests of vad_keras.losses.bag_cross_entropy."""

import keras
import numpy as np
import pytest

from vad_keras.losses import BagCrossEntropy, bag_cross_entropy

SCORES = np.array([[[0.1, 0.3], [0.6, 0.8]], [[0.5, 0.2], [0.9, 0.9]]], "float32")
MASK = np.array([[True, True], [True, False]])
LABELS = np.array([1, 0])


def loss(*args, **kwargs):
    return keras.ops.convert_to_numpy(bag_cross_entropy(*args, **kwargs))


def test_value_by_hand():
    # top 2 of {.1, .3, .6, .8} average .7; top 2 of the real {.5, .2} average .35
    np.testing.assert_allclose(loss(LABELS, SCORES, MASK, k=2), [-np.log(0.7), -np.log(0.65)], rtol=1e-5)
    # the printed reading: all real nodes
    np.testing.assert_allclose(loss(LABELS, SCORES, MASK, k="mean"), [-np.log(0.45), -np.log(0.65)], rtol=1e-5)


def test_shuffling_the_bags_changes_nothing():
    order = np.array([1, 0])
    shuffled = loss(LABELS[order], SCORES[order], MASK[order], k=2)
    np.testing.assert_allclose(shuffled, loss(LABELS, SCORES, MASK, k=2)[order])


def test_padding_changes_nothing():
    padded = np.concatenate([SCORES, np.full((2, 3, 2), 0.99, "float32")], axis=1)
    mask = np.concatenate([MASK, np.zeros((2, 3), bool)], axis=1)
    for k in (1, 0.5, "mean"):
        np.testing.assert_allclose(loss(LABELS, padded, mask, k=k), loss(LABELS, SCORES, MASK, k=k), rtol=1e-6)


def test_gradient_and_value_are_finite_at_certain_scores(gradients):
    certain = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert np.isfinite(loss(LABELS, certain)).all()
    (found,) = gradients(lambda s: keras.ops.sum(bag_cross_entropy(LABELS, s)), certain)
    assert np.isfinite(found).all()


def test_compiled_value_equals_the_eager_one(compiled):
    found = compiled(lambda y, s, m: bag_cross_entropy(y, s, m, 0.5))(LABELS, SCORES, MASK)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), loss(LABELS, SCORES, MASK, 0.5), rtol=1e-5)


def test_class_is_the_mean_over_videos_and_survives_its_config():
    made = BagCrossEntropy(k=3)
    again = keras.losses.deserialize(keras.losses.serialize(made))
    expected = loss(LABELS, SCORES, k=3).mean()
    for one in (made, again):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(one(LABELS, SCORES)), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="`k` must be"):
        BagCrossEntropy(k=0)


def test_class_trains_a_plain_model():
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.Dense(1, "sigmoid"), keras.layers.Reshape((5,))])
    model.compile("adam", BagCrossEntropy(k=2), jit_compile=False)
    history = model.fit(np.random.uniform(size=(4, 5, 3)), np.array([0, 1, 0, 1]), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
