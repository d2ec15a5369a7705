"""Inputs and labels that do not fit are refused by every model, and leave it as it was: it trains, saves and loads."""

import keras
import numpy as np
import pytest
from cases import described
from harness import assert_equal_numbers, features, to_numpy

from vad_keras.models.checked_model import CheckedModel

CASES = [
    case
    for case in described("keras_file")
    if isinstance(case.descriptor.thing, type) and issubclass(case.descriptor.thing, keras.Model)
]


def wrong_inputs(inputs):
    """What is wrong -> inputs like these."""
    (name, array), mask = next(iter(inputs.items())), inputs["mask"]
    return {
        "an array in place of a dict": array,
        "a list in place of a dict": [array],
        "a misspelt key": {name[:-1]: array, "mask": mask},
        "a misspelt mask": {name: array, "masks": mask},
        "no key": {"mask": mask},
        "an axis too few": {name: array[:, :, 0], "mask": mask},
        "an axis too many": {name: array[..., None], "mask": mask},
        "a mask of another length": {name: array, "mask": mask[:, :-1]},
        "a mask per patch": {name: array, "mask": mask[..., None]},
        "a mask of floats": {name: array, "mask": mask.astype("float32")},
        "texts": {name: array.astype(str), "mask": mask},
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_failed_call_leaves_the_model_as_it_was(case, tmp_path):
    model, inputs, labels = case.descriptor.thing(**case.options), features(case.inputs), case.inputs["labels"]
    assert isinstance(model, CheckedModel)
    model.compile("sgd", run_eagerly=True)
    built, weights = model.built, len(model.weights)
    for what, wrong in wrong_inputs(inputs).items():
        for call in (model, model.predict, lambda x: model.fit(x, labels), lambda x: model.evaluate(x, labels)):
            with pytest.raises(ValueError, match=r"`\w+` must|the inputs (must|lack)|unknown key"):
                call(wrong)
            assert (model.built, len(model.weights)) == (built, weights), what
    for strange in (labels * 255, labels * 2 - 1, np.where(labels, np.nan, 0.0), np.zeros((3, 5)), labels[:, None] / 2):
        with pytest.raises(ValueError, match="`labels` must"):
            model.fit(inputs, strange)
    model.fit(inputs, labels, batch_size=3, verbose=0)
    for wrong in wrong_inputs(inputs).values():
        with pytest.raises(ValueError, match=r"`\w+` must|the inputs (must|lack)|unknown key"):
            model.predict(wrong, verbose=0)
    model.save(tmp_path / "saved.keras")
    again = keras.models.load_model(tmp_path / "saved.keras")
    assert_equal_numbers(to_numpy(again(inputs)), to_numpy(model(inputs)), tolerance=0.0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_labels_of_a_tensor_other_than_0_and_1_make_the_loss_nan(case):
    model, inputs, labels = case.descriptor.thing(**case.options), features(case.inputs), case.inputs["labels"]
    outputs = model(inputs)
    for strange in (labels * 255, labels * 2 - 1, np.where(labels, np.nan, 0.0)):
        tensor = keras.ops.convert_to_tensor(strange, "float32")
        assert np.isnan(float(model.compute_loss(inputs, tensor, outputs)))
    assert np.isfinite(float(model.compute_loss(inputs, keras.ops.convert_to_tensor(labels), outputs)))
