"""How much of a training waits for its input: the share is written to TensorBoard after each epoch."""

import time

import keras
import tensorflow as tf


class InputWait(keras.callbacks.Callback):
    """Write the share of the time of the training steps in which the next batch was not ready yet.

    A share near 0 means that the model is the limit; near 1, that decoding or reading is.

    Args:
        log_dir: Folder of the event files of this training.
    """

    def __init__(self, log_dir):
        super().__init__()
        self.log_dir, self.writer = str(log_dir), None
        self._waited_sec = self._steps_sec = self._start = 0.0

    def timed(self, dataset):
        """Return the same batches of a ``tf.data.Dataset``; the time that each request waits is added up."""
        # Made before the batch is asked for. Not `tf.timestamp`, which fails where operations are deterministic.
        requested = tf.data.Dataset.counter().map(lambda _: tf.numpy_function(time.perf_counter, [], tf.float64))

        def arrived(start, batch):
            with tf.control_dependencies([tf.numpy_function(self._add, [start], tf.float64)]):
                return tf.nest.map_structure(tf.identity, batch)

        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False  # it would ask before the model does
        return tf.data.Dataset.zip((requested, dataset)).map(arrived).with_options(options)

    def _add(self, start):
        self._waited_sec += time.perf_counter() - start
        return start

    def on_epoch_begin(self, epoch, logs=None):
        self._waited_sec = self._steps_sec = 0.0

    def on_train_batch_begin(self, batch, logs=None):
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._steps_sec += time.perf_counter() - self._start

    def on_epoch_end(self, epoch, logs=None):
        self.writer = self.writer or tf.summary.create_file_writer(self.log_dir)
        with self.writer.as_default(step=epoch):
            share = min(1.0, self._waited_sec / self._steps_sec) if self._steps_sec else 0.0
            tf.summary.scalar("share of a step that waits for input", share)
        self.writer.flush()

    def on_train_end(self, logs=None):
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def with_wait(callbacks, dataset):
    """Return the batches of a training, timed if ``InputWait`` is among its callbacks."""
    wait = next((callback for callback in callbacks if isinstance(callback, InputWait)), None)
    return dataset if wait is None else wait.timed(dataset)
