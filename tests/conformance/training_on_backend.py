"""Trains small models with every option of `fit` and `compile` on the backend named by KERAS_BACKEND; prints JSON."""

import json

import keras
import numpy as np

from vad_keras.models import AnomalyDetector, RelationAwareExtractor, SultaniRanker

GENERATOR = np.random.default_rng(0)
NODES = {"nodes": GENERATOR.normal(size=(6, 5, 2, 4)).astype("float32"), "mask": np.ones((6, 5), bool)}
FRAMES = {"frames": GENERATOR.uniform(0, 255, (6, 2, 32, 32, 3)).astype("float32")}
LABELS = np.array([0, 1] * 3)
EAGER = keras.backend.backend() == "tensorflow"  # a graph for each option would cost more; JAX compiles anyway
MODELS = {
    "AnomalyDetector": lambda: AnomalyDetector(4, 6, (1, 2), max_iterations=2, hidden_units=4, dropout=0.0),
    "SultaniRanker": lambda: SultaniRanker((6, 4), dropout=0.0),
    "RelationAwareExtractor": lambda: RelationAwareExtractor("small", None, 32, 2, dropout=0.0, seed=0),
}


def batches(labels, *weights):
    """Batches that are no arrays: their labels are unknown before the step."""
    while True:
        yield (NODES, labels, *weights)


def tried(call):
    """The last training loss, or the error."""
    try:
        return float(call().history["loss"][-1])
    except ValueError as error:
        return str(error).partition(":")[0]


def losses(make, inputs):
    """What is tried -> loss or error."""

    def fit(data=(inputs, LABELS), change=None, **options):
        model = make()
        if change:
            change(model)
        model({name: keras.Input(batch_shape=value.shape, dtype=str(value.dtype)) for name, value in inputs.items()})
        for number, weight in enumerate(model.trainable_weights):
            values = np.random.default_rng(number).normal(size=weight.shape) * 0.1
            weight.assign(values)
        model.compile(keras.optimizers.SGD(0.0), run_eagerly=EAGER)
        return tried(lambda: model.fit(*data, batch_size=6, shuffle=False, verbose=0, **options))

    found = {
        "plain": fit(),
        "class_weight": fit(class_weight={0: 0.0, 1: 3.0}),
        "sample_weight": fit(sample_weight=np.array([0.0, 2.0, 1.0, 1.0, 1.0, 1.0])),
        "regularizer": fit(change=regularize),
    }
    if inputs is NODES:
        steps = {"steps_per_epoch": 1}
        weights = np.ones(6, "float32")
        found["weights of a generator"] = tried_without_batches(make, batches(LABELS, weights), steps)
        found["labels of a generator"] = tried_without_batches(make, batches(LABELS * 255), steps)
        found["array"] = fit((inputs["nodes"], LABELS))
    return found


def tried_without_batches(make, data, options):
    model = make()
    model.compile(keras.optimizers.SGD(0.0))
    return tried(lambda: model.fit(data, verbose=0, **options))


def regularize(model):
    """Weigh the squares of one kernel."""
    layer = next(getattr(model, name) for name in ("f_s", "scorer", "head") if hasattr(model, name))
    layer.kernel_regularizer = keras.regularizers.L2(0.5)
    if layer.built:
        layer.kernel.regularizer = layer.kernel_regularizer


if __name__ == "__main__":
    found = {name: losses(make, FRAMES if "Extractor" in name else NODES) for name, make in MODELS.items()}
    print("FOUND " + json.dumps(found))
