"""Tests of vad_keras.models.baselines.zaheer_self_reasoning."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import ZaheerSelfReasoning

MASK = np.array([[True] * 4, [True] * 4, [True, True, True, False]])
GROUPS = np.array([[0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0]], "float32")
FEATURES = np.stack([GROUPS * 6.0, GROUPS * 8.0], axis=-1)  # two clusters 10 apart
SCORES = np.array([[0.2, 0.3, 0.9, 0.1], [0.1, 0.8, 0.7, 0.9], [0.6, 0.1, 0.2, 0.0]], "float32")


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return ZaheerSelfReasoning(**{"units": (16, 4), "dropout": 0.0, "warmup_steps": 20, **kwargs})


def terms(labels, steps=21, **kwargs):
    model = small(**kwargs)
    model(toy.INPUTS)
    model.steps.assign(steps)
    outputs = {"anomaly_score": ops.convert_to_tensor(SCORES), "embedding": ops.convert_to_tensor(FEATURES)}
    found = model.loss_terms(np.array(labels), outputs, ops.convert_to_tensor(MASK))
    return {name: float(value) for name, value in found.items()}


def test_the_cluster_with_the_higher_mean_score_is_called_anomalous_by_hand():
    labels = np.array([1.0, 1.0, 0.0], "float32")
    found = small().pseudo_labels(*map(ops.convert_to_tensor, (labels, SCORES, GROUPS.astype(bool), MASK)))
    # means 0.5 and 0.25, then 0.1 and 0.8; a normal video has none
    np.testing.assert_array_equal(ops.convert_to_numpy(found), [[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]])


def test_padding_and_the_name_of_a_cluster_change_no_pseudo_label():
    labels, model = np.ones(3, "float32"), small()
    found = ops.convert_to_numpy(
        model.pseudo_labels(*map(ops.convert_to_tensor, (labels, SCORES, GROUPS.astype(bool), MASK)))
    )
    swapped = ops.convert_to_numpy(
        model.pseudo_labels(*map(ops.convert_to_tensor, (labels, SCORES, ~GROUPS.astype(bool) & MASK, MASK)))
    )
    np.testing.assert_array_equal(found, swapped)
    assert found[2].tolist() == [1, 0, 1, 0]


def test_the_loss_by_hand():
    found = terms([1, 1, 0], distance_bound=4.0)
    errors = [
        np.square([0.2, 0.3, 0.1, 0.9]).mean(),
        np.square([0.1, 0.2, 0.3, 0.1]).mean(),
        np.square([0.6, 0.1, 0.2]).mean(),
    ]
    assert found["regression"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert found["clustering"] == pytest.approx((0.1 + 0.1 + 4.0) / 3, rel=1e-4)
    assert found["sparsity"] == pytest.approx((1.5 + 2.5) / 2, rel=1e-5)
    parts = found["regression"] + 0.01 * found["clustering"]
    assert found["total"] == pytest.approx(parts + 8e-5 * (found["sparsity"] + found["temporal_smoothness"]), rel=1e-5)


def test_a_normal_video_is_asked_for_zeros_whatever_its_clusters():
    assert terms([0, 0, 0])["regression"] == pytest.approx(
        np.mean([np.square(SCORES[i][MASK[i]]).mean() for i in range(3)]), rel=1e-5
    )


def test_the_labels_of_videos_are_taken_until_the_warm_up_is_over():
    for steps, reasoned in ((0, False), (1, False), (20, False), (21, True)):
        found = terms([1, 1, 0], steps)
        errors = [np.square(SCORES[i][MASK[i]] - label).mean() for i, label in enumerate((1, 1, 0))]
        given = found["validation"] - found["regression"] + np.mean(errors)
        assert found["total"] == pytest.approx(found["validation"] if reasoned else given, rel=1e-5), steps


def test_a_validation_loss_never_counts_the_warm_up():
    model = small()
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    model.train_on_batch(toy.INPUTS, toy.LABELS)
    assert int(model.steps) == 1
    found = model.test_on_batch(toy.INPUTS, toy.LABELS, return_dict=True)
    assert found["loss"] == pytest.approx(toy.terms_of(model)["validation"], rel=1e-5)
    assert int(model.steps) == 1


def test_training_finds_the_moments_that_are_unlike_normal_ones():
    model = small(units=(64, 16), warmup_steps=60)
    toy.losses_of_fit(model, keras.optimizers.Adam(0.005), epochs=60)
    outputs = toy.to_numpy(model(toy.INPUTS))
    abnormal = (toy.LABELS == 1) & toy.MASK[:, 3]
    assert outputs["anomaly_score"][abnormal, 2].mean() > outputs["anomaly_score"][abnormal, 0].mean() + 0.3


def test_losses_stay_inside_videos_and_are_finite_at_the_edges():
    toy.assert_sound_at_the_edges(small)
    toy.assert_order_of_bags_does_not_matter(small())


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss(jit_compile):
    losses = toy.losses_of_fit(small(), keras.optimizers.Adam(0.01), jit_compile, epochs=40)
    assert losses[-1] < 0.7 * losses[0]


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`distance_bound` must be a number in \(0, inf\)\. Received: 0"):
        ZaheerSelfReasoning(distance_bound=0)
