"""TensorBoard during a training: curves, the epoch that is kept, the settings, and what the detector has learned.

    logs/train_detector/train, validation      one curve per metric and loss term
                        kept                   one point per curve: the epoch whose weights are kept
                        learned                clique weights, compatibility, iterations of the CRF, ROC and PR
                        images                 see ``pipelines.training.images``
"""

import json

import keras
import numpy as np
import tensorflow as tf

from pipelines.config import UserError, config_to_dict
from pipelines.report.plots.canvas import png_bytes
from pipelines.report.plots.curves import curves_figure
from pipelines.training.callbacks import TrainingProgress
from pipelines.training.checkpoints import HISTORY_NAME, KeepBest, Resume, best_epoch, read_history
from pipelines.training.input_wait import InputWait
from vad_keras import spec


def checked_profile_steps(config):
    """Return the setting ``profile_steps``.

    Raises:
        UserError: It is neither empty nor a first and a last step.
    """
    steps = config.profile_steps
    if steps and (len(steps) != 2 or steps[0] > steps[1]):
        raise UserError(f"`profile_steps` takes a first and a last step, such as [10, 20]. Received: {list(steps)}.")
    return steps


class Curves(keras.callbacks.TensorBoard):
    """Write each metric once per epoch, for training and validation, and the settings as text.

    ``keras.callbacks.TensorBoard`` writes the validation metrics a second time, by step; these are left out.

    Args:
        log_dir: Folder of the event files of this training.
        config: ``Config`` of the run.

    Raises:
        UserError: As for ``checked_profile_steps``.
    """

    def __init__(self, log_dir, config):
        super().__init__(log_dir, write_graph=False, profile_batch=checked_profile_steps(config) or 0)
        self.settings = config_to_dict(config)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        text = "\n".join(f"    {line}" for line in json.dumps(self.settings, indent=2).splitlines())
        with self._train_writer.as_default(step=0):
            tf.summary.text("settings", text)

    def on_test_end(self, logs=None):
        self._pop_writer()


class KeptEpoch(keras.callbacks.Callback):
    """Mark the epoch whose weights are kept: a run of one point on each curve, written when training ends.

    Args:
        log_dir: Folder of the event files of this training.
        state_dir: Folder of ``history.jsonl``, see ``KeepBest``.
        monitor: Validation metric that selects the epoch.
    """

    def __init__(self, log_dir, state_dir, monitor):
        super().__init__()
        self.log_dir, self.history_path, self.monitor = log_dir / "kept", state_dir / HISTORY_NAME, monitor

    def on_train_end(self, logs=None):
        history = read_history(self.history_path)
        epoch = best_epoch(history, self.monitor)[0] if history else -1
        kept = next((line for line in history if line["epoch"] == epoch), {})
        with tf.summary.create_file_writer(str(self.log_dir)).as_default(step=epoch):
            for name in sorted({key.removeprefix("val_") for key in kept} - {"epoch"}):
                tf.summary.scalar(f"epoch_{name}", kept.get(f"val_{name}", kept.get(name)))


class LearnedState(keras.callbacks.Callback):
    """Write what the detector has learned, at the end of every n-th epoch.

    The weight of each temporal locality and the compatibility U are scalars. Of the validation videos: a histogram of
    the CRF's iterations until it stopped, and ROC and precision-recall curves, each video with its highest score.

    Args:
        log_dir: Folder of the event files, such as ``logs/train_detector/learned``.
        read_batches: Function that returns batches ``(inputs, labels)`` of the validation videos; None: there are none.
        every_epochs: Number of epochs between two histograms or curves. The scalars are written after every epoch.
    """

    def __init__(self, log_dir, read_batches=None, every_epochs=1):
        super().__init__()
        self.log_dir, self.read_batches, self.every_epochs = str(log_dir), read_batches, every_epochs
        self.writer = self.batches = None

    def on_epoch_end(self, epoch, logs=None):
        self.writer = self.writer or tf.summary.create_file_writer(self.log_dir)
        with self.writer.as_default(step=epoch):
            self._write_weights()
            if self.read_batches and (epoch + 1) % self.every_epochs == 0:
                self._write_validation()
        self.writer.flush()

    def on_train_end(self, logs=None):
        if self.writer is not None:
            self.writer.close()
            self.writer = self.batches = None

    def _write_weights(self):
        if not getattr(self.model, "self_attention_crf", False):  # a baseline, or without cliques
            return
        attention, crf = self.model.attention, self.model.crf
        weights = keras.ops.convert_to_numpy(attention.locality_weights)
        for locality, weight in zip(attention.temporal_localities, weights, strict=True):
            tf.summary.scalar(f"clique weight/{locality} frames", weight)
        compatibility = keras.ops.convert_to_numpy(crf.compatibility)
        for first, name in enumerate(("normal", "abnormal")):
            for second, other in enumerate(("normal", "abnormal")):
                tf.summary.scalar(f"compatibility U/{name} and {other}", compatibility[first, second])

    def _write_validation(self):
        if self.batches is None:
            self.batches = [
                ({key: np.asarray(value) for key, value in inputs.items()}, np.asarray(labels).ravel())
                for inputs, labels in self.read_batches()
            ]
        highest, iterations = [], []
        for inputs, _ in self.batches:
            outputs = self.model.predict_on_batch(inputs)
            highest.append(outputs[spec.ANOMALY_SCORE].max(axis=1))  # padding scores 0
            iterations.append(outputs.get(spec.ITERATIONS, np.zeros(0)))
        labels, highest = np.concatenate([labels for _, labels in self.batches]), np.concatenate(highest)
        iterations = np.concatenate(iterations)
        if len(iterations):
            tf.summary.histogram("CRF iterations until it stopped", iterations)
        if len(np.unique(labels)) == 2 and np.isfinite(highest).all():
            figure = curves_figure({"validation videos": (labels, highest)}, "Highest score of each video")
            tf.summary.image("ROC and precision-recall", tf.io.decode_png(png_bytes(figure), channels=3)[None])


def training_callbacks(config, state, description, monitor, patience_epochs):
    """Return the callbacks that every training stage uses.

    Args:
        config: ``Config`` of the run.
        state: ``TrainingState`` of the stage.
        description: Text of the progress bar.
        monitor: Validation metric that selects the best epoch; None keeps the last epoch.
        patience_epochs: See ``KeepBest``.
    """
    callbacks = [TrainingProgress(description), Curves(state.logs, config), InputWait(state.logs / "train")]
    if monitor:
        callbacks += [KeepBest(state.folder, monitor, patience_epochs)]
        callbacks += [KeptEpoch(state.logs, state.folder, monitor)]
    return [*callbacks, Resume(state.backup)]
