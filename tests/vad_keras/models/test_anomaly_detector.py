"""Tests of vad_keras.models.anomaly_detector."""

import io
import math
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from vad_keras import spec
from vad_keras.losses import contrastive_mil
from vad_keras.metrics import video_auc
from vad_keras.models import AnomalyDetector

LENGTHS = np.array([9, 4, 1, 7, 6, 9, 5, 3])
LABELS = np.array([1, 0, 0, 1, 0, 1, 1, 0])
MASK = np.arange(9) < LENGTHS[:, None]
NODES = np.random.default_rng(0).normal(size=(8, 9, 5, 6)).astype("float32")
NODES[LABELS == 1, 2, 3] += 2.5  # one patch of the third frame of each abnormal video
INPUTS = {"nodes": NODES, "mask": MASK}
PER_FRAME = (spec.ANOMALY_SCORE, spec.PATCH_SCORE, spec.MARGINALS, spec.UNARY_PROBABILITY, spec.EMBEDDING)
INFERENCES = ("mean_field", "algorithm_1")


def to_numpy(outputs):
    return {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}


def small(**kwargs):
    """A small detector whose weights lie far from their start, so that every part of it shows in the scores."""
    keras.utils.set_random_seed(0)
    sizes = {"key_dim": 4, "value_dim": 7, "temporal_localities": (1, 2, 4), "hidden_units": 5}
    model = AnomalyDetector(**{"dropout": 0.0, "max_iterations": 4, "tolerance": 1e-3, **sizes, **kwargs})
    model.build({"nodes": (None, None, *NODES.shape[2:])})
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(keras.ops.convert_to_numpy(weight) + random.normal(0, 0.4, weight.shape))
    return model


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def test_a_video_of_one_node_by_hand():
    model = small(node_normalization="none", temporal_localities=(1, 2))
    node = np.linspace(-1, 1, 6)
    weights = {weight.path.split("/", 1)[1]: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    # the clique of the only node is the node, its softmax weight is 1, and the CRF has no neighbour to listen to
    h = weights["attention/locality_weights"].sum() * node @ weights["attention/value/kernel"]
    h = h + node @ weights["skip/kernel"] + weights["skip/bias"]
    hidden = h @ weights["f_s_hidden/kernel"] + weights["f_s_hidden/bias"]
    hidden = hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2  # GELU
    score = 1 / (1 + np.exp(-(hidden @ weights["f_s/kernel"] + weights["f_s/bias"])))
    marginals = softmax(-(node @ weights["f_u/kernel"] + weights["f_u/bias"]))
    outputs = to_numpy(model({"nodes": node.reshape(1, 1, 1, 6).astype("float32")}))
    np.testing.assert_allclose(outputs["embedding"][0, 0, 0], h, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs["patch_score"][0, 0], score, rtol=1e-5)
    np.testing.assert_allclose(outputs["anomaly_score"][0], score, rtol=1e-5)
    np.testing.assert_allclose(outputs["marginals"][0, 0, 0], marginals, rtol=1e-5)
    np.testing.assert_allclose(outputs["unary_probability"][0, 0, 0], marginals[1], rtol=1e-5)


@pytest.mark.parametrize("source", ["scorer", "marginals", "mean"])
@pytest.mark.parametrize("pooling", ["max", "mean", "whole_frame"])
def test_frame_score_is_pooled_from_the_chosen_head(pooling, source):
    outputs = to_numpy(small(frame_pooling=pooling, score_from=source)(INPUTS))
    heads = {"scorer": outputs["patch_score"], "marginals": outputs["marginals"][..., 1]}
    heads["mean"] = (heads["scorer"] + heads["marginals"]) / 2
    pool = {"max": lambda x: x.max(axis=-1), "mean": lambda x: x.mean(axis=-1), "whole_frame": lambda x: x[..., 0]}
    expected = np.where(MASK, pool[pooling](heads[source]), 0)
    np.testing.assert_allclose(outputs["anomaly_score"], expected, atol=1e-6)


@pytest.mark.parametrize("inference", INFERENCES)
@pytest.mark.parametrize("alignment", ["centered", "causal"])
def test_padding_changes_no_real_frame(alignment, inference):
    model = small(alignment=alignment, inference=inference)
    expected = to_numpy(model(INPUTS))
    for extra in (1, 11):
        rubbish = np.full((8, extra, 5, 6), np.nan, "float32")
        padded = {
            "nodes": np.concatenate([np.where(MASK[..., None, None], NODES, np.nan), rubbish], axis=1),
            "mask": np.pad(MASK, [(0, 0), (0, extra)]),
        }
        found = to_numpy(model(padded))
        for name in PER_FRAME:
            np.testing.assert_allclose(found[name][:, :9][MASK], expected[name][MASK], atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(found["anomaly_score"][~padded["mask"]], 0)
        np.testing.assert_array_equal(found["patch_score"][~padded["mask"]], 0)
        np.testing.assert_array_equal(found["iterations"], expected["iterations"])


@pytest.mark.parametrize("inference", INFERENCES)
def test_batch_equals_its_videos_one_by_one(inference):
    model = small(inference=inference, max_iterations=8, tolerance=0.03)
    together = to_numpy(model(INPUTS))
    assert len(set(together["iterations"].tolist())) > 1
    for video, length in enumerate(LENGTHS):
        alone = to_numpy(model({"nodes": NODES[video : video + 1, :length]}))
        for name in PER_FRAME:
            np.testing.assert_allclose(together[name][video, :length], alone[name][0], atol=1e-5, err_msg=name)
        assert together["iterations"][video] == alone["iterations"][0]


def test_losses_of_a_batch_are_those_of_eq_9_and_shuffling_the_bags_changes_none():
    model = small(loss_options={"sparsity_weight": 0.1, "smoothness_weight": 0.2, "k": 0.3, "margin": 20.0})
    model.compile("sgd", jit_compile=False)
    found = model.evaluate(INPUTS, LABELS, batch_size=8, verbose=0, return_dict=True)
    outputs = model(INPUTS)
    terms = to_numpy(contrastive_mil(LABELS, outputs, MASK, **model.loss_options))
    assert set(found) == {"loss", "bag_auc", *AnomalyDetector.LOSS_TERMS}
    for name in AnomalyDetector.LOSS_TERMS:
        assert found[name] == pytest.approx(float(terms[name]), rel=1e-5) and terms[name] > 0, name
    assert found["loss"] == pytest.approx(float(terms["total"]), rel=1e-5)
    assert found["bag_auc"] == pytest.approx(video_auc(LABELS, to_numpy(outputs)["anomaly_score"]), abs=0.05)
    for order in (np.random.default_rng(0).permutation(8), np.arange(8)[::-1]):
        shuffled = {name: value[order] for name, value in INPUTS.items()}
        again = model.evaluate(shuffled, LABELS[order], batch_size=8, verbose=0, return_dict=True)
        assert again == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(("inference", "jit_compile"), [("mean_field", True), ("algorithm_1", False)])
def test_fit_learns_the_videos_and_every_weight_takes_part(inference, jit_compile):
    model = small(inference=inference, dropout=0.1, max_iterations=2)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in model.trainable_variables]
    history = model.fit(INPUTS, LABELS, epochs=30, batch_size=8, verbose=0).history
    assert set(history) == {"loss", "bag_auc", *AnomalyDetector.LOSS_TERMS}
    assert history["loss"][-1] < 0.7 * history["loss"][0] and history["bag_auc"][-1] > 0.7
    for weight, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(keras.ops.convert_to_numpy(weight) - old).max() > 1e-4, weight.path


@pytest.mark.parametrize("inference", INFERENCES)
def test_saved_model_gives_the_same_scores_and_trains_on(tmp_path, inference):
    model = small(inference=inference, projection_dim=4, max_iterations=2, loss_options={"contrast_form": "printed"})
    model.compile(keras.optimizers.AdamW(0.01), jit_compile=False)
    model.fit(INPUTS, LABELS, batch_size=4, verbose=0)
    model.save(tmp_path / "detector.keras")
    again = keras.models.load_model(tmp_path / "detector.keras")
    assert again.get_config() == model.get_config() and again.loss_options == {"contrast_form": "printed"}
    assert int(again.optimizer.iterations) == 2
    expected, found = model.predict(INPUTS, verbose=0), again.predict(INPUTS, verbose=0)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
    again.fit(INPUTS, LABELS, batch_size=4, verbose=0)
    assert int(again.optimizer.iterations) == 4


def test_files_keep_the_layout_of_older_ones(tmp_path):
    model = small()
    model.save(tmp_path / "detector.keras")
    with zipfile.ZipFile(tmp_path / "detector.keras") as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
        assert "skip" not in weights
        np.testing.assert_array_equal(weights["around/vars/0"], keras.ops.convert_to_numpy(model.skip.kernel))


def test_predict_takes_any_length_and_gives_the_same_bytes_twice():
    model = small(dropout=0.5, max_iterations=1)
    model.compile("sgd", jit_compile=False)
    for length in (1, 9):
        inputs = {"nodes": NODES[:, :length], "mask": MASK[:, :length]}
        first, second = (model.predict(inputs, batch_size=3, verbose=0) for _ in range(2))
        assert first["anomaly_score"].shape == (8, length)
        assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_scores_lie_between_0_and_1_and_marginals_sum_to_1():
    outputs = to_numpy(small()(INPUTS))
    for name in ("anomaly_score", "patch_score", "marginals", "unary_probability"):
        assert outputs[name].min() >= 0 and outputs[name].max() <= 1
    np.testing.assert_allclose(outputs["marginals"].sum(axis=-1), 1, atol=1e-6)


def test_every_argument_of_the_arithmetic_changes_the_scores():
    base = small()

    def change(**kwargs):
        model = small(**kwargs)
        model.set_weights(base.get_weights())
        found, expected = to_numpy(model(INPUTS)), to_numpy(base(INPUTS))
        return max(np.abs(found[name][MASK] - expected[name][MASK]).max() for name in PER_FRAME)

    changes = (
        {"temporal_localities": (1, 2, 5)},
        {"alignment": "causal"},
        {"normalization": "none"},
        {"max_iterations": 1},
        {"tolerance": 0.5},
        {"node_normalization": "none"},
        {"node_normalization": "unit"},
        {"frame_pooling": "mean"},
        {"score_from": "marginals"},
    )
    assert change() == 0
    for changed in changes:
        assert change(**changed) > 1e-4, changed


def test_every_argument_of_the_structure_changes_the_weights():
    def shapes(**kwargs):
        return {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in small(**kwargs).weights}

    base = shapes()
    assert base["attention/query/kernel"] == (6, 4) and base["attention/value/kernel"] == (6, 7)
    assert base["f_s_hidden/kernel"] == (7, 5) and base["attention/locality_weights"] == (3,)
    assert shapes(key_dim=9)["attention/key/kernel"] == (6, 9)
    assert shapes(value_dim=3)["f_s_hidden/kernel"] == (3, 5)
    assert shapes(hidden_units=2)["f_s/kernel"] == (2, 1)
    assert shapes(projection_dim=3)["attention/value/kernel"] == (3, 7)
    assert set(base) - set(shapes(residual=False)) == {"skip/kernel", "skip/bias"}
    assert set(shapes(inference="algorithm_1")) - set(base) == {"f_p/kernel", "f_p/bias"}
    assert {name.split("/")[0] for name in set(base) - set(shapes(self_attention_crf=False))} == {"attention", "crf"}


def test_without_self_attention_crf_each_node_is_scored_by_itself():
    model = small(self_attention_crf=False)
    outputs, changed = to_numpy(model(INPUTS)), NODES.copy()
    changed[:, 2, 3] += 1.0
    others = to_numpy(model({"nodes": changed, "mask": MASK}))
    np.testing.assert_array_equal(outputs["marginals"][..., spec.ABNORMAL][MASK], outputs["unary_probability"][MASK])
    assert (outputs["iterations"] == 0).all()
    for name in ("patch_score", "unary_probability"):
        moved = outputs[name] != others[name]
        assert moved[:, 2, 3].any() and moved.sum() == moved[:, 2, 3].sum(), name
    with pytest.raises(ValueError, match=r"needs `residual=True`"):
        small(self_attention_crf=False, residual=False)


def test_dropout_and_loss_options_change_the_loss():
    base = small()

    def loss(training=False, dropout=0.0, **options):
        model = small(dropout=dropout, loss_options={"margin": 20.0, **options})  # so that the contrast is not 0
        for weight, value in zip(model.trainable_variables, base.trainable_variables, strict=True):
            weight.assign(value)
        return float(model.compute_loss(INPUTS, LABELS, model(INPUTS, training=training)))

    assert loss(dropout=0.5) == loss()
    assert abs(loss(training=True, dropout=0.5) - loss()) > 1e-4
    for options in (
        {"k": "mean"},
        {"contrast_form": "printed"},
        {"contrast_weight": 0.5},
        {"sparsity_weight": 1.0},
        {"smoothness_weight": 1.0},
        {"margin": 9.0},
        {"cross_entropy_on": ("marginals",)},
    ):
        assert abs(loss(**options) - loss()) > 1e-4, options


def test_nodes_and_the_input_of_the_scorer_are_dropped_in_training():
    model = small(dropout=0.5)
    expected, found = to_numpy(model(INPUTS)), to_numpy(model(INPUTS, training=True))
    assert np.abs(found["unary_probability"] - expected["unary_probability"])[MASK].max() > 1e-3
    model.node_dropout.rate = 0.0
    found = to_numpy(model(INPUTS, training=True))
    np.testing.assert_array_equal(found["unary_probability"], expected["unary_probability"])
    assert np.abs(found["patch_score"] - expected["patch_score"])[MASK].max() > 1e-3


@pytest.mark.parametrize("inference", INFERENCES)
def test_compiled_scores_equal_the_eager_ones(compiled, inference):
    model = small(inference=inference)
    expected = to_numpy(model(INPUTS))
    found = to_numpy(compiled(lambda nodes, mask: model({"nodes": nodes, "mask": mask}))(NODES, MASK))
    for name in PER_FRAME:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_mixed_precision_keeps_outputs_in_float32_and_stays_close():
    exact, half = small(), small(dtype="mixed_float16")
    half.set_weights(exact.get_weights())
    outputs = half(INPUTS)
    for name in PER_FRAME:
        assert keras.backend.standardize_dtype(outputs[name].dtype) == "float32", name
    found, expected = to_numpy(outputs)["anomaly_score"], to_numpy(exact(INPUTS))["anomaly_score"]
    np.testing.assert_allclose(found, expected, atol=2e-2)


@pytest.mark.parametrize("normalization", ["layer", "unit"])
def test_nodes_of_zeros_do_not_break_the_normalisation(normalization):
    outputs = to_numpy(small(node_normalization=normalization)({"nodes": np.zeros((1, 3, 5, 6), "float32")}))
    assert all(np.isfinite(value).all() for value in outputs.values())


def test_the_length_of_a_node_means_nothing_under_unit_normalisation():
    model = small(node_normalization="unit")
    lengths = np.random.default_rng(2).uniform(0.5, 20, (*NODES.shape[:3], 1)).astype("float32")
    found, expected = to_numpy(model({**INPUTS, "nodes": NODES * lengths})), to_numpy(model(INPUTS))
    for name in PER_FRAME:
        np.testing.assert_allclose(found[name][MASK], expected[name][MASK], atol=1e-5)


@pytest.mark.parametrize("argument", ["frame_pooling", "score_from", "node_normalization"])
def test_an_unknown_option_is_named(argument):
    with pytest.raises(ValueError, match=rf"`{argument}` must be one of .*Received: 'median'"):
        AnomalyDetector(**{argument: "median"})


def test_features_without_a_patch_axis_are_told_the_way_out():
    with pytest.raises(ValueError, match=r"\(B, T, G, C\).*\(2, 5, 6\).*nodes\[:, :, None, :\]"):
        AnomalyDetector().build({"nodes": (2, 5, 6)})


SMALL = {"key_dim": 4, "value_dim": 6, "temporal_localities": (1, 2)}


def nodes_and_prior(seed=0):
    rng = np.random.default_rng(seed)
    nodes, prior = rng.normal(size=(2, 5, 3, 4)), rng.normal(size=(2, 5, 3))
    return {"nodes": nodes.astype("float32"), "prior": prior.astype("float32")}


def logit(probability):
    return np.log(probability / (1 - probability))


def test_a_unary_energy_of_the_prior_alone_is_the_prior_as_a_logit():
    inputs = nodes_and_prior()
    detector = AnomalyDetector(unary_from="prior", **SMALL)
    outputs = detector(inputs)
    expected = 1 / (1 + np.exp(-inputs["prior"]))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["unary_probability"]), expected, rtol=1e-5)


def test_the_prior_is_added_to_the_unary_logit_of_the_nodes():
    inputs = nodes_and_prior()
    detector = AnomalyDetector(unary_from="both", **SMALL)
    with_prior = ops.convert_to_numpy(detector(inputs)["unary_probability"])
    without = ops.convert_to_numpy(detector({**inputs, "prior": 0 * inputs["prior"]})["unary_probability"])
    np.testing.assert_allclose(logit(with_prior) - logit(without), inputs["prior"], rtol=1e-3, atol=1e-4)


def test_the_prior_is_added_to_the_logit_of_the_scorer():
    inputs = nodes_and_prior()
    detector = AnomalyDetector(prior_in_score=True, **SMALL)
    with_prior = ops.convert_to_numpy(detector(inputs)["patch_score"])
    without = ops.convert_to_numpy(detector({**inputs, "prior": 0 * inputs["prior"]})["patch_score"])
    np.testing.assert_allclose(logit(with_prior) - logit(without), inputs["prior"], rtol=1e-3, atol=1e-4)


def test_a_prior_per_frame_counts_for_each_patch():
    inputs = nodes_and_prior()
    detector = AnomalyDetector(unary_from="both", prior_in_score=True, **SMALL)
    per_frame = inputs["prior"][:, :, 0]
    outputs = detector({**inputs, "prior": per_frame})
    repeated = detector({**inputs, "prior": np.repeat(per_frame[:, :, None], 3, axis=2)})
    for key, value in outputs.items():
        np.testing.assert_array_equal(ops.convert_to_numpy(value), ops.convert_to_numpy(repeated[key]))


@pytest.mark.parametrize("prior", [None, np.zeros((2, 4), "float32"), np.zeros((2, 5, 2), "float32")])
def test_a_missing_or_misshapen_prior_is_refused(prior):
    inputs = {**nodes_and_prior(), "prior": prior}
    with pytest.raises(ValueError, match="prior"):
        AnomalyDetector(unary_from="prior", **SMALL)(inputs)


def test_a_detector_without_a_prior_does_not_see_one():
    inputs = nodes_and_prior()
    detector = AnomalyDetector(**SMALL)
    with_key = ops.convert_to_numpy(detector(inputs)["anomaly_score"])
    without = ops.convert_to_numpy(detector({"nodes": inputs["nodes"]})["anomaly_score"])
    np.testing.assert_array_equal(with_key, without)


def test_the_score_is_multiplied_by_the_score_of_the_context():
    inputs = nodes_and_prior()
    detector = AnomalyDetector(unary_from="prior", score_from="marginals", context_frames=8, **SMALL)
    outputs = {key: ops.convert_to_numpy(value) for key, value in detector(inputs).items()}
    expected = outputs["context_score"] * outputs["marginals"][..., 1].max(axis=-1)
    np.testing.assert_allclose(outputs["anomaly_score"], expected, rtol=1e-6)


def test_the_context_is_trained_by_the_label_of_the_video():
    inputs, labels = nodes_and_prior(), np.array([1, 0])
    detector = AnomalyDetector(context_frames=8, dropout=0.0, **SMALL)
    detector.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    detector.fit(inputs, labels, epochs=60, verbose=0)
    context = ops.convert_to_numpy(detector(inputs)["context_score"])
    assert context[0].min() > 0.6 and context[1].max() < 0.4


@pytest.mark.parametrize("inference", INFERENCES)
def test_cliques_of_the_same_patch_make_a_video_of_each_patch(inference):
    detector = small(clique_patches="same", inference=inference)
    found = to_numpy(detector(INPUTS))
    each = [to_numpy(detector({**INPUTS, "nodes": NODES[:, :, [patch]]})) for patch in range(NODES.shape[2])]
    for key in (spec.PATCH_SCORE, spec.MARGINALS, spec.UNARY_PROBABILITY, spec.EMBEDDING):
        expected = np.concatenate([outputs[key] for outputs in each], axis=2)
        np.testing.assert_allclose(found[key], expected, atol=1e-6)
    np.testing.assert_allclose(found[spec.ANOMALY_SCORE], np.max([o[spec.ANOMALY_SCORE] for o in each], 0), atol=1e-6)
    np.testing.assert_array_equal(found[spec.ITERATIONS], np.max([o[spec.ITERATIONS] for o in each], axis=0))
