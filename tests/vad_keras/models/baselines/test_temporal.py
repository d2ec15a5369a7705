"""Tests of vad_keras.models.baselines._temporal."""

import numpy as np
import pytest
from keras import ops

from vad_keras.models.baselines._temporal import (
    cross_entropy,
    from_segments,
    length_of,
    mean_over_frames,
    mean_over_pairs,
    proximity,
    segment_means,
    softmax_over_keys,
    top_frames,
    weighted_mean,
    zero_padding,
)

MASK = np.array([[True, True, True], [True, False, False]])


def test_silence_puts_0_in_padding_for_any_number_of_axes():
    for shape in ((2, 3), (2, 3, 4), (2, 3, 4, 5)):
        found = ops.convert_to_numpy(zero_padding(np.ones(shape, "float32"), MASK))
        np.testing.assert_array_equal(found.sum(axis=tuple(range(2, len(shape)))) > 0, MASK)


def test_softmax_is_over_real_frames_and_each_row_sums_to_1():
    energies = np.log(np.array([[[1.0, 3.0, 4.0]] * 3, [[1.0, 5.0, 5.0]] * 3], "float32"))
    found = ops.convert_to_numpy(softmax_over_keys(energies, MASK))
    np.testing.assert_allclose(found[0], [[1 / 8, 3 / 8, 4 / 8]] * 3, atol=1e-6)
    np.testing.assert_allclose(found[1], [[1, 0, 0]] * 3, atol=1e-6)
    by_head = ops.convert_to_numpy(softmax_over_keys(np.stack([energies, energies], axis=1), MASK))
    np.testing.assert_array_equal(by_head[:, 1], found)


def test_proximity_falls_with_the_distance_in_frames_and_is_0_from_padding():
    found = ops.convert_to_numpy(proximity(MASK))
    steps = np.exp(-np.array([0, 1, 2]) / np.e)
    np.testing.assert_allclose(found[0, 0], steps, rtol=1e-6)
    np.testing.assert_allclose(found[0, 1], steps[[1, 0, 1]], rtol=1e-6)
    np.testing.assert_array_equal(found[1, :, 1:], 0)


def test_means_leave_padding_out_even_where_it_is_not_a_number():
    values = np.array([[1.0, 2.0, 6.0], [5.0, np.nan, 9.0]], "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(mean_over_frames(values, MASK)), [3, 5])
    weights = np.array([[0.5, 0, 0.5], [1, 0, 0]], "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(weighted_mean(values, weights)), [3.5, 5])
    vectors = np.stack([values, -values], axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(weighted_mean(vectors, weights)), [[3.5, -3.5], [5, -5]])


@pytest.mark.parametrize(("num_frames", "number"), [(1, 1), (15, 1), (16, 2), (40, 3)])
def test_one_frame_and_one_more_for_each_16_speak_for_a_video(num_frames, number):
    values = np.random.default_rng(0).normal(size=(1, 50)).astype("float32")
    weights = ops.convert_to_numpy(top_frames(values, np.arange(50)[None] < num_frames))[0]
    expected = np.zeros(50)
    expected[np.argsort(-values[0, :num_frames])[:number]] = 1 / number
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_length_has_no_gradient_at_0_where_a_root_has_an_infinite_one(gradients):
    vectors = np.array([[3.0, 4.0], [0.0, 0.0]], "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(length_of(vectors)), [5, 0])
    (found,) = gradients(lambda x: ops.sum(length_of(x)), vectors)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_cross_entropy_is_the_printed_one_and_finite_at_both_ends():
    found = ops.convert_to_numpy(cross_entropy(np.float32([1, 0, 1, 0]), np.float32([0.25, 0.25, 0.0, 1.0])))
    np.testing.assert_allclose(found[:2], [-np.log(0.25), -np.log(0.75)], rtol=1e-6)
    assert np.isfinite(found).all() and (found[2:] > 10).all()


def test_pairs_join_an_abnormal_row_and_a_normal_column():
    values = np.arange(9, dtype="float32").reshape(3, 3)
    assert float(mean_over_pairs(values, ops.convert_to_tensor([1.0, 0.0, 1.0]))) == pytest.approx((1 + 7) / 2)
    assert float(mean_over_pairs(values, ops.convert_to_tensor([1.0, 1.0, 1.0]))) == 0


@pytest.mark.parametrize("segments", [1, 3, 4, 7, 9, 20])
def test_segments_are_the_equal_parts_of_the_real_frames_by_hand(segments):
    x = np.random.default_rng(0).normal(size=(3, 9, 2)).astype("float32")
    lengths = (9, 4, 1)
    mask = np.arange(9) < np.array(lengths)[:, None]
    found = ops.convert_to_numpy(segment_means(ops.convert_to_tensor(x), ops.convert_to_tensor(mask), segments))
    spread = ops.convert_to_numpy(from_segments(ops.convert_to_tensor(found), ops.convert_to_tensor(mask)))
    assert spread.shape == (3, 9, 2)
    for video, length in enumerate(lengths):
        starts = [part * length // segments for part in range(segments)]
        ends = [max(end, start + 1) for start, end in zip(starts, [*starts[1:], length], strict=True)]
        means = [x[video, start:end].mean(axis=0) for start, end in zip(starts, ends, strict=True)]
        np.testing.assert_allclose(found[video], means, atol=1e-5)
        for frame in range(9):
            part = max((part for part in range(segments) if starts[part] <= frame), default=None)
            expected = found[video, part] if frame < length else np.zeros(2)
            np.testing.assert_array_equal(spread[video, frame], expected)
