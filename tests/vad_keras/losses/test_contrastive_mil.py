"""Tests of vad_keras.losses.contrastive_mil."""

import keras
import numpy as np
import pytest

from vad_keras.losses import contrastive_mil
from vad_keras.losses.contrastive_mil import bag_embedding

TERMS = ("bag_cross_entropy", "sparsity", "temporal_smoothness", "contrast", "total")


def to_numpy(terms):
    return {name: float(keras.ops.convert_to_numpy(value)) for name, value in terms.items()}


def batch(seed=0, num_bags=5, num_frames=6, num_patches=3, size=4):
    random = np.random.default_rng(seed)
    abnormal = random.uniform(size=(num_bags, num_frames, num_patches)).astype("float32")
    outputs = {
        "patch_score": random.uniform(size=(num_bags, num_frames, num_patches)).astype("float32"),
        "marginals": np.stack([1 - abnormal, abnormal], axis=-1),
        "embedding": 0.3 * random.normal(size=(num_bags, num_frames, num_patches, size)).astype("float32"),
    }
    mask = np.arange(num_frames) < random.integers(2, num_frames + 1, size=(num_bags, 1))
    return np.array([0, 1, 1, 0, 1][:num_bags]), outputs, mask


def test_every_term_by_hand():
    outputs = {
        "patch_score": np.array([[[0.5], [0.25]], [[0.75], [0.25]]], "float32"),
        "marginals": np.array([[[[0.8, 0.2]], [[0.9, 0.1]]], [[[0.4, 0.6]], [[0.7, 0.3]]]], "float32"),
        "embedding": np.array([[[[0.0, 0.0]], [[9.0, 9.0]]], [[[0.6, 0.0]], [[9.0, 9.0]]]], "float32"),
    }
    terms = to_numpy(contrastive_mil(np.array([0, 1]), outputs, k=1))
    marginals = -(np.log(0.8) + np.log(0.6)) / 2
    scores = -(np.log(0.5) + np.log(0.75)) / 2
    expected = {
        "bag_cross_entropy": marginals + scores,
        "sparsity": 1.0,  # of the abnormal video alone
        "temporal_smoothness": 0.25,
        "contrast": 0.16,  # the best nodes lie 0.6 apart
    }
    expected["total"] = marginals + scores + 8e-5 * 1.25 + 0.16
    assert terms == pytest.approx(expected, rel=1e-5)
    printed = to_numpy(contrastive_mil(np.array([0, 1]), outputs, k=1, cross_entropy_on=("marginals",)))
    assert printed["bag_cross_entropy"] == pytest.approx(marginals, rel=1e-5)


def test_shuffling_the_bags_changes_nothing():
    labels, outputs, mask = batch()
    expected = to_numpy(contrastive_mil(labels, outputs, mask, k=0.3))
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(labels))
        shuffled = {name: value[order] for name, value in outputs.items()}
        assert to_numpy(contrastive_mil(labels[order], shuffled, mask[order], k=0.3)) == pytest.approx(
            expected, rel=1e-5
        )


def test_padding_changes_nothing():
    labels, outputs, mask = batch()
    padded = {
        name: np.concatenate([value, np.full((5, 3, *value.shape[2:]), 7.0, "float32")], axis=1)
        for name, value in outputs.items()
    }
    padded_mask = np.concatenate([mask, np.zeros((5, 3), bool)], axis=1)
    for k in (2, 0.3, "mean"):
        expected = to_numpy(contrastive_mil(labels, outputs, mask, k=k))
        assert to_numpy(contrastive_mil(labels, padded, padded_mask, k=k)) == pytest.approx(expected, rel=1e-5)


def test_batch_of_one_kind_has_no_contrast():
    _, outputs, mask = batch()
    assert to_numpy(contrastive_mil(np.zeros(5), outputs, mask))["contrast"] == 0
    terms = to_numpy(contrastive_mil(np.zeros(5), outputs, mask))
    assert terms["sparsity"] == 0
    assert np.isfinite(terms["total"])


def test_every_argument_changes_the_total():
    labels, outputs, mask = batch()
    base = to_numpy(contrastive_mil(labels, outputs, mask))["total"]
    changes = (
        {"sparsity_weight": 1.0},
        {"smoothness_weight": 1.0},
        {"contrast_weight": 0.5},
        {"k": 0.5},
        {"margin": 2.0},
        {"normalize_embeddings": True},
        {"contrast_form": "printed"},
        {"cross_entropy_on": ("marginals",)},
    )
    for change in changes:
        changed = to_numpy(contrastive_mil(labels, outputs, mask, **change))["total"]
        assert changed != pytest.approx(base, rel=1e-4), change


def test_gradients_are_finite_and_zero_in_padding(gradients):
    labels, outputs, mask = batch()
    names = sorted(outputs)

    def total(*values):
        return contrastive_mil(labels, dict(zip(names, values, strict=True)), mask)["total"]

    found = dict(zip(names, gradients(total, *(outputs[name] for name in names)), strict=True))
    for name, gradient in found.items():
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() > 0, name
        np.testing.assert_array_equal(gradient[~mask], 0, err_msg=name)


def test_compiled_terms_equal_the_eager_ones(compiled):
    labels, outputs, mask = batch()
    found = to_numpy(compiled(lambda y, o, m: contrastive_mil(y, o, m))(labels, outputs, mask))
    assert tuple(found) == TERMS
    assert found == pytest.approx(to_numpy(contrastive_mil(labels, outputs, mask)), rel=1e-5)


def test_bag_embedding_is_the_mean_over_the_best_scored_nodes():
    _, outputs, mask = batch(num_bags=3)
    found = keras.ops.convert_to_numpy(bag_embedding(outputs["embedding"], outputs["patch_score"], mask, k=2))
    for row, score, embedding, real in zip(found, outputs["patch_score"], outputs["embedding"], mask, strict=True):
        best = np.argsort(-score[real].ravel())[:2]
        np.testing.assert_allclose(row, embedding[real].reshape(-1, 4)[best].mean(axis=0), rtol=1e-5, atol=1e-6)


def test_missing_output_is_named():
    labels, outputs, mask = batch()
    del outputs["embedding"]
    with pytest.raises(KeyError, match=r"lacks .'embedding'.*marginals.*patch_score"):
        contrastive_mil(labels, outputs, mask)


def test_embeddings_of_unit_length_stay_within_reach_of_the_margin():
    labels, outputs, mask = batch()
    outputs["embedding"] = 1000 * (1 + outputs["embedding"])  # alike but for their spread, as those of real videos
    raw = to_numpy(contrastive_mil(labels, outputs, mask))
    unit = to_numpy(contrastive_mil(labels, outputs, mask, normalize_embeddings=True))
    assert raw["contrast"] == 0
    assert unit["contrast"] > 0.01
