"""Tests of vad_keras.losses.bags."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vad_keras.losses.bags import bag_score, labels_of_bags, mean_of_bags, spread_mask, top_k_weights


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


def sorted_mean(scores, length, k):
    """Oracle: sort the real scores of one bag and average the highest."""
    real = np.sort(scores[:length].ravel().astype(np.float64))[::-1]
    if k == "mean":
        return real.mean()
    count = min(k, real.size) if isinstance(k, int) else int(np.ceil(round(k * real.size, 6)))
    return real[:count].mean()


@settings(max_examples=25, deadline=None)
@given(
    num_frames=st.integers(1, 9),
    num_patches=st.integers(1, 4),
    k=st.sampled_from([1, 3, 100, 0.1, 0.5, 1.0, "mean"]),
    seed=st.integers(0, 10_000),
)
def test_bag_score_is_the_mean_of_the_sorted_top(num_frames, num_patches, k, seed):
    random = np.random.default_rng(seed)
    scores = random.uniform(size=(3, num_frames, num_patches)).astype("float32")
    lengths = random.integers(1, num_frames + 1, size=3)
    mask = np.arange(num_frames) < lengths[:, None]
    expected = [sorted_mean(bag, length, k) for bag, length in zip(scores, lengths, strict=True)]
    np.testing.assert_allclose(to_numpy(bag_score(scores, mask, k)), expected, rtol=1e-5)


def test_padded_nodes_are_never_chosen_even_when_they_score_highest():
    scores = np.array([[0.1, 0.2, 9.0, np.nan]], "float32")
    mask = np.array([[True, True, False, False]])
    np.testing.assert_allclose(to_numpy(top_k_weights(scores, mask, k=3)), [[0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(to_numpy(bag_score(scores, mask, k=3)), [0.15], rtol=1e-6)


def test_share_is_of_the_real_frames_of_each_video():
    scores = np.array([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 0.0, 0.0]], "float32")
    mask = np.array([[True] * 4, [True, True, False, False]])
    np.testing.assert_allclose(to_numpy(bag_score(scores, mask, k=0.5)), [3.5, 4.0])


@pytest.mark.parametrize("count", [10, 20, 30, 70, 90])
def test_tenth_of_round_numbers_is_not_rounded_up_by_float_error(count):
    weights = to_numpy(top_k_weights(np.random.default_rng(0).uniform(size=(1, count)), k=0.1))
    assert (weights > 0).sum() == count // 10


def test_equal_scores_still_give_exactly_k_nodes():
    assert (to_numpy(top_k_weights(np.ones((1, 5, 2)), k=3)) > 0).sum() == 3


def test_bag_without_a_real_frame_scores_zero():
    assert to_numpy(bag_score(np.full((1, 3), np.nan), np.zeros((1, 3), bool), k=0.5)) == 0


def test_gradient_reaches_the_chosen_nodes_only(gradients):
    (found,) = gradients(lambda s: keras.ops.sum(bag_score(s, k=2)), np.array([[0.1, 0.9, 0.5, 0.2]]))
    np.testing.assert_allclose(found, [[0, 0.5, 0.5, 0]])


def test_compiled_choice_equals_the_eager_one(compiled):
    scores = np.random.default_rng(0).uniform(size=(3, 6, 2)).astype("float32")
    mask = np.arange(6) < np.array([[6], [3], [1]])
    found = compiled(lambda s, m: top_k_weights(s, m, 0.3))(scores, mask)
    np.testing.assert_allclose(to_numpy(found), to_numpy(top_k_weights(scores, mask, 0.3)), atol=1e-7)


def test_mean_of_bags_takes_the_chosen_and_is_zero_without_any():
    values = np.array([1.0, 2.0, 6.0], "float32")
    assert to_numpy(mean_of_bags(values, np.array([1.0, 0.0, 1.0], "float32"))) == 3.5
    assert to_numpy(mean_of_bags(values, np.zeros(3, "float32"))) == 0


@pytest.mark.parametrize("k", [0, -1, 0.0, 1.5, "median", None, (1,)])
def test_strange_k_is_named(k):
    with pytest.raises(ValueError, match="`k` must be a number of nodes"):
        top_k_weights(np.ones((1, 2)), k=k)


def test_labels_of_frames_are_refused():
    np.testing.assert_array_equal(to_numpy(labels_of_bags(np.array([[1], [0]]))), [1, 0])
    with pytest.raises(ValueError, match=r"one label per video.*\(2, 5\)"):
        labels_of_bags(np.zeros((2, 5)))


def test_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"`mask` must have the first two axes.*\(2, 4\)"):
        spread_mask(np.zeros((2, 5, 3)), np.ones((2, 4), bool))
    with pytest.raises(ValueError, match=r"\(videos, frames, ...\)"):
        spread_mask(np.zeros(5), None)
