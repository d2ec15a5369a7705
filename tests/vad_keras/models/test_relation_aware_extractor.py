import keras
import numpy as np
import pytest
from keras import ops

from tests.torchvision_arrays import state_dict
from vad_keras.models import RelationAwareExtractor

SMALL = {"backbone": "small", "image_size": 32, "clip_frames": 4, "gate_dim": 8, "relation_units": 16, "seed": 0}


def inputs_of(batch=4, lengths=None, seed=0, dtype="uint8"):
    frames = np.random.default_rng(seed).integers(0, 256, size=(batch, 4, 32, 32, 3)).astype(dtype)
    mask = np.arange(4)[None] < np.array(lengths or [4] * batch)[:, None]
    return {"frames": frames, "mask": mask}


def outputs_of(extractor, inputs, **arguments):
    return {key: ops.convert_to_numpy(value) for key, value in extractor(inputs, **arguments).items()}


def assert_same(first, second, **tolerance):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_allclose(first[key], second[key], err_msg=key, **tolerance)


@pytest.fixture(scope="module")
def extractor():
    keras.utils.set_random_seed(0)
    return RelationAwareExtractor(**SMALL)


def test_outputs_have_the_promised_names_and_shapes(extractor):
    outputs = outputs_of(extractor, inputs_of())
    assert {key: value.shape for key, value in outputs.items()} == {
        "anomaly_probability": (4,),
        "logits": (4,),
        "nodes": (4, 4, 14, 96),
    }
    np.testing.assert_allclose(outputs["anomaly_probability"], 1 / (1 + np.exp(-outputs["logits"])), rtol=1e-5)


def test_inference_is_deterministic_and_the_dtype_of_frames_does_not_matter(extractor):
    first = outputs_of(extractor, inputs_of())
    assert_same(first, outputs_of(extractor, inputs_of()), rtol=0)
    assert_same(first, outputs_of(extractor, inputs_of(dtype="float32")), rtol=0)


def test_without_a_mask_all_frames_are_real(extractor):
    inputs = inputs_of()
    unmasked = outputs_of(extractor, {"frames": inputs["frames"]})
    assert_same(outputs_of(extractor, inputs), unmasked, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_no_real_frame(training):
    inputs, results = inputs_of(lengths=[2, 4, 3, 1]), []
    for content in (0, 255):
        keras.utils.set_random_seed(0)
        extractor = RelationAwareExtractor(**SMALL)
        inputs["frames"][~inputs["mask"]] = content
        results.append(outputs_of(extractor, inputs, training=training))
    assert_same(*results, rtol=1e-5, atol=1e-6)
    assert not results[0]["nodes"][~inputs["mask"]].any()


def test_a_batch_equals_its_snippets_one_by_one(extractor):
    inputs = inputs_of(lengths=[4, 3, 1, 2])
    together = outputs_of(extractor, inputs)
    for i in range(4):
        alone = outputs_of(extractor, {key: value[i : i + 1] for key, value in inputs.items()})
        assert_same({key: value[i : i + 1] for key, value in together.items()}, alone, rtol=1e-4, atol=1e-5)


def test_the_steps_apart_equal_the_whole(extractor):
    inputs = inputs_of(lengths=[4, 3, 1, 2])
    whole = outputs_of(extractor, inputs)
    maps = extractor.feature_maps(inputs["frames"])
    assert tuple(maps.shape) == (4, 4, 2, 2, 96)
    nodes = ops.convert_to_numpy(extractor.nodes_from_maps(maps, inputs["mask"]))
    logits = ops.convert_to_numpy(extractor.classify_maps(maps, inputs["mask"]))
    np.testing.assert_allclose(nodes, whole["nodes"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logits, whole["logits"], rtol=1e-5, atol=1e-6)
    assert_same(outputs_of(extractor, {"maps": maps, "mask": inputs["mask"]}), whole, rtol=1e-5, atol=1e-6)


def test_the_relation_compares_the_means_of_the_patches(extractor):
    nodes = np.random.default_rng(1).normal(size=(2, 4, 14, 96)).astype("float32")
    expected = ops.convert_to_numpy(extractor.head(extractor.relation(nodes.mean(axis=2))))[:, 0]
    np.testing.assert_allclose(ops.convert_to_numpy(extractor.classify_nodes(nodes)), expected, rtol=1e-4, atol=1e-5)


def test_a_saved_extractor_gives_equal_numbers(extractor, tmp_path):
    extractor.save(tmp_path / "extractor.keras")
    loaded = keras.saving.load_model(tmp_path / "extractor.keras")
    assert_same(outputs_of(extractor, inputs_of()), outputs_of(loaded, inputs_of()), rtol=0)
    assert loaded.get_config() == extractor.get_config()


def test_a_saved_extractor_needs_its_weights_file_no_more(tmp_path):
    path = tmp_path / "small.weights.h5"
    RelationAwareExtractor(**SMALL).backbone.save_weights(path)
    extractor = RelationAwareExtractor(**SMALL, weights=path)
    extractor.save(tmp_path / "extractor.keras")
    path.unlink()
    loaded = keras.saving.load_model(tmp_path / "extractor.keras")
    assert_same(outputs_of(extractor, inputs_of()), outputs_of(loaded, inputs_of()), rtol=0)


@pytest.mark.parametrize(("loss", "jit_compile"), [(None, True), ("binary_crossentropy", False)])
def test_fit_lowers_the_loss_and_reports_metrics(loss, jit_compile):
    inputs, labels = inputs_of(batch=8, lengths=[4, 3] * 4), np.array([0, 1] * 4)
    inputs["frames"][labels == 1] //= 4
    extractor = RelationAwareExtractor(**SMALL, dropout=0.0)
    metrics = [keras.metrics.AUC(name="auc")]
    extractor.compile(keras.optimizers.Adam(1e-3), loss=loss, metrics=metrics, jit_compile=jit_compile)
    history = extractor.fit(inputs, labels, batch_size=4, epochs=8, validation_data=(inputs, labels), verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["val_auc"][-1] == pytest.approx(1.0)
    logits = extractor.predict(inputs, verbose=0)["logits"]
    entropy = np.mean(np.log1p(np.exp(-np.where(labels == 1, logits, -logits))))
    assert extractor.evaluate(inputs, labels, verbose=0, return_dict=True)["loss"] == pytest.approx(entropy, rel=1e-3)


def test_all_but_the_first_batch_norm_are_frozen():
    extractor = RelationAwareExtractor(**{**SMALL, "backbone": "mobilenet_v2"})
    norms = [layer for layer in extractor.backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert [layer.trainable for layer in norms] == [True] + [False] * (len(norms) - 1)
    before = [ops.convert_to_numpy(norm.moving_mean) for norm in norms[:2]]
    extractor(inputs_of(), training=True)
    after = [ops.convert_to_numpy(norm.moving_mean) for norm in norms[:2]]
    assert not np.allclose(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


def test_a_frozen_backbone_keeps_every_weight():
    extractor = RelationAwareExtractor(**SMALL, train_backbone=False)
    before = extractor.backbone.get_weights()
    extractor.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    extractor.fit(inputs_of(), np.array([0, 1, 0, 1]), verbose=0)
    assert not extractor.backbone.trainable_weights
    for old, new in zip(before, extractor.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "mobilenet_v2"},
        {"image_size": 48},
        {"clip_frames": 5},
        {"scales": (1, 2)},
        {"gate_dim": 9},
        {"gate_dim": 0},
        {"relation_units": 17},
    ],
)
def test_each_size_argument_changes_the_weights_or_the_nodes(extractor, change):
    def shapes(model):
        return [weight.shape for weight in model.weights] + [model.patches.scales]

    assert shapes(RelationAwareExtractor(**{**SMALL, **change})) != shapes(extractor)


def test_pooling_dropout_and_train_backbone_change_the_result(extractor):
    def result(training=False, **change):
        keras.utils.set_random_seed(0)
        return outputs_of(RelationAwareExtractor(**{**SMALL, **change}), inputs_of(), training=training)

    assert not np.allclose(result(pooling="average")["nodes"], result()["nodes"])
    assert not np.allclose(result(True, dropout=0.1)["logits"], result(True)["logits"])
    assert len(RelationAwareExtractor(**SMALL, train_backbone=False).trainable_weights) < len(
        extractor.trainable_weights
    )


def test_mixed_precision_stays_near_and_keeps_logits_in_float32():
    keras.utils.set_random_seed(0)
    single = RelationAwareExtractor(**SMALL)
    mixed = RelationAwareExtractor(**SMALL, dtype="mixed_bfloat16")
    mixed.set_weights(single.get_weights())
    assert mixed.backbone.layers[1].compute_dtype == "bfloat16" and keras.config.dtype_policy().name == "float32"
    outputs = mixed(inputs_of())
    assert keras.backend.standardize_dtype(outputs["logits"].dtype) == "float32"
    assert keras.backend.standardize_dtype(outputs["nodes"].dtype) == "bfloat16"
    expected, logits = outputs_of(single, inputs_of())["logits"], ops.convert_to_numpy(outputs["logits"])
    np.testing.assert_allclose(logits, expected, atol=0.05 * np.abs(expected).max() + 0.02)


def test_compiled_inference_equals_eager(extractor):
    compiled = RelationAwareExtractor(**SMALL)
    compiled.set_weights(extractor.get_weights())
    compiled.compile(jit_compile=True)
    assert_same(compiled.predict(inputs_of(), verbose=0), outputs_of(extractor, inputs_of()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32, 3), (2, 4, 48, 32, 3)])
def test_frames_of_another_size_or_number_name_the_way_out(extractor, shape):
    with pytest.raises(ValueError, match=r"\(B, 4, 32, 32, 3\).*Pad and mask"):
        extractor({"frames": np.zeros(shape, "uint8")})


def test_motion_appends_the_change_since_the_frame_before():
    keras.utils.set_random_seed(0)
    extractor = RelationAwareExtractor(**SMALL | {"gate_dim": 0, "scales": (1,)}, motion=True)
    inputs = inputs_of(batch=1)
    inputs["frames"][:, 2] = inputs["frames"][:, 1]  # nothing moves from the second frame to the third
    maps = ops.convert_to_numpy(extractor.feature_maps(inputs["frames"]))
    nodes = outputs_of(extractor, inputs)["nodes"]
    changes = np.abs(np.diff(maps, axis=1)).max(axis=(2, 3))[0]
    np.testing.assert_allclose(nodes[0, :, 0, :96], maps.max(axis=(2, 3))[0], rtol=1e-5)
    np.testing.assert_allclose(nodes[0, :, 0, 96:], changes[[0, 0, 1, 2]], rtol=1e-5, atol=1e-6)
    assert not nodes[0, 2, 0, 96:].any()


def test_motion_sees_no_padding():
    keras.utils.set_random_seed(0)
    extractor = RelationAwareExtractor(**SMALL, motion=True)
    inputs, results = inputs_of(lengths=[2, 4, 3, 1]), []
    for content in (0, 255):
        inputs["frames"][~inputs["mask"]] = content
        results.append(outputs_of(extractor, inputs))
    assert_same(*results, rtol=1e-5, atol=1e-6)
    assert not results[0]["nodes"][3, 0, :, 96:].any()


VIDEO = SMALL | {"video_backbone": "mc3_18"}
PRIOR = {"prior_labels": ("fight", "no fight", "run"), "prior_abnormal": ("fight", "run")}


@pytest.fixture(scope="module")
def with_prior(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.npz"
    np.savez(path, **state_dict(num_labels=3))
    return RelationAwareExtractor(**VIDEO, video_weights=path, **PRIOR)


def test_the_prior_is_the_classifier_on_the_mean_of_each_patch(with_prior):
    inputs = inputs_of(batch=2, lengths=[4, 2])
    maps = ops.convert_to_numpy(with_prior.feature_maps(inputs["frames"], inputs["mask"]))
    outputs = outputs_of(with_prior, inputs)
    kernel, bias = (ops.convert_to_numpy(weight).astype("f8") for weight in with_prior.prior_head.weights)
    logits = maps[..., 96:].astype("f8") @ kernel + bias  # of the 2 x 2 positions
    patches = {0: logits.mean((2, 3)), 1: logits[:, :, 0, 0], 4: logits[:, :, 1, 1]}
    assert outputs["prior"].shape == (2, 4, 14) and outputs["prior"].dtype == np.float32
    for patch, expected in patches.items():
        odds = np.log((np.exp(expected[..., 0]) + np.exp(expected[..., 2])) / np.exp(expected[..., 1]))
        np.testing.assert_allclose(outputs["prior"][0, :, patch], odds[0], rtol=1e-3, atol=1e-3)
    assert not outputs["prior"][1, 2:].any() and outputs["prior"][1, :2].all()


def test_a_saved_extractor_holds_the_classifier_and_training_leaves_it(with_prior, tmp_path):
    before = with_prior.prior_head.get_weights()
    with_prior.compile(keras.optimizers.SGD(0.1, weight_decay=0.1), jit_compile=False)
    with_prior.fit(inputs_of(batch=2), np.array([0, 1]), verbose=0)
    for old, new in zip(before, with_prior.prior_head.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with_prior.save(tmp_path / "extractor.keras")
    loaded = keras.saving.load_model(tmp_path / "extractor.keras")
    assert_same(outputs_of(with_prior, inputs_of(batch=1)), outputs_of(loaded, inputs_of(batch=1)), rtol=0)
    assert loaded.get_config() == with_prior.get_config()


def test_a_prior_without_a_video_network_or_labels_is_refused(extractor):
    with pytest.raises(ValueError, match=r"`prior_labels` need a video network.*Received: 'small'"):
        RelationAwareExtractor(**SMALL, **PRIOR)
    with pytest.raises(ValueError, match=r"`prior_abnormal` needs `prior_labels`"):
        RelationAwareExtractor(**SMALL, prior_abnormal=("fight",))
    with pytest.raises(ValueError, match=r"unknown: \['fall'\]"):
        RelationAwareExtractor(**VIDEO, **PRIOR | {"prior_abnormal": ("fall",)})
    with pytest.raises(ValueError, match="the extractor has no prior"):
        extractor.prior_from_maps(np.zeros((1, 4, 2, 2, 96)))
