"""The messages of ``PredictionService.Predict``, declared here: the official module of them imports TensorFlow.

Numbers and types of the fields are those of ``tensorflow/core/framework/tensor.proto`` and
``tensorflow_serving/apis/predict.proto``. A map is written as its entries, which have the same bytes. A test compares
the messages with the official ones.
"""

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "vad_keras.serving"

# message -> field -> (number, type); a type with [] is repeated, a capital is the name of another message
FIELDS = {
    "Int64Value": {"value": (1, "int64")},
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "Dim[]")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float[]"),
        "int_val": (7, "int32[]"),
        "string_val": (8, "bytes[]"),
    },
    "Entry": {"key": (1, "string"), "value": (2, "Tensor")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "Entry[]"), "output_filter": (3, "string[]")},
    "PredictResponse": {"outputs": (1, "Entry[]"), "model_spec": (2, "ModelSpec")},
}
FLOAT, INT32, UINT8, STRING = 1, 3, 4, 7  # tensorflow.DataType
NUMBERS = {FLOAT: ("float_val", "<f4"), INT32: ("int_val", "<i4"), UINT8: ("int_val", "u1")}


def message_classes(package, fields):
    """Return name -> class of protocol buffer messages.

    Args:
        package: Name of the package they belong to; each set of messages needs its own.
        fields: Message -> field -> ``(number, type)``, see ``FIELDS``.
    """
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message, declarations in fields.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind) in declarations.items():
            label = field.LABEL_REPEATED if kind.endswith("[]") else field.LABEL_OPTIONAL
            kind = kind.removesuffix("[]")
            if kind in fields:
                options = {"type": field.TYPE_MESSAGE, "type_name": f".{package}.{kind}"}
            else:
                options = {"type": field.Type.Value(f"TYPE_{kind.upper()}")}
            declared.field.add(name=name, number=number, label=label, **options)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in fields}


CLASSES = message_classes(PACKAGE, FIELDS)


def predict_request(model, signature, inputs, wanted=()):
    """Return the ``PredictRequest`` of a ``ServedModel`` in bytes.

    Args:
        model: ``ServedModel``.
        signature: Name of the signature.
        inputs: Input name -> array of float32 or uint8, or list of texts.
        wanted: Names of the outputs to return; empty: all.
    """
    request = CLASSES["PredictRequest"](output_filter=wanted)
    request.model_spec.name, request.model_spec.signature_name = model.name, signature
    if model.version:
        request.model_spec.version.value = int(model.version)
    elif model.label:
        request.model_spec.version_label = model.label
    for name, value in inputs.items():
        entry = request.inputs.add(key=name)
        _write_tensor(entry.value, value)
    return request.SerializeToString()


def read_response(content):
    """Return the outputs of a ``PredictResponse`` in bytes, name -> array, and the number of the version.

    Raises:
        ValueError: It cannot be read.
    """
    response = CLASSES["PredictResponse"].FromString(content)
    outputs = {entry.key: _read_tensor(entry.key, entry.value) for entry in response.outputs}
    spec = response.model_spec
    return outputs, str(spec.version.value) if spec.HasField("version") else ""


def _write_tensor(tensor, value):
    if isinstance(value, list):
        tensor.dtype = STRING
        tensor.string_val.extend(text.encode() for text in value)
        tensor.tensor_shape.dim.add(size=len(value))
        return
    tensor.dtype = {"f": FLOAT, "u": UINT8}[value.dtype.kind]
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = np.ascontiguousarray(value, NUMBERS[tensor.dtype][1]).tobytes()


def _read_tensor(name, tensor):
    """Return the array of a tensor, which has its values as bytes, as numbers, or as one number for all."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype == STRING:
        return np.array(list(tensor.string_val), object).reshape(shape)
    if tensor.dtype not in NUMBERS:
        raise ValueError(f"output `{name}` has the type {tensor.dtype} of tensorflow.DataType")
    field, dtype = NUMBERS[tensor.dtype]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    values = np.array(getattr(tensor, field), dtype)
    return np.broadcast_to(values, shape).copy() if values.size == 1 else values.reshape(shape)
