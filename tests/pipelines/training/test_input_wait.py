"""Tests of pipelines.training.input_wait."""

import time

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.util.tensor_util import make_ndarray

from pipelines.training.input_wait import InputWait

STEPS = 8


def slow_batches(pause_sec):
    def generate():
        for number in range(STEPS):
            time.sleep(pause_sec)
            yield {"nodes": [float(number)]}, number % 2

    signature = {"nodes": tf.TensorSpec([1], "float32")}, tf.TensorSpec([], "int32")
    return tf.data.Dataset.from_generator(generate, output_signature=signature)


@pytest.mark.parametrize(("input_sec", "step_sec", "prefetch", "lowest", "highest"), [
    (0.05, 0.0, 0, 0.5, 1.0),  # nothing is ready when it is asked for
    (0.05, 0.05, 0, 0.3, 0.75),  # one after the other: nothing asks for a batch before the model does
    (0.01, 0.05, 2, 0.0, 0.35),  # batches are made during the steps
    (0.0, 0.05, 0, 0.0, 0.35),
])  # fmt: skip
def test_the_share_is_that_of_the_time_in_which_no_batch_is_ready(
    input_sec, step_sec, prefetch, lowest, highest, tmp_path
):
    wait = InputWait(tmp_path)
    batches = slow_batches(input_sec)
    iterator = iter(wait.timed(batches.prefetch(prefetch) if prefetch else batches))
    values = [next(iterator)]  # the first one waits for the pipeline to be built
    wait.on_epoch_begin(0)
    for step in range(1, STEPS):
        wait.on_train_batch_begin(step)
        values.append(next(iterator))
        time.sleep(step_sec)
        wait.on_train_batch_end(step)
    wait.on_epoch_end(0)
    wait.on_train_end()
    assert [(float(inputs["nodes"][0]), int(label)) for inputs, label in values] == [(n, n % 2) for n in range(STEPS)]
    events = EventMultiplexer().AddRun(str(tmp_path), "run").Reload()
    (event,) = events.Tensors("run", "share of a step that waits for input")
    assert lowest <= float(np.squeeze(make_ndarray(event.tensor_proto))) <= highest
