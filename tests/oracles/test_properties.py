"""What must hold whatever the shapes, masks, localities and alignment: properties of attention, CRF and detector."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.formulas import softmax, to_numpy
from vad_keras.layers import CliqueSelfAttention, MeanFieldCRF, dense_affinity
from vad_keras.models import AnomalyDetector

CHANNELS = 3
quick = settings(max_examples=20, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)
alignments = st.sampled_from(["centered", "causal"])
inferences = st.sampled_from(["mean_field", "algorithm_1"])
localities = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True).map(tuple)


@st.composite
def videos(draw, max_frames=9, max_patches=4):
    """Nodes `(2, T, G, C)`, lengths `(2,)` and their mask; the padding holds large numbers."""
    num_frames, num_patches = draw(st.integers(1, max_frames)), draw(st.integers(1, max_patches))
    lengths = np.array([num_frames, draw(st.integers(1, num_frames))])
    mask = np.arange(num_frames) < lengths[:, None]
    nodes = np.random.default_rng(draw(seeds)).normal(size=(2, num_frames, num_patches, CHANNELS))
    return np.where(mask[:, :, None, None], nodes, 1e4).astype("float32"), lengths, mask


def attention_of(localities, alignment="centered", normalization="softmax", seed=0):
    layer = CliqueSelfAttention(2, 4, localities, alignment, normalization)
    layer.build((None, None, 1, CHANNELS))
    random = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    return layer


def random_energies(mask, num_patches, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, size=(*mask.shape, num_patches, 2)).astype("float32")


def random_affinity(mask, num_patches, seed=0, scale=1.0):
    num_frames = mask.shape[1]
    weights = np.random.default_rng(seed).uniform(size=(len(mask), num_frames, num_patches, num_frames, num_patches))
    return (scale * weights / (num_frames * num_patches)).astype("float32")


@quick
@given(videos(), localities, alignments, st.sampled_from([1.0, 30.0]), st.floats(0, 20), seeds)
def test_marginals_sum_to_one(video, localities, alignment, spread, strength, seed):
    nodes, _, mask = video
    layer = attention_of(localities, alignment, seed=seed)
    layer.locality_weights.assign(np.full(len(localities), strength / len(localities)))
    _, affinity = layer(nodes, mask=mask, return_affinity=True)
    unary = random_energies(mask, nodes.shape[2], seed, spread)
    marginals = to_numpy(MeanFieldCRF(6)(unary, affinity, mask=mask))
    np.testing.assert_allclose(marginals.sum(axis=-1), 1, atol=1e-6)
    assert marginals.min() >= 0
    # the attention behind it is a distribution over each clique, times the weight of its locality
    rows = to_numpy(dense_affinity(affinity, nodes.shape[1])).sum(axis=(3, 4))
    expected = np.where(mask, strength, 0)[..., None].repeat(rows.shape[2], 2)
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-30)  # float32 knows no 1e-281


@quick
@given(videos(), localities, alignments, st.sampled_from(["softmax", "none"]), seeds)
def test_permuting_the_patches_permutes_attention_and_affinity(video, localities, alignment, normalization, seed):
    nodes, _, mask = video
    layer, order = attention_of(localities, alignment, normalization), np.random.default_rng(seed).permutation
    order = order(nodes.shape[2])
    h, affinity = layer(nodes, mask=mask, return_affinity=True)
    permuted, permuted_affinity = layer(nodes[:, :, order], mask=mask, return_affinity=True)
    scale = max(1, np.abs(to_numpy(h)).max())
    np.testing.assert_allclose(to_numpy(permuted), to_numpy(h)[:, :, order], rtol=1e-4, atol=1e-5 * scale)
    dense, permuted_dense = (to_numpy(dense_affinity(one, nodes.shape[1])) for one in (affinity, permuted_affinity))
    expected = dense[:, :, order][..., order]
    np.testing.assert_allclose(permuted_dense, expected, rtol=1e-4, atol=1e-6 * max(1, dense.max()))


@quick
@given(videos(), inferences, seeds)
def test_permuting_the_patches_permutes_the_marginals(video, inference, seed):
    nodes, _, mask = video
    num_patches = nodes.shape[2]
    order, crf = np.random.default_rng(seed).permutation(num_patches), MeanFieldCRF(5, inference=inference)
    unary = random_energies(mask, num_patches, seed)
    if inference == "mean_field":
        second = random_affinity(mask, num_patches, seed, 2.0)
        permuted = second[:, :, order][..., order]
    else:
        second = random_energies(mask, num_patches, seed + 1)
        permuted = second[:, :, order]
    expected = to_numpy(crf(unary, second, mask=mask))[:, :, order]
    np.testing.assert_allclose(to_numpy(crf(unary[:, :, order], permuted, mask=mask)), expected, atol=1e-5)


def detector_of(inference, alignment, pooling):
    keras.utils.set_random_seed(0)
    model = AnomalyDetector(4, 5, (1, 2, 4), alignment, "softmax", 4, 1e-3, inference, frame_pooling=pooling)
    model.build({"nodes": (None, None, 4, CHANNELS)})
    return model


@quick
@given(videos(), inferences, alignments, st.sampled_from(["max", "mean"]), seeds)
def test_permuting_the_patches_permutes_the_detectors_patch_scores_and_keeps_its_frame_scores(
    video, inference, alignment, pooling, seed
):
    nodes, _, mask = video
    model, order = detector_of(inference, alignment, pooling), np.random.default_rng(seed).permutation(nodes.shape[2])
    expected = model({"nodes": nodes, "mask": mask})
    found = model({"nodes": nodes[:, :, order], "mask": mask})
    for name in ("patch_score", "marginals", "embedding", "unary_probability"):
        left, right = to_numpy(found[name]), to_numpy(expected[name])[:, :, order]
        np.testing.assert_allclose(left[mask], right[mask], atol=2e-5, err_msg=name)
    np.testing.assert_allclose(to_numpy(found["anomaly_score"]), to_numpy(expected["anomaly_score"]), atol=1e-5)


@quick
@given(videos(), alignments, st.sampled_from(["softmax", "none"]))
def test_a_clique_of_one_frame_is_attention_inside_each_frame(video, alignment, normalization):
    nodes, lengths, mask = video
    layer = attention_of((1,), alignment, normalization)
    h = to_numpy(layer(nodes, mask=mask))
    query, key, value = (to_numpy(dense.kernel).astype(np.float64) for dense in (layer.query, layer.key, layer.value))
    for row, length in enumerate(lengths):
        for frame in range(length):  # each frame by itself: the attention of [27] over its patches
            b = nodes[row, frame].astype(np.float64)
            scores = (b @ query) @ (b @ key).T / np.sqrt(2)
            p = softmax(scores) if normalization == "softmax" else np.exp(scores)
            expected = to_numpy(layer.locality_weights)[0] * p @ (b @ value)
            np.testing.assert_allclose(h[row, frame], expected, rtol=1e-4, atol=1e-5 * max(1, np.abs(expected).max()))


@quick
@given(videos(), st.integers(0, 12))
def test_a_window_as_long_as_the_video_is_full_attention(video, longer):
    nodes, lengths, mask = video
    layer = attention_of((nodes.shape[1] + longer,))
    h = to_numpy(layer(nodes, mask=mask))
    for row, length in enumerate(lengths):
        b = nodes[row, :length].astype(np.float64).reshape(-1, CHANNELS)
        query, key, value = (b @ to_numpy(dense.kernel) for dense in (layer.query, layer.key, layer.value))
        expected = to_numpy(layer.locality_weights)[0] * softmax(query @ key.T / np.sqrt(2)) @ value
        np.testing.assert_allclose(h[row, :length].reshape(-1, 4), expected, rtol=1e-4, atol=1e-5)


@quick
@given(videos(), localities, alignments, st.sampled_from([0.1, 5.0]), seeds)
def test_a_zero_kernel_leaves_the_softmax_of_the_unary_energy(video, localities, alignment, spread, seed):
    nodes, _, mask = video
    layer = attention_of(localities, alignment)
    layer.locality_weights.assign(np.zeros(len(localities)))
    _, affinity = layer(nodes, mask=mask, return_affinity=True)
    unary = random_energies(mask, nodes.shape[2], seed, spread)
    marginals, count = MeanFieldCRF(7)(unary, affinity, mask=mask, return_iterations=True)
    np.testing.assert_allclose(to_numpy(marginals)[mask], softmax(-unary.astype(np.float64))[mask], atol=1e-6)
    np.testing.assert_array_equal(to_numpy(count), 1)


@quick
@given(videos(), inferences, st.integers(1, 12), st.integers(1, 12), st.sampled_from([1e-1, 1e-2, 1e-4]), seeds)
def test_halting_keeps_within_max_iterations_and_a_halted_video_changes_no_more(
    video, inference, max_iterations, more, tolerance, seed
):
    nodes, _, mask = video
    unary = random_energies(mask, nodes.shape[2], seed)
    make = random_affinity if inference == "mean_field" else random_energies
    second = make(mask, nodes.shape[2], seed + 1, 2.0)

    def run(max_iterations):
        crf = MeanFieldCRF(max_iterations, tolerance, inference)
        marginals, count = crf(unary, second, mask=mask, return_iterations=True)
        return to_numpy(marginals), to_numpy(count)

    marginals, count = run(max_iterations)
    longer, longer_count = run(max_iterations + more)
    assert count.min() >= 1 and count.max() <= max_iterations and longer_count.max() <= max_iterations + more
    halted = longer_count <= max_iterations
    np.testing.assert_array_equal(count[halted], longer_count[halted])
    np.testing.assert_array_equal(count[~halted], max_iterations)
    np.testing.assert_allclose(longer[halted][mask[halted]], marginals[halted][mask[halted]], atol=1e-7)


@quick
@given(videos(), inferences, alignments, st.integers(0, 9), st.sampled_from([np.nan, np.inf, -3e38, 0.0]))
def test_padding_changes_no_output_of_the_detector(video, inference, alignment, extra, filling):
    nodes, lengths, mask = video
    model = detector_of(inference, alignment, "max")
    rubbish = np.full((2, extra, *nodes.shape[2:]), filling, "float32")
    padded = np.concatenate([np.where(mask[:, :, None, None], nodes, filling), rubbish], axis=1).astype("float32")
    found = model({"nodes": padded, "mask": np.pad(mask, [(0, 0), (0, extra)])})
    for row, length in enumerate(lengths):
        alone = model({"nodes": nodes[row : row + 1, :length]})
        for name in ("anomaly_score", "patch_score", "marginals", "unary_probability", "embedding"):
            left, right = to_numpy(found[name])[row, :length], to_numpy(alone[name])[0]
            np.testing.assert_allclose(left, right, atol=2e-5, err_msg=name)
        assert to_numpy(found["iterations"])[row] == to_numpy(alone["iterations"])[0]
    assert not to_numpy(found["anomaly_score"])[:, nodes.shape[1] :].any()


@pytest.mark.parametrize("alignment", ["centered", "causal"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(1, 30), st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True), seeds)
def test_neighbours_beyond_the_widest_clique_are_never_felt(alignment, num_frames, localities, seed):
    layer, random = attention_of(tuple(localities), alignment), np.random.default_rng(seed)
    nodes = random.normal(size=(1, num_frames, 2, CHANNELS)).astype("float32")
    frame, widest = random.integers(num_frames), max(localities)
    changed = nodes.copy()
    changed[0, frame] += 2
    felt = np.abs(to_numpy(layer(changed)) - to_numpy(layer(nodes)))[0].max(axis=(1, 2)) > 1e-6
    far = np.abs(np.arange(num_frames) - frame) >= widest
    assert felt[frame] and not felt[far].any()
    if alignment == "causal":
        assert not felt[:frame].any()
