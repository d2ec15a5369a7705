"""Tests of vad_keras.layers.mean_field_crf; exact marginals, Algorithm 1 and gradients are in tests/oracles."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.formulas import POTTS, mean_field, softmax, to_numpy, without_own
from vad_keras.cliques import without_own_weight
from vad_keras.layers import CliqueSelfAttention, MeanFieldCell, MeanFieldCRF, dense_affinity


def make_unary(num_videos, num_frames, num_patches, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(num_videos, num_frames, num_patches, 2)).astype("float32")


def make_affinity(num_videos, num_frames, num_patches, coupling=1.0, seed=1):
    """Symmetric and positive; each row sums to about `coupling`."""
    num_nodes = num_frames * num_patches
    matrix = np.random.default_rng(seed).uniform(size=(num_videos, num_nodes, num_nodes))
    matrix = coupling * (matrix + matrix.transpose(0, 2, 1)) / num_nodes
    return matrix.reshape(num_videos, num_frames, num_patches, num_frames, num_patches).astype("float32")


def make_mask(lengths, num_frames):
    return np.arange(num_frames) < np.array(lengths)[:, None]


@settings(max_examples=20, deadline=None)
@given(
    num_frames=st.integers(1, 7),
    num_patches=st.integers(1, 4),
    coupling=st.sampled_from([0.0, 0.5, 3.0, 20.0]),
    max_iterations=st.integers(1, 8),
    seed=st.integers(0, 10_000),
)
def test_dense_affinity_at_any_coupling_equals_numpy(num_frames, num_patches, coupling, max_iterations, seed):
    unary = make_unary(2, num_frames, num_patches, seed)
    affinity = make_affinity(2, num_frames, num_patches, coupling, seed)
    found = to_numpy(MeanFieldCRF(max_iterations, tolerance=0.0)(unary, affinity))
    for video in range(2):
        expected, _ = mean_field(unary[video], affinity[video], max_iterations=max_iterations, tolerance=0.0)
        np.testing.assert_allclose(found[video], expected, atol=1e-5)


@pytest.mark.parametrize("alignment", ["centered", "causal"])
@pytest.mark.parametrize("num_frames", [1, 4, 11])
def test_affinity_of_the_attention_equals_numpy_and_its_dense_form(num_frames, alignment):
    attention = CliqueSelfAttention(4, 4, temporal_localities=(1, 2, 4), alignment=alignment)
    nodes = 2 * np.random.default_rng(0).normal(size=(3, num_frames, 3, 5)).astype("float32")
    lengths = np.maximum(1, np.array([num_frames, num_frames - 2, 1]))
    mask = make_mask(lengths, num_frames)
    _, affinity = attention(nodes, mask=mask, return_affinity=True)
    dense = to_numpy(dense_affinity(affinity, num_frames))
    unary, crf = make_unary(3, num_frames, 3), MeanFieldCRF(6)
    crf.build(unary.shape)
    crf.cell.raw_compatibility.assign([[-0.5, 3.0], [1.0, 0.2]])
    found, from_dense = to_numpy(crf(unary, affinity, mask=mask)), to_numpy(crf(unary, dense, mask=mask))
    for video, n in enumerate(lengths):
        compatibility = np.array([[-0.5, 2.0], [2.0, 0.2]])
        expected, _ = mean_field(unary[video, :n], dense[video, :n, :, :n], compatibility, 6)
        np.testing.assert_allclose(found[video, :n], expected, atol=1e-5)
        np.testing.assert_allclose(from_dense[video, :n], expected, atol=1e-5)


def test_value_by_hand():
    # two nodes, one certain to be abnormal; coupling log 3, so the other one becomes abnormal three to one
    unary = np.array([[[[0.0, 0.0]], [[100.0, 0.0]]]], "float32")
    affinity = np.zeros((1, 2, 1, 2, 1), "float32")
    affinity[0, 0, 0, 1, 0] = np.log(3.0)
    found = to_numpy(MeanFieldCRF(max_iterations=1)(unary, affinity))
    np.testing.assert_allclose(found[0, :, 0], [[0.25, 0.75], [0.0, 1.0]], atol=1e-6)


def test_zero_kernel_gives_the_softmax_of_the_negative_unary_energy():
    unary = make_unary(2, 4, 3)
    found, iterations = MeanFieldCRF()(unary, np.zeros((2, 4, 3, 4, 3), "float32"), return_iterations=True)
    np.testing.assert_allclose(to_numpy(found), softmax(-unary), atol=1e-6)
    np.testing.assert_array_equal(to_numpy(iterations), 1)


def test_own_weight_is_left_out():
    unary, affinity = make_unary(1, 4, 3), make_affinity(1, 4, 3)
    loud = affinity + 50 * np.eye(12).reshape(1, 4, 3, 4, 3).astype("float32")
    crf = MeanFieldCRF()
    np.testing.assert_allclose(to_numpy(crf(unary, loud)), to_numpy(crf(unary, affinity)), atol=1e-6)
    attention = CliqueSelfAttention(4, 4, temporal_localities=(1,))
    _, lonely = attention(np.random.default_rng(0).normal(size=(1, 5, 1, 6)).astype("float32"), return_affinity=True)
    found = to_numpy(crf(make_unary(1, 5, 1), lonely))
    np.testing.assert_allclose(found, softmax(-make_unary(1, 5, 1)), atol=1e-6)


def test_marginals_sum_to_one():
    found = to_numpy(MeanFieldCRF()(make_unary(2, 5, 3, scale=30.0), make_affinity(2, 5, 3, 10.0)))
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-6)


def halting_batch():
    """Three videos, ever harder: no coupling, some, and much."""
    unary = make_unary(3, 5, 2)
    affinity = make_affinity(3, 5, 2) * np.array([0.0, 0.3, 1.5], "float32").reshape(3, 1, 1, 1, 1)
    return unary, affinity


def test_each_video_stops_on_its_own_and_never_after_max_iterations():
    unary, affinity = halting_batch()
    for max_iterations in (1, 3, 40):
        found, iterations = MeanFieldCRF(max_iterations, 1e-4)(unary, affinity, return_iterations=True)
        expected = [mean_field(u, a, POTTS, max_iterations, 1e-4) for u, a in zip(unary, affinity, strict=True)]
        np.testing.assert_array_equal(to_numpy(iterations), [count for _, count in expected])
        np.testing.assert_allclose(to_numpy(found), np.stack([marginals for marginals, _ in expected]), atol=1e-5)
    counts = to_numpy(iterations)
    assert counts[0] < counts[1] < counts[2] < 40
    assert keras.backend.standardize_dtype(iterations.dtype) == "int32"


def test_halted_video_is_frozen_while_others_go_on():
    unary, affinity = halting_batch()
    together, iterations = MeanFieldCRF(40, 1e-2)(unary, affinity, return_iterations=True)
    for video, count in enumerate(to_numpy(iterations)):
        alone = MeanFieldCRF(40, 1e-2)(unary[video : video + 1], affinity[video : video + 1])
        np.testing.assert_allclose(to_numpy(together)[video], to_numpy(alone)[0], atol=1e-6)
        counted = MeanFieldCRF(int(count), 0.0)(unary[video : video + 1], affinity[video : video + 1])
        np.testing.assert_allclose(to_numpy(together)[video], to_numpy(counted)[0], atol=1e-6)
    assert len(set(to_numpy(iterations))) == 3


def test_tolerance_zero_takes_every_iteration():
    unary, affinity = halting_batch()
    _, iterations = MeanFieldCRF(17, 0.0)(unary, affinity, return_iterations=True)
    np.testing.assert_array_equal(to_numpy(iterations), 17)


@pytest.mark.parametrize("inference", ["mean_field", "algorithm_1"])
def test_padding_changes_no_real_frame_whatever_it_holds(inference):
    crf = MeanFieldCRF(inference=inference)
    unary, padded_unary = make_unary(1, 4, 2), make_unary(1, 7, 2, seed=8, scale=9.0)
    padded_unary[:, :4] = unary
    if inference == "mean_field":
        padded = make_affinity(1, 7, 2, coupling=5.0)
        second = padded[:, :4, :, :4]
    else:
        padded = make_unary(1, 7, 2, seed=9, scale=9.0)
        second = padded[:, :4]
    expected, count = crf(unary, second, return_iterations=True)
    found, padded_count = crf(padded_unary, padded, mask=make_mask([4], 7), return_iterations=True)
    np.testing.assert_allclose(to_numpy(found)[:, :4], to_numpy(expected), atol=1e-6)
    np.testing.assert_array_equal(to_numpy(padded_count), to_numpy(count))


@pytest.mark.parametrize("inference", ["mean_field", "algorithm_1"])
def test_batch_equals_its_videos_one_by_one(inference):
    crf, unary = MeanFieldCRF(inference=inference), make_unary(3, 5, 2)
    second = make_affinity(3, 5, 2) if inference == "mean_field" else make_unary(3, 5, 2, seed=3)
    together, counts = crf(unary, second, return_iterations=True)
    for video in range(3):
        rows = slice(video, video + 1)
        alone, count = crf(unary[rows], second[rows], return_iterations=True)
        np.testing.assert_allclose(to_numpy(together)[rows], to_numpy(alone), atol=1e-6)
        assert to_numpy(counts)[video] == to_numpy(count)[0]


def test_compatibility_starts_as_potts_and_stays_symmetric_in_training(gradients):
    crf = MeanFieldCRF()
    crf.build((None, None, 2, 2))
    np.testing.assert_array_equal(to_numpy(crf.compatibility), POTTS)
    crf.cell.raw_compatibility.assign([[1.0, 2.0], [4.0, 3.0]])
    np.testing.assert_array_equal(to_numpy(crf.compatibility), [[1, 3], [3, 3]])
    assert len(crf.trainable_weights) == 1


def test_attractive_coupling_pulls_a_doubtful_node_to_its_neighbours():
    unary = np.tile(np.array([0.0, 2.0], "float32"), (1, 5, 1, 1))
    unary[0, 2, 0] = [0.1, 0.0]  # slightly abnormal among clearly normal ones
    affinity = np.full((1, 5, 1, 5, 1), 0.25, "float32")
    assert to_numpy(MeanFieldCRF()(unary, 0 * affinity))[0, 2, 0, 1] > 0.5
    assert to_numpy(MeanFieldCRF()(unary, affinity))[0, 2, 0, 1] < 0.5


def test_every_argument_changes_something():
    unary, affinity = make_unary(1, 5, 2), make_affinity(1, 5, 2, 3.0)
    base = to_numpy(MeanFieldCRF()(unary, affinity))
    for change in ({"max_iterations": 1}, {"tolerance": 0.05}):
        assert np.abs(to_numpy(MeanFieldCRF(**change)(unary, affinity)) - base).max() > 1e-5, change
    printed = MeanFieldCRF(inference="algorithm_1")(unary, make_unary(1, 5, 2, seed=3))
    assert np.abs(to_numpy(printed) - base).max() > 1e-3


@pytest.mark.parametrize("inference", ["mean_field", "algorithm_1"])
def test_gradients_are_finite_and_reach_every_input(gradients, inference):
    crf, unary = MeanFieldCRF(inference=inference), make_unary(2, 4, 2)
    second = make_affinity(2, 4, 2) if inference == "mean_field" else make_unary(2, 4, 2, seed=3)
    mask = make_mask([4, 2], 4)

    def objective(unary, second):
        return keras.ops.sum(keras.ops.where(mask[:, :, None], crf(unary, second, mask=mask)[..., 1], 0.0))

    for found in gradients(objective, unary, second):
        assert np.isfinite(found).all()
        assert np.abs(found[0]).max() > 0
        assert np.abs(found[1, :2]).max() > 0


@pytest.mark.parametrize("inference", ["mean_field", "algorithm_1"])
def test_compiled_marginals_equal_the_eager_ones(compiled, inference):
    crf, unary, mask = MeanFieldCRF(inference=inference), make_unary(2, 4, 2), make_mask([4, 2], 4)
    second = make_affinity(2, 4, 2) if inference == "mean_field" else make_unary(2, 4, 2, seed=3)
    found = compiled(lambda u, s, m: crf(u, s, mask=m, return_iterations=True))(unary, second, mask)
    expected = crf(unary, second, mask=mask, return_iterations=True)
    np.testing.assert_allclose(to_numpy(found[0]), to_numpy(expected[0]), atol=1e-5)
    np.testing.assert_array_equal(to_numpy(found[1]), to_numpy(expected[1]))


def test_attention_and_crf_train_save_and_load_together(tmp_path):
    nodes, mask = keras.Input((None, 2, 5)), keras.Input((None,), dtype="bool")
    h, affinity = CliqueSelfAttention(4, 4, temporal_localities=(1, 3))(nodes, mask=mask, return_affinity=True)
    crf = MeanFieldCRF(2, 1e-3)
    marginals = crf(keras.layers.Dense(2)(h), affinity, mask=mask)
    model = keras.Model([nodes, mask], keras.ops.mean(marginals[..., 1], axis=2))
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(4, 6, 2, 5)).astype("float32"), make_mask([6, 1, 3, 5], 6)]
    before = to_numpy(crf.compatibility)
    for jit_compile in (True, False):
        model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit_compile)
        history = model.fit(inputs, np.ones((4, 6)), verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    after = to_numpy(crf.compatibility)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_array_equal(after, after.T)
    model.save(tmp_path / "crf.keras")
    again = keras.models.load_model(tmp_path / "crf.keras")
    shorter = [inputs[0][:, :3], inputs[1][:, :3]]
    for one in (inputs, shorter):
        np.testing.assert_allclose(again.predict(one, verbose=0), model.predict(one, verbose=0), atol=1e-6)


def test_energies_stay_in_float32_under_mixed_precision():
    crf = MeanFieldCRF(dtype="mixed_float16")
    unary, affinity = make_unary(1, 4, 2), make_affinity(1, 4, 2)
    found = crf(unary, affinity)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(found), to_numpy(MeanFieldCRF()(unary, affinity)), atol=1e-6)


def test_cell_is_one_update():
    unary, affinity = make_unary(1, 3, 2), make_affinity(1, 3, 2)
    cell, marginals = MeanFieldCell(), softmax(-make_unary(1, 3, 2)).astype("float32")
    found = cell(marginals, unary, without_own(affinity[0])[None].astype("float32"))
    expected, _ = mean_field(unary[0], affinity[0], max_iterations=1)
    np.testing.assert_allclose(to_numpy(found)[0], expected, atol=1e-6)


@pytest.mark.parametrize("form", ["banded", "dense"])
def test_the_crf_is_its_cell_called_again_and_again(form):
    nodes = 2 * np.random.default_rng(0).normal(size=(2, 7, 3, 5)).astype("float32")
    _, affinity = CliqueSelfAttention(4, 4, temporal_localities=(1, 2, 4))(nodes, return_affinity=True)
    affinity = affinity if form == "banded" else dense_affinity(affinity, 7)
    unary, crf = make_unary(2, 7, 3), MeanFieldCRF(5, tolerance=0.0)
    crf.build(unary.shape)
    crf.cell.raw_compatibility.assign([[-0.5, 3.0], [1.0, 0.2]])
    expected = softmax(-unary)
    for _ in range(5):
        expected = crf.cell(expected, unary, without_own_weight(affinity))
    np.testing.assert_allclose(to_numpy(crf(unary, affinity)), to_numpy(expected), atol=1e-6)


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`inference` must be one of.*'gibbs'"):
        MeanFieldCRF(inference="gibbs")
    with pytest.raises(ValueError, match=r"`max_iterations` must be an integer of at least 1\. Received: 0"):
        MeanFieldCRF(max_iterations=0)
    with pytest.raises(ValueError, match=r"\(B, T, G, 2\)\. Received: \(1, 4, 2, 3\)"):
        MeanFieldCRF()(np.zeros((1, 4, 2, 3), "float32"), np.zeros((1, 4, 2, 4, 2), "float32"))
