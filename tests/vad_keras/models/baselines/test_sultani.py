"""Tests of vad_keras.models.baselines.sultani."""

import keras
import numpy as np
import pytest

from vad_keras.losses import ranking_mil
from vad_keras.metrics import video_auc
from vad_keras.models.baselines import SultaniRanker

RANDOM = np.random.default_rng(0)
LABELS = np.arange(12) % 2
NODES = RANDOM.normal(size=(12, 7, 3, 8)).astype("float32")
NODES[LABELS == 1, 2] += 2.0
MASK = np.arange(7) < RANDOM.integers(3, 8, size=(12, 1))
INPUTS = {"nodes": NODES, "mask": MASK}


def to_numpy(outputs):
    return {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return SultaniRanker(**{"units": (16, 4), "dropout": 0.1, **kwargs})


def by_hand(model, vectors):
    """The published network in NumPy: ReLU, linear, sigmoid on vectors of length 1."""
    x = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    (w1, b1), (w2, b2), (w3, b3) = (map(np.float64, layer.get_weights()) for layer in (*model.hidden, model.scorer))
    return (1 / (1 + np.exp(-((np.maximum(x @ w1 + b1, 0) @ w2 + b2) @ w3 + b3))))[..., 0]


@pytest.mark.parametrize("patches", ["first", "mean"])
def test_scores_are_the_published_network_by_hand(patches):
    model = small(patches=patches)
    outputs = to_numpy(model(INPUTS))
    vectors = NODES[:, :, 0] if patches == "first" else NODES.mean(axis=2)
    np.testing.assert_allclose(outputs["anomaly_score"], np.where(MASK, by_hand(model, vectors), 0), atol=1e-6)
    np.testing.assert_array_equal(outputs["patch_score"], np.repeat(outputs["anomaly_score"][..., None], 3, axis=-1))


def test_default_sizes_are_the_published_ones():
    model = SultaniRanker()
    model({"nodes": NODES[:1]})
    assert [tuple(weight.shape) for weight in model.weights if len(weight.shape) == 2] == [(8, 512), (512, 32), (32, 1)]


def test_padding_changes_no_real_frame():
    model = small()
    padded = {"nodes": np.concatenate([NODES, np.full((12, 2, 3, 8), 9.0, "float32")], axis=1)}
    padded["mask"] = np.concatenate([MASK, np.zeros((12, 2), bool)], axis=1)
    longer, shorter = to_numpy(model(padded))["anomaly_score"], to_numpy(model(INPUTS))["anomaly_score"]
    np.testing.assert_allclose(longer[:, :7], shorter, atol=1e-6)
    np.testing.assert_array_equal(longer[:, 7:], 0)


def test_batch_equals_its_videos_one_by_one():
    model = small()
    together = to_numpy(model(INPUTS))["anomaly_score"]
    for i in range(3):
        alone = to_numpy(model({"nodes": NODES[i : i + 1, : MASK[i].sum()]}))["anomaly_score"]
        np.testing.assert_allclose(together[i, : MASK[i].sum()], alone[0], atol=1e-6)


def test_training_loss_is_the_ranking_loss_summed_over_abnormal_videos_plus_the_squared_kernels():
    model = small(dropout=0.0)
    model.compile("sgd", jit_compile=False)
    found = model.train_on_batch(INPUTS, LABELS, return_dict=True)
    model = small(dropout=0.0)
    model.compile("sgd", jit_compile=False)
    held_out = model.evaluate(INPUTS, LABELS, batch_size=12, verbose=0, return_dict=True)
    terms = to_numpy(ranking_mil(LABELS, model(INPUTS)["anomaly_score"], MASK))
    kernels = sum(float((layer.get_weights()[0] ** 2).sum()) for layer in (*model.hidden, model.scorer))
    assert found["loss"] == pytest.approx(6 * terms["total"] + 0.001 * kernels, rel=1e-5)
    assert held_out["loss"] == pytest.approx(6 * terms["total"], rel=1e-5)
    for name in ("ranking", "sparsity", "temporal_smoothness"):
        assert found[name] == pytest.approx(terms[name], rel=1e-5)
    exact = video_auc(LABELS, to_numpy(model(INPUTS))["anomaly_score"])
    assert found["bag_auc"] == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_learns_to_rank(jit_compile):
    model = small()
    model.compile(keras.optimizers.Adagrad(0.1), jit_compile=jit_compile)
    history = model.fit(INPUTS, LABELS, epochs=20, batch_size=6, verbose=0).history
    assert history["ranking"][-1] < 0.8 * history["ranking"][0]


def test_saved_model_gives_the_same_scores(tmp_path):
    model = small(patches="mean")
    model.compile("adam", jit_compile=False)
    model.fit(INPUTS, LABELS, verbose=0)
    model.save(tmp_path / "sultani.keras")
    again = keras.models.load_model(tmp_path / "sultani.keras")
    expected, found = model.predict(INPUTS, verbose=0), again.predict(INPUTS, verbose=0)
    np.testing.assert_array_equal(found["anomaly_score"], expected["anomaly_score"])
    again.fit(INPUTS, LABELS, verbose=0)


def test_every_argument_changes_something():
    few_abnormal = np.arange(12) % 3 == 0  # so that pairs leave some videos out

    def trained(**kwargs):
        model = small(**kwargs)
        model.compile("sgd", run_eagerly=True)  # a graph for each argument would cost more
        loss = model.fit(INPUTS, few_abnormal, batch_size=12, shuffle=False, verbose=0).history["loss"][0]
        return np.append(to_numpy(model(INPUTS))["anomaly_score"].ravel(), loss)

    base = trained()
    changes = (
        {"units": (8, 4)},
        {"dropout": 0.6},
        {"patches": "mean"},
        {"normalize": False},
        {"kernel_l2": 0.1},
        {"pairing": "paired"},
        {"margin": 0.5},
        {"sparsity_weight": 0.5},
        {"smoothness_weight": 5.0},
    )
    for change in changes:
        assert np.abs(trained(**change) - base).max() > 1e-6, change


def test_mixed_precision_keeps_scores_in_float32():
    model = small(dtype="mixed_float16")
    outputs = model(INPUTS)
    assert keras.backend.standardize_dtype(outputs["anomaly_score"].dtype) == "float32"
    assert np.isfinite(to_numpy(outputs)["anomaly_score"]).all()


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`patches` must be one of.*'last'"):
        SultaniRanker(patches="last")
    with pytest.raises(ValueError, match=r"`nodes` must have shape \(B, T, G, C\)\. Received: \(2, 5, 8\)"):
        SultaniRanker()({"nodes": np.ones((2, 5, 8))})
    with pytest.raises(ValueError, match="`pairing` must be one of"):
        SultaniRanker(pairing="none")
