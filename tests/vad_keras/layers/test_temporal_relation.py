import itertools

import numpy as np
import pytest
from keras import ops

from vad_keras.layers import TemporalRelation
from vad_keras.layers.temporal_relation import even_tuples, repeat_last_frame


def frames_of(batch=2, num_frames=5, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, num_frames, dim)).astype("float32")


def far_from_start(layer, shape=(2, 5, 4), seed=0):
    """The layer with weights of order 1."""
    rng = np.random.default_rng(seed)
    layer.build(shape)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def run(layer, frames, **arguments):
    return ops.convert_to_numpy(layer(frames, **arguments))


def test_three_frames_by_hand():
    layer = TemporalRelation(units=1, num_frames=3)
    layer.build((None, 3, 1))
    layer.embedding.set_weights([np.array([[1.0]]), np.array([0.0])])
    layer.relations[0].set_weights([np.array([[-1.0], [2.0]]), np.array([0.5])])
    layer.relations[1].set_weights([np.array([[1.0], [10.0], [100.0]]), np.array([0.0])])
    # Frames 1, -2 and 3 embed to 1, 0 and 3. Pairs: (1, 0) -> relu(-0.5) = 0, (1, 3) -> 5.5, (0, 3) -> 6.5.
    # The triple: 1 + 0 + 300 = 301. Sum: 313.
    assert run(layer, np.array([[[1.0], [-2.0], [3.0]]], "float32")).item() == pytest.approx(313.0)


@pytest.mark.parametrize("num_frames, size", [(8, 2), (8, 4), (8, 8), (6, 5)])
def test_even_tuples_are_evenly_spaced_among_all_combinations(num_frames, size):
    every = list(itertools.combinations(range(num_frames), size))
    count = min(3, len(every))
    assert even_tuples(num_frames, size, 3) == [every[int((i + 0.5) * len(every) / count)] for i in range(count)]
    assert even_tuples(num_frames, size, 1000) == every


def test_long_snippets_need_no_list_of_all_combinations():
    assert len(even_tuples(64, 32, 3)) == 3


def test_inference_is_deterministic_and_training_draws_tuples():
    layer, frames = far_from_start(TemporalRelation(units=8, num_frames=5, seed=1)), frames_of()
    np.testing.assert_array_equal(run(layer, frames), run(layer, frames))
    assert not np.allclose(run(layer, frames, training=True), run(layer, frames, training=True))


def test_a_seed_repeats_the_drawn_tuples():
    frames = frames_of()
    results = []
    for seed in (1, 1, 2):
        layer = far_from_start(TemporalRelation(units=8, num_frames=5, seed=seed))
        results.append(run(layer, frames, training=True))
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.allclose(results[0], results[2])


def test_drawn_tuples_are_ordered_and_distinct():
    layer = TemporalRelation(units=2, num_frames=6, max_tuples=5, seed=0)
    for size in (2, 3, 5):
        drawn = ops.convert_to_numpy(layer._tuples(size, training=True))
        assert drawn.shape == (5, size)
        assert (np.diff(drawn, axis=1) > 0).all() and drawn.min() >= 0 and drawn.max() < 6


def test_a_short_snippet_repeats_its_last_real_frame_whatever_the_padding_holds():
    layer, frames = far_from_start(TemporalRelation(units=8, num_frames=5)), frames_of()
    mask = np.array([[True, True, True, False, False], [True] * 5])
    repeated = frames.copy()
    repeated[0, 3:] = frames[0, 2]
    noisy = frames.copy()
    noisy[0, 3:] = np.nan
    expected = run(layer, repeated)
    np.testing.assert_allclose(run(layer, frames, mask=mask), expected, rtol=1e-6)
    np.testing.assert_allclose(run(layer, noisy, mask=mask), expected, rtol=1e-6)


def test_a_snippet_without_a_real_frame_counts_as_zeros():
    padded = repeat_last_frame(frames_of(), np.zeros((2, 5), bool))
    np.testing.assert_array_equal(ops.convert_to_numpy(padded), 0.0)


def test_the_order_of_frames_matters():
    layer, frames = far_from_start(TemporalRelation(units=8, num_frames=5)), frames_of()
    assert not np.allclose(run(layer, frames), run(layer, frames[:, ::-1]))


def test_each_argument_changes_the_result():
    frames = frames_of()

    def result(training=False, **arguments):
        arguments = {"units": 8, "num_frames": 5, "seed": 3, **arguments}
        layer = TemporalRelation(**arguments)
        layer.build(frames.shape)
        for weight in layer.trainable_weights:
            weight.assign(np.full(weight.shape, 0.1) * np.arange(np.prod(weight.shape)).reshape(weight.shape) % 0.7)
        return run(layer, frames, training=training)

    assert result(units=9).shape == (2, 9)
    assert not np.allclose(result(max_tuples=1), result())
    assert not np.allclose(result(training=True, dropout=0.5), result(training=True))


@pytest.mark.parametrize("arguments", [{"num_frames": 1}, {"num_frames": 4, "max_tuples": 0}])
def test_too_few_frames_or_tuples_are_refused(arguments):
    with pytest.raises(ValueError, match="at least"):
        TemporalRelation(units=4, **arguments)


def test_a_snippet_of_another_length_names_the_way_out():
    with pytest.raises(ValueError, match=r"\(B, 5, D\).*Pad and mask"):
        TemporalRelation(units=4, num_frames=5)(frames_of(num_frames=4))
