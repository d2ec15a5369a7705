"""Warm-up requests: TensorFlow Serving replays them before a version answers, so that no client waits for tracing.

The file is a TFRecord of ``tensorflow.serving.PredictionLog`` messages. Their four nested messages are so small that
their wire format is written here: an export needs no ``tensorflow-serving-api``. A test reads them with its protos.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.run.wire import field
from pipelines.serving.model_info import DESCRIBE, QUERY

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"

# Field numbers of tensorflow_serving/apis/{prediction_log,predict,model}.proto
PREDICTION_LOG_PREDICT_LOG = 6
PREDICT_LOG_REQUEST = 1
REQUEST_MODEL_SPEC = 1
REQUEST_INPUTS = 2
MODEL_SPEC_NAME = 1
MODEL_SPEC_SIGNATURE_NAME = 3
MAP_KEY = 1
MAP_VALUE = 2


def write_warmup_requests(version_folder, model_name, inputs):
    """Write one request per signature.

    Args:
        version_folder: Folder of ``saved_model.pb``.
        model_name: Name under which the model is served.
        inputs: Signature name -> input name -> array.

    Returns:
        Path of the file.
    """
    path = Path(version_folder) / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, tensors in inputs.items():
            writer.write(prediction_log(model_name, signature, tensors))
    return path


def warmup_inputs(signatures):
    """Make the inputs of each signature: noise, one snippet and one frame; nodes for a model that takes nodes only."""
    query = {DESCRIBE: {QUERY: np.array([b""], object)}}
    if not signatures.clip_frames:
        return {name: _node_inputs(signatures, 2) for name in signatures.endpoints()} | query
    side, num_frames = signatures.image_size_px, signatures.clip_frames + 1
    frames = np.random.default_rng(0).integers(0, 256, (1, num_frames, side, side, 3), dtype=np.uint8)
    jpegs = np.array([[tf.io.encode_jpeg(frame).numpy() for frame in frames[0]]], dtype=object)
    return {
        "serving_default": {"jpeg_bytes": jpegs},
        "score_jpeg": {"jpeg_bytes": jpegs},
        "score_frames": {"frames": frames},
        "extract": {"frames": frames},
        "score_nodes": _node_inputs(signatures, num_frames),
        **query,
    }


def _node_inputs(signatures, num_frames):
    shape = (1, num_frames, signatures.num_patches)
    inputs = {"nodes": np.zeros((*shape, signatures.feature_dim), np.float32)}
    return inputs | ({"prior": np.zeros(shape, np.float32)} if signatures.takes_prior else {})


def prediction_log(model_name, signature, tensors):
    """Serialize a ``PredictionLog`` that holds a ``PredictRequest``."""
    spec = field(MODEL_SPEC_NAME, model_name.encode()) + field(MODEL_SPEC_SIGNATURE_NAME, signature.encode())
    request = field(REQUEST_MODEL_SPEC, spec)
    for name, value in tensors.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += field(REQUEST_INPUTS, field(MAP_KEY, name.encode()) + field(MAP_VALUE, tensor))
    return field(PREDICTION_LOG_PREDICT_LOG, field(PREDICT_LOG_REQUEST, request))
