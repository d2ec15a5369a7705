"""Cost of a training step and of inference of `AnomalyDetector`, with one vector per frame and with 14 patches."""

from pathlib import Path

import numpy as np

from benchmarks.measure import format_ms, matrix_product, take_turns

PUBLISHED = Path(__file__).with_name("heads.md")  # measured elsewhere: never divide by a number of this run
BAGS, FRAMES, CHANNELS, SNIPPETS = 32, 32, 2048, 1000
ROUNDS = 9
HEADS = {  # name: patches per frame and arguments of the detector
    "one vector": (1, {}),
    "one vector, projection_dim=256": (1, {"projection_dim": 256}),
    "14 patches": (14, {}),
    "14 patches, projection_dim=256": (14, {"projection_dim": 256}),
}
STEP, INFERENCE = "training step", "inference"


def required_flop(detector, num_frames, num_patches, channels):
    """Floating point operations per frame of inference and of a training step that no implementation can avoid.

    Two per multiply-add of the dense layers and of the attention over the widest locality. A gradient takes two more
    products for each one, or one more where a layer reads the input. Element-wise operations, the iterations of the
    CRF, the loss and the optimiser are left out.
    """
    kernels = [x.shape for x in detector.trainable_variables if x.path.endswith("/kernel")]
    on_input = sum(rows * columns for rows, columns in kernels if rows == channels)
    inside = sum(rows * columns for rows, columns in kernels if rows != channels)
    attention = detector.attention
    keys = min(max(attention.temporal_localities), num_frames) * num_patches
    inside += keys * (attention.key_dim + attention.value_dim)
    return {INFERENCE: 2 * num_patches * (on_input + inside), STEP: 2 * num_patches * (2 * on_input + 3 * inside)}


def make_subjects(num_patches, options, size=(BAGS, FRAMES, CHANNELS, SNIPPETS)):
    """Functions of one head by pass, and the GFLOP that each requires."""
    import keras
    import tensorflow as tf

    from vad_keras.models import AnomalyDetector

    bags, frames, channels, snippets = size
    detector = AnomalyDetector(**options)
    detector.compile(keras.optimizers.Adam(1e-4), jit_compile=False)
    random = np.random.default_rng(0)
    x = {"nodes": tf.constant(random.random((bags, frames, num_patches, channels), "float32"))}
    x["mask"] = tf.ones((bags, frames), "bool")
    labels = tf.constant(np.arange(bags) % 2, "float32")
    video = {"nodes": tf.constant(random.random((1, snippets, num_patches, channels), "float32"))}
    infer = tf.function(lambda inputs: detector(inputs, training=False), autograph=False)
    subjects = {STEP: lambda: detector.train_on_batch(x, labels), INFERENCE: lambda: infer(video)}
    infer(video)  # creates the weights
    gflop = {
        STEP: bags * frames * required_flop(detector, frames, num_patches, channels)[STEP] / 1e9,
        INFERENCE: snippets * required_flop(detector, snippets, num_patches, channels)[INFERENCE] / 1e9,
    }
    return subjects, gflop


def rows(size=(BAGS, FRAMES, CHANNELS, SNIPPETS), rounds=ROUNDS):
    """Lines of the table: all heads take turns in one process. Call it by `in_worker` with one thread."""
    product, product_gflop = matrix_product()
    subjects, gflop = {"product": product}, {}
    for head, (num_patches, options) in HEADS.items():
        functions, required = make_subjects(num_patches, options, size)
        subjects |= {(kind, head): function for kind, function in functions.items()}
        gflop |= {(kind, head): required[kind] for kind in functions}
    found = {name: timing.cpu_ms for name, timing in take_turns(subjects, 0.0, rounds).items()}
    gflop_per_ms = product_gflop / found["product"]
    first = next(iter(HEADS))
    lines = []
    for kind in (STEP, INFERENCE):
        for head in HEADS:
            cpu_ms, bound_ms = found[kind, head], gflop[kind, head] / gflop_per_ms
            lines.append(
                {
                    "pass": kind,
                    "head": head,
                    "cpu": f"{format_ms(cpu_ms)} = {cpu_ms / found[kind, first]:.2f}×",
                    "gflop": f"{gflop[kind, head]:.2f}",
                    "bound": f"{format_ms(bound_ms)} at {1e3 * gflop_per_ms:.0f} GFLOP/s",
                    "above": f"{cpu_ms / bound_ms:.2f}×",
                }
            )
    return lines
