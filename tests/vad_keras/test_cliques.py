"""Tests of vad_keras.cliques against loops over videos, frames and patches."""

import itertools
from typing import get_args

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vad_keras.cliques import (
    Alignment,
    BandedAffinity,
    banded,
    block_key_frames,
    block_size,
    clique_members,
    dense_affinity,
    gather_frames,
    join_blocks,
    propagate,
    split_blocks,
    without_own_weight,
)


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


def clique(frame, locality, length, alignment):
    """The definition of Sec 3.3.3 as the project reads it: a set of frames of one video."""
    if alignment == "causal":
        return {other for other in range(length) if frame - locality < other <= frame}
    size = min(locality, length)
    windows = [set(range(start, start + size)) for start in range(length - size + 1)]
    wanted = frame - (locality - 1) // 2  # of the windows inside the video, the one that starts nearest to this
    return min(windows, key=lambda window: abs(min(window) - wanted))


def geometry(lengths, num_frames, block_frames, widest, alignment):
    num_blocks = -(-num_frames // block_frames)
    queries = np.arange(num_blocks * block_frames, dtype="int32").reshape(num_blocks, block_frames)
    size = (block_frames, block_frames + widest - 1)
    keys = block_key_frames(np.array(lengths, "int32"), num_blocks, size, widest, alignment)
    return queries, keys


def members_of(queries, keys, lengths, locality, alignment):
    to_tensor = keras.ops.convert_to_tensor
    return to_numpy(clique_members(to_tensor(queries), keys, to_tensor(lengths, "int32"), locality, alignment))


def make_affinity(lengths, num_frames, num_patches, widest, alignment="centered", block_frames=3, seed=0):
    """A banded affinity with random weights inside the cliques."""
    queries, keys = geometry(lengths, num_frames, block_frames, widest, alignment)
    members = members_of(queries, keys, lengths, widest, alignment)
    shape = (*members.shape[:3], num_patches, members.shape[3], num_patches)
    weights = np.random.default_rng(seed).uniform(size=shape) * members[:, :, :, None, :, None]
    return BandedAffinity(keys, keras.ops.convert_to_tensor(weights, "float32"))


def written_out(affinity, num_frames):
    """Oracle of the dense form, weight by weight."""
    weights, keys = to_numpy(affinity.weights), to_numpy(affinity.key_frames)
    num_videos, num_blocks, num_keys, num_patches, block_frames, _ = weights.shape
    dense = np.zeros((num_videos, num_frames, num_patches, num_frames, num_patches), "float32")
    for video, block, row, query_row in np.ndindex(num_videos, num_blocks, num_keys, block_frames):
        query, key = block * block_frames + query_row, keys[video, block, row]
        if query < num_frames and key < num_frames:
            dense[video, query, :, key] += weights[video, block, row, :, query_row].T
    return dense


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 17), min_size=1, max_size=3),
    padding=st.integers(0, 5),
    block_frames=st.integers(1, 6),
    locality=st.integers(1, 9),
    wider_by=st.integers(0, 4),
    alignment=st.sampled_from(get_args(Alignment)),
)
def test_keys_of_a_block_hold_exactly_the_clique_of_each_query(
    lengths, padding, block_frames, locality, wider_by, alignment
):
    num_frames = max(1, max(lengths) + padding)
    queries, keys = geometry(lengths, num_frames, block_frames, locality + wider_by, alignment)
    members = members_of(queries, keys, lengths, locality, alignment)
    keys = to_numpy(keys)
    assert keys.shape == (len(lengths), len(queries), block_frames + locality + wider_by - 1) and keys.min() >= 0
    for video, block, row in np.ndindex(*members.shape[:2], block_frames):
        frame, length = queries[block, row], lengths[video]
        found = keys[video, block, members[video, block, :, row]].tolist()
        assert len(found) == len(set(found))
        assert set(found) == (clique(frame, locality, length, alignment) if frame < length else set())


def test_cliques_of_four_frames_written_out():
    queries, keys = geometry([4], 4, 4, 3, "centered")
    frames = np.arange(6)
    np.testing.assert_array_equal(to_numpy(keys), [[frames]])
    members = members_of(queries, keys, [4], 3, "centered")[0, 0]
    assert [frames[column].tolist() for column in members.T] == [[0, 1, 2], [0, 1, 2], [1, 2, 3], [1, 2, 3]]
    members = members_of(queries, keys, [4], 3, "causal")[0, 0]
    assert [frames[column].tolist() for column in members.T] == [[0], [0, 1], [0, 1, 2], [1, 2, 3]]


@pytest.mark.parametrize("alignment", get_args(Alignment))
def test_cliques_are_nested(alignment):
    queries, keys = geometry([11], 11, 4, 8, alignment)
    each = [members_of(queries, keys, [11], tau, alignment) for tau in range(1, 9)]
    for narrow, wide in itertools.pairwise(each):
        assert not (narrow & ~wide).any()


@pytest.mark.parametrize("num_frames", [1, 4, 5, 8, 9])
def test_joining_undoes_splitting_and_the_rest_is_zero(num_frames):
    values = np.random.default_rng(0).normal(size=(2, num_frames, 3, 2)).astype("float32")
    blocks = split_blocks(values, 4)
    assert tuple(blocks.shape) == (2, -(-num_frames // 4), 4, 3, 2)
    np.testing.assert_array_equal(to_numpy(join_blocks(blocks, num_frames)), values)
    flat = to_numpy(blocks).reshape(2, -1, 3, 2)
    np.testing.assert_array_equal(flat[:, num_frames:], 0)


def test_gathering_takes_the_frames_of_each_video_and_repeats_the_last():
    values = (100 * np.arange(2)[:, None] + np.arange(5)).astype("float32")
    frames = np.array([[[0, 2], [4, 7]], [[1, 1], [3, 9]]], "int32")
    expected = [[[0, 2], [4, 4]], [[101, 101], [103, 104]]]
    np.testing.assert_array_equal(to_numpy(gather_frames(values, frames)), expected)
    deep = np.stack([values, -values], axis=-1)
    np.testing.assert_array_equal(to_numpy(gather_frames(deep, frames))[..., 1], -np.array(expected))


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 11), min_size=1, max_size=3),
    num_patches=st.integers(1, 3),
    widest=st.integers(1, 6),
    block_frames=st.integers(1, 5),
    alignment=st.sampled_from(get_args(Alignment)),
    seed=st.integers(0, 1000),
)
def test_banded_and_dense_affinity_are_one(lengths, num_patches, widest, block_frames, alignment, seed):
    num_frames = max(lengths)
    affinity = make_affinity(lengths, num_frames, num_patches, widest, alignment, block_frames, seed)
    expected = written_out(affinity, num_frames)
    dense = dense_affinity(affinity, num_frames)
    np.testing.assert_allclose(to_numpy(dense), expected, rtol=1e-6)
    values = np.random.default_rng(seed).normal(size=(len(lengths), num_frames, num_patches)).astype("float32")
    message = np.einsum("btgsh,bsh->btg", expected.astype(np.float64), values)
    for form in (affinity, dense):
        np.testing.assert_allclose(to_numpy(propagate(form, values)), message, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alignment", get_args(Alignment))
def test_only_the_weight_of_a_node_to_itself_is_left_out(alignment):
    affinity = make_affinity([7, 4], 7, 3, widest=4, alignment=alignment)
    expected = written_out(affinity, 7)
    frames, patches = np.arange(7)[:, None], np.arange(3)
    assert expected[:1, frames, patches, frames, patches].all()
    expected[:, frames, patches, frames, patches] = 0
    dense = dense_affinity(affinity, 7)
    assert dense_affinity(dense, 7) is dense
    banded = to_numpy(dense_affinity(without_own_weight(affinity), 7))
    np.testing.assert_allclose(banded, expected, rtol=1e-6)
    np.testing.assert_allclose(to_numpy(without_own_weight(dense_affinity(affinity, 7))), expected, rtol=1e-6)


def test_one_block_of_all_frames_is_taken_as_it_is():
    values = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    keys = block_key_frames(np.array([5, 2], "int32"), 1, (5, 5), 3, "centered")
    np.testing.assert_array_equal(to_numpy(keys), np.broadcast_to(np.arange(5), (2, 1, 5)))
    np.testing.assert_array_equal(to_numpy(gather_frames(values, keys)), values[:, None])


@pytest.mark.parametrize(
    ("num_frames", "num_patches", "widest", "expected"),
    [(256, 14, 8, (4, 11)), (11, 14, 8, (11, 11)), (12, 14, 8, (4, 11)), (256, 1, 8, (16, 23)), (9, 14, 1, (2, 2))],
)
def test_blocks_are_small_where_a_frame_has_many_nodes_and_one_where_frames_are_few(
    num_frames, num_patches, widest, expected
):
    assert block_size(num_frames, num_patches, widest) == expected


def test_gathering_and_splitting_compile(compiled):
    def both(values, frames):
        return gather_frames(values, frames), join_blocks(split_blocks(values, 4), values.shape[1])

    values, frames = np.ones((2, 6, 3), "float32"), np.zeros((2, 1, 4), "int32")
    gathered, joined = compiled(both)(values, frames)
    assert tuple(gathered.shape) == (2, 1, 4, 3) and tuple(joined.shape) == (2, 6, 3)


def test_a_banded_affinity_is_known_in_the_forms_a_saved_model_gives_back():
    affinity = make_affinity([4], 4, 2, 2)
    for form in (affinity, list(affinity), affinity._asdict()):
        assert isinstance(banded(form), BandedAffinity) and banded(form).weights is affinity.weights
    assert banded(np.zeros((1, 4, 2, 4, 2))) is None
    in_order, of_a_dict = keras.tree.flatten(affinity), keras.tree.flatten(affinity._asdict())
    assert all(one is other for one, other in zip(in_order, of_a_dict, strict=True))  # older files hold a dict
