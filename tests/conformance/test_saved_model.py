"""An exported SavedModel, loaded without Keras and with free numbers of videos and frames, gives equal numbers."""

import keras
import pytest
import tensorflow as tf
from cases import described
from harness import as_model, assert_equal_numbers, features, free_axes, make, to_numpy, written_out


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is written by the TensorFlow backend")
@pytest.mark.parametrize("case", described("saved_model"), ids=str)
def test_a_saved_model_gives_equal_numbers(case, tmp_path):
    model = as_model(case, make(case))
    inputs = features(case.inputs)
    signature = {
        name: tf.TensorSpec(
            [None if axis in free_axes(case, name) else size for axis, size in enumerate(value.shape)],
            value.dtype,
            name,
        )
        for name, value in inputs.items()
    }
    model.export(tmp_path / "saved", verbose=False, input_signature=[signature])
    loaded = tf.saved_model.load(tmp_path / "saved")
    served = loaded.serve({name: tf.constant(value) for name, value in inputs.items()})
    assert_equal_numbers(to_numpy(written_out(served, inputs)), to_numpy(written_out(model(inputs), inputs)))
