"""Examples against those that TensorFlow writes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.examples import serialize_bag, serialize_clip


def by_tensorflow(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def byte_list(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def float_list(*values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def int_list(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


FRAME = st.tuples(st.binary(max_size=300), st.integers(0, 2**40), st.floats(0, 1e6))


@settings(max_examples=200, deadline=None)
@given(
    frames=st.lists(FRAME, max_size=20),
    video_id=st.text(max_size=200),
    number=st.integers(0, 10**6),
    label=st.sampled_from([0, 1, None]),
    fps=st.floats(0.1, 1000),
)
def test_a_clip_has_the_bytes_that_tensorflow_writes(frames, video_id, number, label, fps):
    jpegs, indices, times_sec = zip(*frames, strict=True) if frames else ((), (), ())
    expected = by_tensorflow(
        frames=byte_list(*jpegs),
        frame_indices=int_list(*indices),
        times_sec=float_list(*times_sec),
        video_id=byte_list(video_id.encode()),
        snippet_index=int_list(number),
        label=int_list(-1 if label is None else label),
        fps=float_list(fps),
    )
    assert serialize_clip(jpegs, indices, times_sec, video_id, number, label, fps) == expected


@pytest.mark.parametrize("num_frames", [0, 1, 300])
def test_a_bag_has_the_bytes_that_tensorflow_writes(num_frames):
    nodes = np.random.default_rng(0).normal(size=(num_frames, 3, 4))
    indices = 16 * np.arange(num_frames)
    expected = by_tensorflow(
        nodes=byte_list(nodes.astype("<f2").tobytes()),
        shape=int_list(num_frames, 3, 4),
        video_id=byte_list("train/ä".encode()),
        label=int_list(-1),
        frame_indices=int_list(*indices),
    )
    assert serialize_bag(nodes, "train/ä", None, indices) == expected


def test_a_bag_needs_one_index_per_frame():
    with pytest.raises(ValueError, match=r"one frame index per time step.*\(5, 3, 4\) and 2 indices"):
        serialize_bag(np.zeros((5, 3, 4)), "a", 1, [0, 2])


def test_a_prior_is_stored_beside_the_nodes():
    prior = np.array([[0.5, -2.0], [3.0, 1.0]])
    expected = by_tensorflow(
        nodes=byte_list(np.ones((2, 2, 1), "<f2").tobytes()),
        shape=int_list(2, 2, 1),
        video_id=byte_list(b"a"),
        label=int_list(1),
        frame_indices=int_list(0, 16),
        prior=byte_list(prior.astype("<f4").tobytes()),
    )
    assert serialize_bag(np.ones((2, 2, 1)), "a", 1, [0, 16], prior) == expected
    with pytest.raises(ValueError, match=r"`prior` must be \(T, G\) = \(2, 2\). Received: \(2, 1\)"):
        serialize_bag(np.ones((2, 2, 1)), "a", 1, [0, 16], prior[:, :1])
