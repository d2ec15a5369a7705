"""Tests of vad_keras.models.baselines.zhong."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.vad_keras.models.baselines import toy
from vad_keras.models.baselines import ZhongLabelCleaner
from vad_keras.models.baselines.zhong import consistency_edges, propagate, similarity_edges

MASK = np.array([[True] * 4, [True, True, False, False]])
SCORES = np.array([[0.9, 0.2, 0.6, 0.4], [0.4, 0.1, 0.0, 0.0]], "float32")
CLEANED = np.array([[0.7, 0.3, 0.5, 0.4], [0.2, 0.4, 0.0, 0.0]], "float32")
ENSEMBLED = np.array([[0.6, 0.5, 0.5, 0.4], [0.2, 0.1, 0.0, 0.0]], "float32")
OUTPUTS = {"anomaly_score": SCORES, "cleaned_label": CLEANED, "ensembled_label": ENSEMBLED}


def small(**kwargs):
    keras.utils.set_random_seed(0)
    sizes = {"units": 16, "cleaner_units": (16, 8, 4), "dropout": 0.0, "warmup_steps": 20, "phase_steps": 10}
    return ZhongLabelCleaner(**{**sizes, **kwargs})


def terms(labels, steps, **kwargs):
    model = small(**kwargs)
    model(toy.INPUTS)
    model.steps.assign(steps)
    outputs = {name: ops.convert_to_tensor(value) for name, value in OUTPUTS.items()}
    found = model.loss_terms(np.array(labels), outputs, ops.convert_to_tensor(MASK))
    return {name: float(value) for name, value in found.items()}


def entropy(target, probability):
    return -(target * np.log(probability) + (1 - target) * np.log(1 - probability))


def test_the_edges_of_both_graphs_by_hand():
    x = np.array([[[[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]]], "float32")
    pairs = np.array([[[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]], bool)  # the third frame is padding
    similar = ops.convert_to_numpy(similarity_edges(x, pairs))[0, 0]
    np.testing.assert_allclose(similar, [[1, np.exp(-1), 0], [np.exp(-4), 1, 0], [0, 0, 0]], rtol=1e-5)
    near = ops.convert_to_numpy(consistency_edges(np.ones((1, 1, 3, 3), bool)))[0, 0]
    np.testing.assert_allclose(near[0], np.exp([0.0, -1.0, -2.0]), rtol=1e-5)


def test_a_branch_is_two_normalised_graph_convolutions_by_hand():
    random = np.random.default_rng(0)
    edges, x = random.uniform(0.1, 1.0, (3, 3)), random.normal(size=(3, 2))
    kernels = [keras.layers.Dense(units, use_bias=False) for units in (4, 1)]
    found = ops.convert_to_numpy(propagate(edges[None, None].astype("float32"), x[None, None], kernels))[0, 0]
    scale = 1 / np.sqrt(edges.sum(axis=1))
    normal = scale[:, None] * edges * scale
    first, second = (layer.get_weights()[0] for layer in kernels)
    np.testing.assert_allclose(found, normal @ np.maximum(normal @ x @ first, 0) @ second, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the classifier, whose scores are given
def test_the_cleaner_moves_a_wrong_label_to_those_of_similar_snippets():
    nodes = np.zeros((2, 8, 1, 6), "float32")
    nodes[0, :4, 0, :2], nodes[0, 4:, 0, 2:4], nodes[1, :, 0, 4:] = 3.0, 3.0, 3.0  # two kinds of moments, and a third
    given = np.array([[0.9, 0.9, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1], [0.0] * 8], "float32")  # the third label is wrong
    options = {"cleaner_units": (64, 64, 64), "confident_share": 1.0, "ensemble_momentum": 0.5}
    model = small(**options, warmup_steps=0, phase_steps=1000, normalize=False)
    inputs, labels = {"nodes": nodes, "mask": np.ones((2, 8), bool)}, np.array([1, 0])
    model.score_frames = with_given_scores(model, given)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    for _ in range(200):
        model.train_on_batch(inputs, labels)
    cleaned = toy.to_numpy(model(inputs))["cleaned_label"][0]
    assert cleaned[2] > 0.5  # it was 0.1
    assert cleaned[:4].min() > 0.5 and cleaned[4:].max() < 0.2


def with_given_scores(model, given):
    """The model with a classifier whose predictions are `given`."""
    score_frames = model.score_frames

    def scored(x, mask, training):
        return {**score_frames(x, mask, training), "anomaly_score": ops.convert_to_tensor(given)}

    return scored


def test_cleaned_labels_span_an_abnormal_video_and_leave_a_normal_one_at_0():
    def found(labels, cleaned, mask):
        arrays = (np.array(labels, "float32"), cleaned, mask)
        return ops.convert_to_numpy(small().classifier_labels(*map(ops.convert_to_tensor, arrays)))

    np.testing.assert_allclose(found([1, 0], CLEANED, MASK), [[1.0, 0.0, 0.5, 0.25], [0] * 4], atol=1e-6)
    only_moment = np.array([[False, True, False, False]])
    assert found([1], CLEANED[:1], only_moment)[0, 1] == 1.0


def test_the_terms_by_hand_in_each_turn():
    warmup, cleaner, classifier = (terms([1, 0], steps, confident_share=0.5) for steps in (20, 21, 31))
    normal = entropy(0, SCORES[1, :2]).mean()
    assert warmup["classification"] == pytest.approx((entropy(1, SCORES[0]).mean() + normal) / 2, rel=1e-5)
    assert warmup["total"] == warmup["classification"]
    direct = (entropy(SCORES[0, :2], CLEANED[0, :2]).mean() + entropy(0, CLEANED[1, :2]).mean()) / 2
    assert cleaner["direct"] == pytest.approx(direct, rel=1e-5)
    assert cleaner["indirect"] == pytest.approx((0.1 + 0.2) / 4 / 2, rel=1e-5)
    assert cleaner["total"] == pytest.approx(direct + cleaner["indirect"], rel=1e-5)
    targets = np.array([1.0, 0.0, 0.5, 0.25])
    assert classifier["total"] == pytest.approx((entropy(targets, SCORES[0]).mean() + normal) / 2, rel=1e-4)
    assert warmup["validation"] == cleaner["validation"] == classifier["validation"]


def test_only_the_network_whose_turn_it_is_learns():
    for steps, learns in ((0, "classifier"), (20, "cleaner"), (30, "classifier"), (40, "cleaner")):
        model = small()
        model(toy.INPUTS)
        model.steps.assign(steps)
        gradients = toy.gradients_by_weight(model)
        moved = [np.abs(gradient).max() > 0 for gradient in gradients]
        of_cleaner = {id(weight) for weight in model.cleaner.weights}
        for weight, moves in zip(model.trainable_weights, moved, strict=True):
            assert moves == ((id(weight) in of_cleaner) == (learns == "cleaner")), (steps, weight.path)


def test_training_counts_steps_and_moves_the_average_of_the_cleaner():
    model = small(warmup_steps=0, ensemble_momentum=0.75)
    model.compile(keras.optimizers.SGD(0.5), jit_compile=False)
    model.evaluate(toy.INPUTS, toy.LABELS, verbose=0)  # makes the weights inside a compiled function
    started = [np.array(weight) for weight in model.cleaner.get_weights()]
    for average, weight in zip(model.ensemble.get_weights(), started, strict=True):
        np.testing.assert_array_equal(average, weight)
    model.train_on_batch(toy.INPUTS, toy.LABELS)
    model.evaluate(toy.INPUTS, toy.LABELS, verbose=0)
    after_one = [np.array(weight) for weight in model.cleaner.get_weights()]
    model.train_on_batch(toy.INPUTS, toy.LABELS)
    assert int(model.steps) == 2
    for average, first, second in zip(model.ensemble.get_weights(), started, after_one, strict=True):
        np.testing.assert_allclose(average, 0.75 * first + 0.25 * second, atol=1e-6)
    assert not model.ensemble.trainable_weights


def test_a_saved_model_goes_on_in_the_same_turn(tmp_path):
    model = small()
    toy.losses_of_fit(model, "adam", epochs=2)
    again = toy.saved_and_loaded(model, tmp_path / "zhong.keras")
    assert int(again.steps) == int(model.steps) == 4
    np.testing.assert_array_equal(*(toy.to_numpy(m(toy.INPUTS))["ensembled_label"] for m in (model, again)))


def test_a_validation_loss_is_the_cross_entropy_of_videos_in_every_turn():
    model = small()
    model.compile("adam", jit_compile=False)
    for steps in (0, 20, 30):
        model(toy.INPUTS)
        model.steps.assign(steps)
        found = model.test_on_batch(toy.INPUTS, toy.LABELS, return_dict=True)
        assert found["loss"] == pytest.approx(found["bag_cross_entropy"])


def test_losses_stay_inside_videos_and_are_finite_at_the_edges():
    for warmup_steps in (0, 20):
        toy.assert_sound_at_the_edges(lambda warmup_steps=warmup_steps: small(warmup_steps=warmup_steps))
        toy.assert_order_of_bags_does_not_matter(small(warmup_steps=warmup_steps))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_lowers_the_loss_through_all_turns(jit_compile):
    model = small(warmup_steps=10, phase_steps=5)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=jit_compile)
    history = model.fit(toy.INPUTS, toy.LABELS, epochs=40, batch_size=6, verbose=0).history
    for name in ("classification", "direct", "bag_cross_entropy"):
        assert history[name][-1] < 0.9 * history[name][0], name


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`confident_share` must be a number in \(0, 1\]\. Received: 0"):
        ZhongLabelCleaner(confident_share=0)
    with pytest.raises(ValueError, match=r"`phase_steps` must be an integer of at least 1\. Received: 0"):
        ZhongLabelCleaner(phase_steps=0)
