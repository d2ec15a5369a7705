"""Tests of vad_keras.models.baselines.bn_wvad."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import BNWVAD
from vad_keras.models.baselines.bn_wvad import mean_hinge

SIZES = {"units": 16, "heads": 2, "head_dim": 8, "mlp_units": 16, "depth": 1, "head_ratios": (2, 4)}


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return BNWVAD(**{**SIZES, **kwargs})


def settled(**kwargs):
    """A model whose running statistics are not those it starts with."""
    model = small(**kwargs)
    for _ in range(3):
        model(toy.INPUTS, training=True)
    return model


def test_divergence_and_score_are_the_printed_ones_by_hand():
    model = settled(depth=0)
    found = toy.to_numpy(model(toy.INPUTS))
    x = ops.convert_to_numpy(model.embed(np.where(toy.MASK[..., None], toy.NODES[:, :, 0], 0)))
    divergences = []
    for dense, norm in zip(model.head, model.norms, strict=True):
        w, b = dense.get_weights()
        gamma, beta, mean, variance = norm.get_weights()
        features = x @ w + b
        divergences.append(np.sqrt(((features - mean) ** 2 / (variance + 1e-5)).sum(axis=-1)))
        x = np.maximum((features - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)
    w, b = model.scorer.get_weights()
    classifier = 1 / (1 + np.exp(-(x @ w + b)[..., 0]))
    score = classifier * sum(divergences)
    for name, value in (
        ("divergence_1", divergences[0]),
        ("divergence_2", divergences[1]),
        ("classifier_score", classifier),
        ("anomaly_score", score / (score + np.sqrt(8) + np.sqrt(4))),
    ):
        np.testing.assert_allclose(found[name], np.where(toy.MASK, value, 0), rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_bound_of_the_score_changes_no_order_of_classifier_times_divergence():
    found = toy.to_numpy(settled()(toy.INPUTS))
    product = found["classifier_score"] * (found["divergence_1"] + found["divergence_2"])
    np.testing.assert_array_equal(np.argsort(product[toy.MASK]), np.argsort(found["anomaly_score"][toy.MASK]))
    assert found["anomaly_score"].min() >= 0 and found["anomaly_score"].max() < 1


def test_running_statistics_follow_real_frames_only():
    longer = np.concatenate([toy.NODES, np.full((12, 3, 2, 8), 90.0, "float32")], axis=1)
    padded = {"nodes": longer, "mask": np.concatenate([toy.MASK, np.zeros((12, 3), bool)], axis=1)}
    statistics = []
    for inputs in (padded, toy.INPUTS):
        model = small()
        model(inputs, training=True)
        statistics.append(np.concatenate([w for norm in model.norms for w in norm.get_weights()[2:]]))
    np.testing.assert_allclose(*statistics, atol=1e-5)
    assert np.abs(statistics[0][:8]).max() > 0.01  # the running mean has left 0


def test_frames_are_chosen_in_the_video_and_in_the_batch_by_hand():
    divergence = np.float32([[5, 1, 2, 3, 4], [9, 8, 7, 6, 0], [1, 5, 2, 4, 3], [2, 1, 9, 9, 9]])
    mask = np.array([[True] * 5] * 3 + [[True, True, False, False, False]])
    abnormal, normal = small()._select(np.float32([1, 1, 0, 0]), divergence, ops.convert_to_tensor(mask))
    # a fifth of each abnormal video: 5 and 9; 4 of the 10 abnormal frames: 9, 8, 7, 6; 5 together
    np.testing.assert_array_equal(ops.convert_to_numpy(abnormal), [[1, 0, 0, 0, 0], [1, 1, 1, 1, 0], [0] * 5, [0] * 5])
    # as many of both normal videos: floor(5 / 2) + 1 of each, as far as it has frames
    np.testing.assert_array_equal(ops.convert_to_numpy(normal), [[0] * 5, [0] * 5, [0, 1, 0, 1, 1], [1, 1, 0, 0, 0]])


def test_the_hinge_of_all_pairs_equals_the_double_loop(gradients):
    random = np.random.default_rng(0)
    values = random.normal(size=40).astype("float32")
    kind = random.integers(0, 3, size=40)
    normal, abnormal = np.float32(kind == 0), np.float32(kind == 1)
    pairs = [(i, j) for i in np.flatnonzero(normal) for j in np.flatnonzero(abnormal)]
    hinges = [max(0.0, values[i] - values[j] + 0.5) for i, j in pairs]
    assert float(mean_hinge(ops.convert_to_tensor(values), normal, abnormal, 0.5)) == pytest.approx(np.mean(hinges))
    slope = np.zeros(40)
    for (i, j), hinge in zip(pairs, hinges, strict=True):
        slope[i] += (hinge > 0) / len(pairs)
        slope[j] -= (hinge > 0) / len(pairs)
    (found,) = gradients(lambda x: mean_hinge(x, normal, abnormal, 0.5), values)
    np.testing.assert_allclose(found, slope, atol=1e-5)
    assert float(mean_hinge(ops.convert_to_tensor(values), np.zeros(40, "float32"), abnormal, 0.5)) == 0


def test_the_loss_terms_are_the_published_sum():
    model = settled()
    found, outputs = toy.terms_of(model), toy.to_numpy(model(toy.INPUTS))
    lengths = np.linalg.norm(outputs["classifier_score"], axis=1)
    assert found["normal"] == pytest.approx(lengths[toy.LABELS == 0].mean(), rel=1e-5)
    assert found["total"] == pytest.approx(found["normal"] + found["pull_push"], rel=1e-5)
    one, other = (toy.terms_of(settled(layer_weights=weights))["pull_push"] for weights in ((1.0, 0.0), (0.0, 1.0)))
    assert found["pull_push"] == pytest.approx(5 * one + 20 * other, rel=1e-5)


def test_training_pushes_abnormal_frames_from_the_mean_and_pulls_normal_ones_to_it():
    model = settled(normal_weight=0.0)

    def gap():
        found = toy.to_numpy(model(toy.INPUTS))["divergence_2"]
        return found[toy.LABELS == 1, 2].mean() - found[toy.LABELS == 0].max(axis=1).mean()

    before = gap()
    model.compile(keras.optimizers.Adam(0.005), jit_compile=False)
    model.fit(toy.INPUTS, toy.LABELS, epochs=20, batch_size=12, verbose=0)
    assert gap() > before + 0.5


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    losses = toy.losses_of_fit(small(), keras.optimizers.Adam(0.005), jit_compile)
    assert losses[-1] < 0.8 * losses[0]


def test_default_sizes_are_the_published_ones():
    model = BNWVAD()
    model.build({"nodes": (None, None, 1, 8)})
    assert [tuple(dense.kernel.shape) for dense in (*model.head, model.scorer)] == [(512, 32), (32, 16), (16, 1)]
    assert tuple(model.blocks[0].to_qkvt.kernel.shape) == (512, 4 * 4 * 128) and len(model.blocks) == 2


def test_loss_and_gradients_are_sound_at_the_edges():
    toy.assert_sound_at_the_edges(lambda: small(dropout=0.5))


def test_the_order_of_bags_does_not_matter():
    toy.assert_order_of_bags_does_not_matter(settled())


def test_shares_and_ratios_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match=r"`batch_share` must be a number in \(0, 1\]\. Received: 40"):
        BNWVAD(batch_share=40)
    with pytest.raises(
        ValueError, match=r"`head_ratios` must be two numbers of at most units=16. Received: \(16, 32\)"
    ):
        BNWVAD(units=16)
