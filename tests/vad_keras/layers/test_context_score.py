import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.layers import ContextScore


def test_it_classifies_the_maximum_over_time_of_the_mean_over_patches():
    layer = ContextScore(frames=100)
    nodes = np.random.default_rng(0).normal(size=(1, 6, 3, 4)).astype("float32")
    layer.build(nodes.shape)
    kernel = np.random.default_rng(1).normal(size=(4, 1)).astype("float32")
    layer.classifier.kernel.assign(kernel)
    layer.classifier.bias.assign([0.5])
    surroundings = nodes.mean(axis=2).max(axis=1)[0]
    logit = 10.0 * surroundings / np.linalg.norm(surroundings) @ kernel[:, 0] + 0.5
    expected = np.full((1, 6), 1 / (1 + np.exp(-logit)))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(nodes)), expected, rtol=1e-5)


def test_the_penalty_counts_weights_for_surroundings_of_length_one():
    layer = ContextScore(frames=3, penalty=0.25)
    layer.build((None, None, 1, 2))
    layer.classifier.kernel.assign([[3.0], [4.0]])
    layer(np.ones((1, 2, 1, 2), "float32"))
    np.testing.assert_allclose(float(sum(layer.losses)), 0.25 * (30.0**2 + 40.0**2))


def test_it_learns_whether_an_event_is_somewhere():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    nodes = rng.uniform(0, 1, (64, 20, 2, 8)).astype("float32")
    labels = np.arange(64) % 2
    nodes[labels == 1, 7, :, 3] = 3.0
    inputs = keras.Input((None, 2, 8))
    model = keras.Model(inputs, ContextScore(frames=64)(inputs)[:, 0])
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")
    model.fit(nodes, labels, epochs=40, verbose=0)
    score = model.predict(nodes, verbose=0)
    assert score[labels == 1].min() > score[labels == 0].max()


def test_nodes_without_patches_are_refused():
    with pytest.raises(ValueError, match="B, T, G, C"):
        ContextScore(frames=3).build((2, 5, 4))
