"""No product of a training graph is of the kind in which TensorFlow 2.21 with oneDNN corrupts memory."""

import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.models import AnomalyDetector, RelationAwareExtractor

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="looks at a graph of TensorFlow")


def unlike_products(model, inputs, labels):
    """Batched products of a training step whose factors differ in rank or in leading axes, and the number of products.

    Memory is corrupted where a leading axis of such a product has size 1 (tensorflow/tensorflow#117700). The graph
    holds the gradient, and is looked at before and after Grappler.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training.saver import export_meta_graph

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True))
        return [tf.convert_to_tensor(x) for x in tape.gradient(loss, model.trainable_variables) if x is not None]

    model(inputs)
    function = tf.function(step, autograph=False).get_concrete_function(
        {name: tf.TensorSpec(value.shape, value.dtype) for name, value in inputs.items()},
        tf.TensorSpec(labels.shape, labels.dtype),
    )
    meta = export_meta_graph(graph=function.graph, graph_def=function.graph.as_graph_def(add_shapes=True))
    meta.collection_def["train_op"].node_list.value.extend(output.op.name for output in function.graph.outputs)
    settings = config_pb2.ConfigProto()
    settings.graph_options.rewrite_options.min_graph_nodes = -1
    optimized = tf.Graph()
    with optimized.as_default():
        tf.graph_util.import_graph_def(tf_optimizer.OptimizeGraph(settings, meta), name="")
    tensors = {tensor.name: tensor for op in function.graph.get_operations() for tensor in op.outputs}
    operations = [*function.graph.get_operations(), *optimized.get_operations()]
    products = [op for op in operations if "MatMul" in op.type or op.type == "Einsum"]
    unlike = []
    for op in products:  # Grappler's graph does not know the shapes of variables, but keeps the names of most tensors
        left, right = (tensors.get(tensor.name, tensor).shape[:-2] for tensor in op.inputs[:2])
        alike = left.rank is not None and left.rank == right.rank and left.is_compatible_with(right)
        if "Batch" in op.type and not alike:
            unlike.append(op)
    return unlike, len(products)


def test_the_extractor_has_none():
    model = RelationAwareExtractor("small", None, 32, 4, scales=(1,), gate_dim=4, relation_units=8)
    model.compile("sgd")
    inputs = {"frames": np.zeros((1, 4, 32, 32, 3), "uint8"), "mask": np.ones((1, 4), bool)}
    unlike, count = unlike_products(model, inputs, np.ones(1, int))
    assert count > 20 and not unlike


@pytest.mark.parametrize("size", [(1, 5, 3), (2, 1, 3), (2, 40, 1)], ids=str)
def test_the_detector_has_none(size):
    model = AnomalyDetector(4, 6, (1, 2, 4), max_iterations=2, hidden_units=4)
    model.compile("sgd")
    inputs = {"nodes": np.zeros((*size, 8), "float32"), "mask": np.ones(size[:2], bool)}
    unlike, count = unlike_products(model, inputs, np.arange(size[0]) % 2)
    assert count > 20 and not unlike


def test_such_a_product_is_found():
    import tensorflow as tf

    class Unlike(keras.Model):
        def build(self, _):
            self.kernel = self.add_weight(shape=(8, 4), name="kernel")

        def call(self, inputs, training=False):
            return tf.linalg.matmul(inputs["nodes"], self.kernel)

        def compute_loss(self, x, y, y_pred):
            return ops.sum(y_pred)

    assert unlike_products(Unlike(), {"nodes": np.ones((2, 1, 3, 8), "float32")}, np.arange(2))[0]
