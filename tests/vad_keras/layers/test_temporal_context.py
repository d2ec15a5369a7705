import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.layers import ContextScore, TemporalContext


def maximum_by_hand(features, lengths, frames, alignment):
    expected = np.zeros_like(features)
    before = frames - 1 if alignment == "causal" else (frames - 1) // 2
    for video, length in enumerate(lengths):
        for t in range(length):
            first, last = max(t - before, 0), min(t - before + frames, length)
            expected[video, t] = features[video, first:last].max(axis=0)
    return expected


@pytest.mark.parametrize("alignment", ["centered", "causal"])
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 13, 40])
def test_it_is_the_maximum_over_each_window(frames, alignment):
    features = np.random.default_rng(0).normal(size=(3, 11, 4)).astype("float32") - 3.0  # mostly negative
    lengths = np.array([11, 6, 1])
    mask = np.arange(11) < lengths[:, None]
    result = ops.convert_to_numpy(TemporalContext(frames, alignment)(features, mask=mask))
    np.testing.assert_array_equal(result, maximum_by_hand(features, lengths, frames, alignment))


def test_without_a_mask_all_frames_are_real():
    features = np.random.default_rng(1).normal(size=(2, 9, 3)).astype("float32")
    result = ops.convert_to_numpy(TemporalContext(4)(features))
    np.testing.assert_array_equal(result, maximum_by_hand(features, [9, 9], 4, "centered"))


@pytest.mark.parametrize("arguments", [{"frames": 0}, {"frames": 3, "alignment": "future"}])
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=r"frames|alignment"):
        TemporalContext(**arguments)


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
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy", jit_compile=False)
    model.fit(nodes, labels, epochs=40, verbose=0)
    score = model.predict(nodes, verbose=0)
    assert score[labels == 1].min() > score[labels == 0].max()


def test_nodes_without_patches_are_refused():
    with pytest.raises(ValueError, match="B, T, G, C"):
        ContextScore(frames=3).build((2, 5, 4))
