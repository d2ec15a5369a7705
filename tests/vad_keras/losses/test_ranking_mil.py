"""Tests of vad_keras.losses.ranking_mil."""

import keras
import numpy as np
import pytest

from vad_keras.losses import RankingMIL, ranking_mil

LABELS = np.array([1, 0, 0, 1])
SCORES = np.array([[0.7, 0.2], [0.1, 0.4], [0.9, 0.3], [0.6, 0.8]], "float32")


def to_numpy(terms):
    return {name: float(keras.ops.convert_to_numpy(value)) for name, value in terms.items()}


def test_every_term_by_hand():
    # maxima: abnormal .7, .8; normal .4, .9
    terms = to_numpy(ranking_mil(LABELS, SCORES))
    assert terms["ranking"] == pytest.approx((0.7 + 1.2 + 0.6 + 1.1) / 4)
    assert terms["sparsity"] == pytest.approx((0.9 + 1.4) / 2)
    assert terms["temporal_smoothness"] == pytest.approx((0.25 + 0.04) / 2)
    assert terms["total"] == pytest.approx(0.9 + 8e-5 * (1.15 + 0.145))


def test_pairs_are_the_ith_abnormal_with_the_ith_normal():
    terms = to_numpy(ranking_mil(LABELS, SCORES, pairing="paired"))
    assert terms["ranking"] == pytest.approx((0.7 + 1.1) / 2)


def test_video_without_a_partner_takes_no_part_in_pairs():
    three = to_numpy(ranking_mil(LABELS[:3], SCORES[:3], pairing="paired"))
    assert three["ranking"] == pytest.approx(0.7)


def test_shuffling_the_bags_changes_nothing():
    expected = to_numpy(ranking_mil(LABELS, SCORES))
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(4)
        assert to_numpy(ranking_mil(LABELS[order], SCORES[order])) == pytest.approx(expected, rel=1e-6)


def test_interleaving_the_two_kinds_changes_no_pair():
    order = np.array([1, 0, 3, 2])  # keeps the order within each kind
    expected = to_numpy(ranking_mil(LABELS, SCORES, pairing="paired"))
    assert to_numpy(ranking_mil(LABELS[order], SCORES[order], pairing="paired")) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("pairing", ["all", "paired"])
def test_padding_changes_nothing(pairing):
    padded = np.concatenate([SCORES, np.full((4, 3), 0.99, "float32")], axis=1)
    mask = np.arange(5) < np.full((4, 1), 2)
    found = to_numpy(ranking_mil(LABELS, padded, mask, pairing=pairing))
    assert found == pytest.approx(to_numpy(ranking_mil(LABELS, SCORES, pairing=pairing)), rel=1e-6)


@pytest.mark.parametrize("pairing", ["all", "paired"])
@pytest.mark.parametrize("label", [0, 1])
def test_batch_of_one_kind_has_no_pair(pairing, label):
    terms = to_numpy(ranking_mil(np.full(4, label), SCORES, pairing=pairing))
    assert terms["ranking"] == 0
    assert np.isfinite(terms["total"])


def test_gradient_raises_the_abnormal_maximum_and_lowers_the_normal_one(gradients):
    (found,) = gradients(lambda s: ranking_mil(LABELS, s, sparsity_weight=0.0, smoothness_weight=0.0)["total"], SCORES)
    np.testing.assert_allclose(found, [[-0.5, 0], [0, 0.5], [0.5, 0], [0, -0.5]], atol=1e-6)


@pytest.mark.parametrize("pairing", ["all", "paired"])
def test_compiled_terms_equal_the_eager_ones(compiled, pairing):
    found = to_numpy(compiled(lambda y, s: ranking_mil(y, s, pairing=pairing))(LABELS, SCORES))
    assert found == pytest.approx(to_numpy(ranking_mil(LABELS, SCORES, pairing=pairing)), rel=1e-5)


def test_every_argument_changes_the_total():
    base = to_numpy(ranking_mil(LABELS, SCORES, pairing="all"))["total"]
    unequal = SCORES[:3], LABELS[:3]
    assert to_numpy(ranking_mil(unequal[1], unequal[0], pairing="paired"))["total"] != pytest.approx(
        to_numpy(ranking_mil(unequal[1], unequal[0]))["total"]
    )
    for change in ({"margin": 0.5}, {"sparsity_weight": 1.0}, {"smoothness_weight": 1.0}):
        assert to_numpy(ranking_mil(LABELS, SCORES, **change))["total"] != pytest.approx(base), change


def test_class_equals_the_function_and_survives_its_config():
    made = RankingMIL(pairing="paired", margin=0.5, sparsity_weight=0.1, smoothness_weight=0.2)
    again = keras.losses.deserialize(keras.losses.serialize(made))
    expected = to_numpy(ranking_mil(LABELS, SCORES, None, "paired", 0.5, 0.1, 0.2))["total"]
    for one in (made, again):
        assert float(keras.ops.convert_to_numpy(one(LABELS, SCORES))) == pytest.approx(expected, rel=1e-6)


def test_unknown_pairing_is_named():
    for make in (lambda: ranking_mil(LABELS, SCORES, pairing="every"), lambda: RankingMIL(pairing="every")):
        with pytest.raises(ValueError, match=r"`pairing` must be one of.*'every'"):
            make()
