"""Tests of vad_keras.models.baselines._attention."""

import math

import numpy as np
import pytest
from keras import ops

from vad_keras.models.baselines._attention import GlobalLocalBlock

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 5, 6)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3]])


def block():
    made = GlobalLocalBlock(heads=2, head_dim=3, mlp_units=4)
    made.build((None, None, 6))
    for weight in made.weights:
        weight.assign(RANDOM.normal(size=weight.shape) * 0.5)
    return made


def normalized(x, norm):
    gamma, beta = (np.float64(w) for w in norm.get_weights())
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta


def by_hand(made, x):
    """Steps 1 to 4 of the docstring for one video, in float64 and frame by frame."""
    gelu = np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))))
    x = np.float64(x)
    qkvt = (normalized(x, made.norms[0]) @ made.to_qkvt.get_weights()[0]).reshape(len(x), 4, 2, 3)
    joined = np.zeros((len(x), 2, 6))
    for i in range(len(x)):
        near = np.exp(-np.abs(np.arange(len(x)) - i) / np.e)
        for head in range(2):
            q, k, v, t = (qkvt[:, part, head] for part in range(4))
            weights = np.exp(k @ q[i] / math.sqrt(3))
            joined[i, head] = np.concatenate([weights / weights.sum() @ v, near / near.sum() @ t])
    (w_o, b_o), (w1, b1), (w2, b2) = (layer.get_weights() for layer in (made.join, made.expand, made.contract))
    x = x + joined.reshape(len(x), -1) @ w_o + b_o
    return x + gelu(normalized(x, made.norms[1]) @ w1 + b1) @ w2 + b2


def test_each_video_is_the_printed_attention_by_hand():
    made = block()
    found = ops.convert_to_numpy(made(X, mask=MASK))
    np.testing.assert_allclose(found[0], by_hand(made, X[0]), atol=1e-5)
    np.testing.assert_allclose(found[1, :3], by_hand(made, X[1, :3]), atol=1e-5)
    np.testing.assert_array_equal(found[1, 3:], 0)


def test_padding_changes_no_real_frame():
    made = block()
    garbage = np.where(MASK[..., None], X, np.float32(100))
    found = ops.convert_to_numpy(made(garbage, mask=MASK))
    np.testing.assert_allclose(found, ops.convert_to_numpy(made(X, mask=MASK)), atol=1e-6)


def test_dropout_acts_in_training_only():
    made = GlobalLocalBlock(heads=2, head_dim=3, mlp_units=4, dropout=0.5)
    still = ops.convert_to_numpy(made(X, mask=MASK))
    np.testing.assert_array_equal(ops.convert_to_numpy(made(X, mask=MASK)), still)
    assert np.abs(ops.convert_to_numpy(made(X, mask=MASK, training=True)) - still).max() > 0.01


def test_a_head_of_no_size_is_refused():
    with pytest.raises(ValueError, match=r"`head_dim` must be an integer of at least 1\. Received: 0"):
        GlobalLocalBlock(heads=2, head_dim=0, mlp_units=4)
