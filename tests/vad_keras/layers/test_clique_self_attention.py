"""Tests of vad_keras.layers.clique_self_attention against Eq. 1, 3 and 4 written out in float64 NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vad_keras.layers import CliqueSelfAttention, dense_affinity

CHANNELS = 5


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


def clique(frame, locality, num_frames, alignment):
    """The frames of a clique, as `method.md` and the class docstring define them."""
    if alignment == "causal":
        return range(max(0, frame - locality + 1), frame + 1)
    size = min(locality, num_frames)
    start = min(max(frame - (locality - 1) // 2, 0), num_frames - size)
    return range(start, start + size)


def oracle(layer, nodes):
    """Affinity `(T, G, T, G)` and output `(T, G, F)` of one video without padding, node by node in float64."""
    query, key, value = (
        nodes.astype(np.float64) @ to_numpy(dense.kernel).astype(np.float64)
        for dense in (layer.query, layer.key, layer.value)
    )
    num_frames, num_patches = nodes.shape[:2]
    affinity = np.zeros((num_frames, num_patches, num_frames, num_patches))
    weights = to_numpy(layer.locality_weights).astype(np.float64)
    for j in range(num_frames):
        for i in range(num_patches):
            for weight, locality in zip(weights, layer.temporal_localities, strict=True):
                frames = list(clique(j, locality, num_frames, layer.alignment))
                similarity = np.exp(key[frames] @ query[j, i] / np.sqrt(layer.key_dim))  # (frames, G)
                if layer.normalization == "softmax":
                    similarity /= similarity.sum()
                affinity[j, i, frames] += weight * similarity
    return affinity, np.einsum("jiab,abf->jif", affinity, value)


def built(localities=(1, 2, 4), num_patches=3, **kwargs):
    """A layer with locality weights that differ, so that swapping two of them shows."""
    layer = CliqueSelfAttention(key_dim=4, value_dim=6, temporal_localities=localities, **kwargs)
    layer.build((None, None, num_patches, CHANNELS))
    layer.locality_weights.assign(np.linspace(0.3, 0.9, len(localities)))
    return layer


def make_nodes(num_videos, num_frames, num_patches=3, seed=0):
    return np.random.default_rng(seed).normal(size=(num_videos, num_frames, num_patches, CHANNELS)).astype("float32")


def make_mask(lengths, num_frames):
    return np.arange(num_frames) < np.array(lengths)[:, None]


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("alignment", ["centered", "causal"])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 7, 8, 9, 20])
def test_windowed_pass_equals_the_formula(num_frames, alignment, normalization):
    layer = built((1, 2, 4, 6, 8), alignment=alignment, normalization=normalization)
    nodes = make_nodes(2, num_frames)
    h, affinity = layer(nodes, return_affinity=True)
    dense = to_numpy(dense_affinity(affinity, num_frames))
    for video in range(2):
        expected_affinity, expected = oracle(layer, nodes[video])
        np.testing.assert_allclose(dense[video], expected_affinity, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(to_numpy(h)[video], expected, rtol=1e-4, atol=1e-5 * max(1, np.abs(expected).max()))


@settings(max_examples=25, deadline=None)
@given(
    num_frames=st.integers(1, 13),
    num_patches=st.integers(1, 4),
    localities=st.lists(st.integers(1, 11), min_size=1, max_size=4, unique=True),
    alignment=st.sampled_from(["centered", "causal"]),
    normalization=st.sampled_from(["softmax", "none"]),
    seed=st.integers(0, 10_000),
)
def test_any_shape_with_padding_equals_the_formula(num_frames, num_patches, localities, alignment, normalization, seed):
    layer = built(tuple(localities), num_patches, alignment=alignment, normalization=normalization)
    lengths = np.random.default_rng(seed).integers(1, num_frames + 1, size=3)
    nodes = make_nodes(3, num_frames, num_patches, seed)
    h, affinity = layer(nodes, mask=make_mask(lengths, num_frames), return_affinity=True)
    dense = to_numpy(dense_affinity(affinity, num_frames))
    for video, n in enumerate(lengths):
        expected_affinity, expected = oracle(layer, nodes[video, :n])
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(to_numpy(h)[video, :n], expected, rtol=1e-4, atol=1e-5 * scale)
        np.testing.assert_allclose(dense[video, :n, :, :n], expected_affinity, rtol=1e-4, atol=1e-6)
        assert not dense[video, n:].any()
        assert not dense[video, :, :, n:].any()
        assert not to_numpy(h)[video, n:].any()


@pytest.mark.parametrize(
    ("locality", "expected"),
    [
        (1, ["0", "1", "2", "3", "4"]),
        (2, ["01", "12", "23", "34", "34"]),
        (3, ["012", "012", "123", "234", "234"]),
        (4, ["0123", "0123", "1234", "1234", "1234"]),
        (6, ["01234"] * 5),
    ],
)
def test_centered_cliques_of_five_frames_written_out(locality, expected):
    _, affinity = built((locality,))(make_nodes(1, 5), return_affinity=True)
    reached = to_numpy(dense_affinity(affinity, 5))[0].min(axis=(1, 3)) > 0
    assert ["".join(map(str, np.flatnonzero(row))) for row in reached] == expected


@pytest.mark.parametrize(("locality", "expected"), [(1, ["0", "1", "2", "3"]), (3, ["0", "01", "012", "123"])])
def test_causal_cliques_of_four_frames_written_out(locality, expected):
    _, affinity = built((locality,), alignment="causal")(make_nodes(1, 4), return_affinity=True)
    reached = to_numpy(dense_affinity(affinity, 4))[0].min(axis=(1, 3)) > 0
    assert ["".join(map(str, np.flatnonzero(row))) for row in reached] == expected


def test_softmax_rows_sum_to_the_sum_of_the_locality_weights():
    layer = built((1, 3, 8))
    _, affinity = layer(make_nodes(2, 11), return_affinity=True)
    rows = to_numpy(dense_affinity(affinity, 11)).sum(axis=(3, 4))
    np.testing.assert_allclose(rows, to_numpy(layer.locality_weights).sum(), rtol=1e-5)


def test_future_frames_do_not_touch_causal_cliques():
    layer, nodes = built((1, 4), alignment="causal"), make_nodes(1, 9)
    changed = nodes.copy()
    changed[:, 5:] += 3.0
    before, after = to_numpy(layer(nodes)), to_numpy(layer(changed))
    np.testing.assert_allclose(after[:, :5], before[:, :5], atol=1e-6)
    assert np.abs(after[:, 5:] - before[:, 5:]).max() > 0.1


@pytest.mark.parametrize("alignment", ["centered", "causal"])
def test_padding_changes_no_real_frame(alignment):
    layer, nodes = built((1, 2, 8), alignment=alignment), make_nodes(1, 6)
    expected = to_numpy(layer(nodes))
    for extra in (1, 5, 17):
        rubbish = np.full((1, extra, 3, CHANNELS), np.nan, "float32")
        padded = np.concatenate([nodes, rubbish], axis=1)
        found = to_numpy(layer(padded, mask=make_mask([6], 6 + extra)))
        np.testing.assert_allclose(found[:, :6], expected, atol=1e-6)
        np.testing.assert_array_equal(found[:, 6:], 0)


def test_batch_equals_its_videos_one_by_one():
    layer, lengths = built((1, 2, 4, 6)), [9, 1, 4]
    nodes = make_nodes(3, 9)
    together = to_numpy(layer(nodes, mask=make_mask(lengths, 9)))
    for video, n in enumerate(lengths):
        alone = to_numpy(layer(nodes[video : video + 1, :n]))
        np.testing.assert_allclose(together[video, :n], alone[0], atol=1e-6)


def test_large_scores_do_not_overflow_under_softmax():
    h = to_numpy(built()(1e4 * make_nodes(1, 6)))
    assert np.isfinite(h).all()


def layer_of_exponentials(num_channels):
    """E = F = 1 and one frame per clique; the query reads the first channel, key and value the last."""
    layer = CliqueSelfAttention(key_dim=1, value_dim=1, temporal_localities=(1,), normalization="none")
    layer.build((None, None, 1, num_channels))
    first, last = np.eye(num_channels)[:, :1], np.eye(num_channels)[:, -1:]
    for dense, kernel in ((layer.query, first), (layer.key, last), (layer.value, last)):
        dense.kernel.assign(kernel)
    return layer


def test_scores_outside_the_clique_overflow_nothing():
    nodes = np.zeros((1, 8, 1, 1), "float32")
    nodes[0, 5:7, 0, 0] = 5.0, 40.0  # e^200, the score between the two, has no float32
    for mask in (None, np.ones((1, 8), bool)):
        h = to_numpy(layer_of_exponentials(1)(nodes, mask=mask))[0, :, 0, 0]
        assert h[5] == pytest.approx(5.0 * np.exp(25.0), rel=1e-5)
        np.testing.assert_array_equal(h[[0, 1, 2, 3, 4, 7]], 0.0)


def test_gradients_are_finite_beside_scores_that_overflow(gradients):
    nodes = np.zeros((1, 8, 1, 2), "float32")
    nodes[0, 5, 0], nodes[0, 6, 0] = (5.0, 2.0), (0.0, 40.0)  # from node 5 to node 6: e^200; to itself: e^10
    layer = layer_of_exponentials(2)
    (found,) = gradients(lambda x: keras.ops.sum(layer(x)), nodes)
    expected = np.zeros_like(nodes)
    expected[0, :, 0, 1] = 1.0  # of e^(q k) k by q: k^2 e^(q k), by k: (1 + q k) e^(q k)
    expected[0, 5, 0] = np.array([4.0, 11.0]) * np.exp(10.0)
    expected[0, 6, 0] = 1600.0, 1.0
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.filterwarnings("error::UserWarning")
def test_cliques_of_one_frame_equal_the_formula_without_a_warning():
    layer, nodes = built((1,)), make_nodes(1, 3)
    np.testing.assert_allclose(to_numpy(layer(nodes))[0], oracle(layer, nodes[0])[1], atol=1e-5)


def test_locality_weights_start_equal_and_sum_to_one():
    layer = CliqueSelfAttention(4, 6, temporal_localities=(1, 2, 4, 8))
    layer.build((None, None, 3, CHANNELS))
    np.testing.assert_allclose(to_numpy(layer.locality_weights), 0.25)


def test_every_argument_changes_something():
    def output(localities=(1, 2, 4), **kwargs):
        layer = built(localities, **kwargs)
        for dense, seed in ((layer.query, 1), (layer.key, 2), (layer.value, 3)):
            dense.kernel.assign(np.random.default_rng(seed).normal(size=dense.kernel.shape))
        return to_numpy(layer(make_nodes(1, 9)))

    base = output()
    for change in ({"localities": (1, 2, 5)}, {"alignment": "causal"}, {"normalization": "none"}):
        assert np.abs(output(**change) - base).max() > 1e-3, change
    assert CliqueSelfAttention(4, 7)(make_nodes(1, 2)).shape[-1] == 7
    layer = CliqueSelfAttention(9, 7)
    layer(make_nodes(1, 2))
    assert tuple(layer.query.kernel.shape) == tuple(layer.key.kernel.shape) == (CHANNELS, 9)


def test_gradients_are_finite_also_for_a_video_that_is_all_padding(gradients):
    layer, mask = built((1, 4)), make_mask([6, 0, 2], 6)
    nodes = make_nodes(3, 6)
    (found,) = gradients(lambda x: keras.ops.sum(keras.ops.square(layer(x, mask=mask))), nodes)
    assert np.isfinite(found).all()
    assert np.abs(found[mask]).min(axis=-1).max() > 0
    np.testing.assert_array_equal(found[~mask], 0)


def test_gradient_equals_a_finite_difference_of_the_formula(gradients):
    layer, nodes, step = built((1, 3)), make_nodes(1, 5), 1e-5
    direction = np.random.default_rng(1).normal(size=nodes[0].shape)
    up, down = (
        np.sum(oracle(layer, nodes[0].astype(np.float64) + sign * step * direction)[1] ** 2) for sign in (1, -1)
    )
    (found,) = gradients(lambda x: keras.ops.sum(keras.ops.square(layer(x))), nodes)
    assert np.sum(found[0] * direction) == pytest.approx((up - down) / (2 * step), rel=1e-3)


def test_compiled_output_equals_the_eager_one(compiled):
    layer, nodes, mask = built(), make_nodes(2, 7), make_mask([7, 3], 7)
    found = compiled(lambda x, m: layer(x, mask=m))(nodes, mask)
    np.testing.assert_allclose(to_numpy(found), to_numpy(layer(nodes, mask=mask)), atol=1e-5)


def test_model_of_free_length_trains_saves_and_loads(tmp_path):
    nodes, mask = keras.Input((None, 3, CHANNELS)), keras.Input((None,), dtype="bool")
    layer = CliqueSelfAttention(4, 6, temporal_localities=(1, 3), alignment="causal")
    model = keras.Model([nodes, mask], keras.ops.mean(layer(nodes, mask=mask), axis=2))
    for jit_compile in (True, False):
        model.compile("adam", "mse", jit_compile=jit_compile)
        history = model.fit([make_nodes(4, 6), make_mask([6, 2, 3, 5], 6)], np.ones((4, 6, 6)), verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "attention.keras")
    again = keras.models.load_model(tmp_path / "attention.keras")
    for num_frames in (1, 5):
        inputs = [make_nodes(2, num_frames), make_mask([num_frames, 1], num_frames)]
        np.testing.assert_allclose(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0), atol=1e-6)


def test_mixed_precision_keeps_the_affinity_in_float32_and_stays_close():
    exact, half = built(), built(dtype="mixed_float16")
    half.set_weights(exact.get_weights())
    h, affinity = half(make_nodes(1, 6), return_affinity=True)
    assert keras.backend.standardize_dtype(affinity.weights.dtype) == "float32"
    assert keras.backend.standardize_dtype(h.dtype) == "float16"
    np.testing.assert_allclose(to_numpy(h), to_numpy(exact(make_nodes(1, 6))), atol=2e-2)


def test_errors_name_what_came():
    for localities in ((), (0, 2), (-1,)):
        with pytest.raises(ValueError, match=r"`temporal_localities"):
            CliqueSelfAttention(4, 6, temporal_localities=localities)
    with pytest.raises(ValueError, match=r"must not repeat.*\(2, 2\)"):
        CliqueSelfAttention(4, 6, temporal_localities=(2, 2))
    with pytest.raises(ValueError, match=r"`alignment` must be one of.*'left'"):
        CliqueSelfAttention(4, 6, alignment="left")
    with pytest.raises(ValueError, match=r"`normalization` must be one of.*'max'"):
        CliqueSelfAttention(4, 6, normalization="max")
    with pytest.raises(ValueError, match=r"\(B, T, G, C\).*\(2, 5, 8\)"):
        CliqueSelfAttention(4, 6)(np.ones((2, 5, 8), "float32"))


def test_a_layer_of_float64_computes_in_float64():
    exact, nodes = built(dtype="float64"), make_nodes(2, 7)
    h, affinity = exact(nodes, mask=make_mask([7, 4], 7), return_affinity=True)
    if keras.backend.standardize_dtype(h.dtype) != "float64":
        pytest.skip("this backend multiplies matrices in float32 only")
    assert keras.backend.standardize_dtype(affinity.weights.dtype) == "float64"
    expected_affinity, expected = oracle(exact, nodes[0])
    np.testing.assert_allclose(to_numpy(h)[0], expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(to_numpy(dense_affinity(affinity, 7))[0], expected_affinity, rtol=1e-12, atol=1e-15)
