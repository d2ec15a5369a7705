"""Under mixed_bfloat16 and mixed_float16 everything trains, with softmax and energies in float32."""

import keras
import numpy as np
import pytest
from cases import described
from harness import as_model, assert_equal_numbers, features, make, outputs, to_numpy
from keras import ops

CASES = described("mixed")
TRAINED = [case for case in CASES if "keras_file" not in case.descriptor.exempt]
TRAINED = [case for case in TRAINED if issubclass(case.descriptor.thing, keras.layers.Layer)]
IN_FLOAT32 = ("softmax", "logsumexp", "exp", "log", "sigmoid")
WITHOUT_THESE = (
    "TemporalRelation",
    "SultaniRanker",
    "ZaheerSelfReasoning",
    "ZhangInnerBag",
    "RankingMIL",
    "ranking_mil",
    "bag_contrast",
    "sparsity",
    "temporal_smoothness",
    "PriorLogit",
)
FLOAT32_OUTPUTS = ("affinity", "marginals", "anomaly_score", "patch_score", "anomaly_probability", "logits", "loss")


class Fitted(keras.Model):
    """A layer as a model with a loss: the squares of its outputs."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return sum(ops.mean(ops.square(ops.cast(value, "float32"))) for value in keras.tree.flatten(y_pred))


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def half(request):
    """The short float type of the policy in force."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param.removeprefix("mixed_")
    keras.config.set_dtype_policy(previous)


@pytest.mark.parametrize("case", TRAINED, ids=str)
def test_it_trains_without_nan(case, half):
    model = as_model(case, make(case), Fitted)
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    before = [np.array(weight) for weight in model.trainable_weights]
    history = model.fit(features(case.inputs), np.array([1, 0, 1]), batch_size=3, epochs=3, verbose=0)
    after = [np.array(weight) for weight in model.trainable_weights]
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any((old != new).any() for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_softmax_and_energies_are_in_float32(case, half, monkeypatch):
    heard = []

    def spied(name, function):
        def spy(x, *args, **kwargs):
            heard.append((name, keras.backend.standardize_dtype(x.dtype)))
            return function(x, *args, **kwargs)

        return spy

    for name in IN_FLOAT32:
        monkeypatch.setattr(ops, name, spied(name, getattr(ops, name)))
    thing = make(case)
    inputs = case.inputs
    if case not in TRAINED:  # a loss is handed what a model in half precision gives
        inputs = {name: ops.cast(value, half) if value.dtype.kind == "f" else value for name, value in inputs.items()}
    found = to_numpy(outputs(case, thing, inputs))
    assert bool(heard) == (case.descriptor.name not in WITHOUT_THESE)
    assert {dtype for _, dtype in heard} <= {"float32"}, heard
    assert all(np.isfinite(value.astype("float32")).all() for value in found.values())
    kept = FLOAT32_OUTPUTS if case in TRAINED else found
    assert {value.dtype.name for name, value in found.items() if name in kept} <= {"float32"}


@pytest.mark.parametrize("case", [case for case in CASES if case.descriptor.name.startswith("MeanField")], ids=str)
def test_mean_field_keeps_the_numbers_of_float32(case, half):
    found = to_numpy(outputs(case, make(case)))
    keras.config.set_dtype_policy("float32")
    assert_equal_numbers(found, to_numpy(outputs(case, make(case))), tolerance=1e-6)
