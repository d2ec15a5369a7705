"""A training step and inference of the whole `AnomalyDetector`, beside the heads of other methods."""

import numpy as np

from benchmarks.measure import digits, take_turns

# CPU ms of a training step and of inference with one thread, measured earlier on a machine of this kind.
GIVEN = {
    "Sultani": (69, 23),
    "PEL4VAD": (344, 175),
    "BN-WVAD": (573, 449),
    "UR-DMU": (823, 326),
    "VadCLIP": (1196, 375),
    "RTFM": (2217, 613),
    "MGFN": (2417, 807),
}
BAGS, FRAMES, CHANNELS, SNIPPETS = 32, 32, 2048, 1000


def row(name, options, threads, size=(BAGS, FRAMES, CHANNELS, SNIPPETS)):
    """One line of the table, with an untrained detector on one node a frame. Call it by `apart`."""
    import keras
    import tensorflow as tf

    from vad_keras.models import AnomalyDetector

    bags, frames, channels, snippets = size
    detector = AnomalyDetector(**options)
    detector.compile(keras.optimizers.Adam(1e-4), jit_compile=False)
    random = np.random.default_rng(0)
    x = {"nodes": tf.constant(random.random((bags, frames, 1, channels), "float32"))}
    x["mask"] = tf.ones((bags, frames), "bool")
    labels = tf.constant(np.arange(bags) % 2, "float32")
    video = {"nodes": tf.constant(random.random((1, snippets, 1, channels), "float32"))}
    infer = tf.function(lambda inputs: detector(inputs, training=False), autograph=False)
    subjects = {"step": lambda: detector.train_on_batch(x, labels), "inference": lambda: infer(video)}
    found = take_turns(subjects, 5.0)
    step, inference = found["step"], found["inference"]
    return {
        "head": name,
        "threads": threads,
        "step": digits(step.wall_ms),
        "step_cpu": digits(step.cpu_ms),
        "inference": digits(inference.wall_ms),
        "inference_cpu": digits(inference.cpu_ms),
    }


def given_rows():
    """The lines of the others."""
    return [
        {"head": f"{name} (given)", "threads": 1, "step_cpu": str(step), "inference_cpu": str(inference)}
        for name, (step, inference) in GIVEN.items()
    ]
