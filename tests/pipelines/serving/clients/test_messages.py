"""The messages that are declared here against the official ones."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.serving.clients import ServedModel
from pipelines.serving.clients.messages import predict_request, read_response

predict_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.predict_pb2", reason="needs tensorflow-serving-api: pip install 'vad-keras[dev]'"
)

ARRAYS = {
    "float": np.arange(6, dtype=np.float32).reshape(1, 2, 3) / 7,
    "bytes": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "one number": np.full((2, 3), 0.25, np.float32),
    "integers": np.array([3, -1], np.int32),
}


@pytest.mark.parametrize(
    "model", [ServedModel("vad"), ServedModel("vad", version="3"), ServedModel("vad", label="stable")], ids=str
)
def test_a_request_is_read_by_the_official_message_as_it_was_meant(model):
    inputs = {name: ARRAYS[name] for name in ("float", "bytes")} | {"texts": ["", "é"]}
    request = predict_pb2.PredictRequest.FromString(predict_request(model, "extract", inputs, ("nodes", "prior")))
    spec = request.model_spec
    assert (spec.name, spec.signature_name, spec.version_label) == ("vad", "extract", model.label)
    assert spec.version.value == int(model.version or 0) and spec.HasField("version") == bool(model.version)
    assert list(request.output_filter) == ["nodes", "prior"] and request.inputs.keys() == inputs.keys()
    for name in ("float", "bytes"):
        array = tf.make_ndarray(request.inputs[name])
        assert array.dtype == inputs[name].dtype
        np.testing.assert_array_equal(array, inputs[name])
    assert tf.make_ndarray(request.inputs["texts"]).tolist() == [b"", "é".encode()]


@pytest.mark.parametrize("as_fields", [False, True])
def test_an_official_response_is_read_whether_its_values_are_bytes_or_numbers(as_fields):
    response = predict_pb2.PredictResponse()
    response.model_spec.version.value = 12
    for name, array in ARRAYS.items():
        tensor = tf.make_tensor_proto(array)
        if as_fields:  # as the server writes them by default
            tensor.tensor_content = b""
            fields = {"f": tensor.float_val, "u": tensor.int_val, "i": tensor.int_val}
            fields[array.dtype.kind][:] = array.ravel().tolist()
        response.outputs[name].CopyFrom(tensor)
    response.outputs["text"].CopyFrom(tf.make_tensor_proto([b"{}"]))
    outputs, version = read_response(response.SerializeToString())
    assert version == "12" and outputs.pop("text").tolist() == [b"{}"]
    for name, array in outputs.items():
        assert array.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_a_type_that_no_signature_returns_is_named():
    response = predict_pb2.PredictResponse()
    response.outputs["score"].CopyFrom(tf.make_tensor_proto(np.zeros(2, np.complex64)))
    with pytest.raises(ValueError, match="output `score` has the type 8"):
        read_response(response.SerializeToString())
