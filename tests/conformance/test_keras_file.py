"""A `.keras` file gives a layer or model back with equal numbers, and a loss or metric with the model it belongs to."""

import keras
import pytest
from cases import described
from harness import as_model, assert_equal_numbers, features, make, to_numpy

from vad_keras.losses import BagCrossEntropy

CASES = described("keras_file")


@pytest.mark.parametrize("case", [c for c in CASES if issubclass(c.descriptor.thing, keras.layers.Layer)], ids=str)
def test_a_file_gives_equal_numbers(case, tmp_path):
    model = as_model(case, make(case))
    model.save(tmp_path / "saved.keras")
    loaded = keras.models.load_model(tmp_path / "saved.keras")
    inputs = features(case.inputs)
    assert_equal_numbers(to_numpy(loaded(inputs)), to_numpy(model(inputs)), tolerance=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if not issubclass(c.descriptor.thing, keras.layers.Layer)], ids=str)
def test_a_file_holds_what_a_model_was_compiled_with(case, tmp_path):
    labels, scores = (case.inputs[name] for name in list(case.inputs)[:2])
    thing = make(case)
    model = keras.Sequential([keras.Input(scores.shape[1:]), keras.layers.Rescaling(0.9)])
    metric = isinstance(thing, keras.metrics.Metric)
    model.compile(loss=BagCrossEntropy() if metric else thing, metrics=[thing] if metric else None)
    model.save(tmp_path / "saved.keras")
    loaded = keras.models.load_model(tmp_path / "saved.keras")
    found, expected = (each.evaluate(scores, labels, verbose=0) for each in (loaded, model))
    assert found == expected
