"""Callbacks of a training: progress bar and learning rate; when XLA is used and a validation part is too small."""

import math

import keras
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from vad_keras import spec

MAX_SHOWN_METRICS = 4
MIN_VALIDATION_VIDEOS = 5  # of each label
CHANCE_DEVIATIONS = 1.64  # one-sided 95 %
REMEDY = "Add videos, change `validation_fraction` or the training, or set the fraction to 0 to train all epochs"


class TrainingProgress(keras.callbacks.Callback):
    """Show a progress bar over the epochs with the latest metrics and the time left; plain lines in a log file.

    Args:
        description: Two or three words.
        console: Where to print; standard error by default.
    """

    def __init__(self, description, console=None):
        super().__init__()
        self.description = description
        self.console = console or Console(stderr=True)
        self.progress = None

    def on_train_begin(self, logs=None):
        self.metrics = ""
        if self.console.is_terminal:
            self.progress = _EpochBar(console=self.console)
            self.task = self.progress.add_task(self.description, total=self.params["epochs"], metrics="")
            self.progress.start()

    def on_epoch_end(self, epoch, logs=None):
        shown = [key for key in ("loss", "val_loss", "bag_auc", "val_bag_auc") if key in (logs or {})]
        shown = shown or list(logs or {})[:MAX_SHOWN_METRICS]
        self.metrics = "  ".join(f"{key} {float(logs[key]):.4f}" for key in shown)
        total = self.params["epochs"]
        if self.progress:
            self.progress.update(self.task, completed=epoch + 1, metrics=self.metrics)
        elif (epoch + 1) % max(1, total // 5) == 0:
            self.console.print(
                f"{self.description}: epoch {epoch + 1} of {total}  {self.metrics}", highlight=False, soft_wrap=True
            )

    def on_train_end(self, logs=None):
        if self.progress:
            self.progress.stop()
            self.progress = None


class _EpochBar(Progress):
    """Epochs as a bar, and the metrics on a line of their own, so that neither is cut in a terminal of 80 columns."""

    @classmethod
    def get_default_columns(cls):
        counted = MofNCompleteColumn(), TextColumn("epochs"), TimeRemainingColumn(compact=True)
        return TextColumn("{task.description}"), BarColumn(bar_width=None), *counted

    def get_renderables(self):
        yield from super().get_renderables()
        for task in self.tasks:
            if task.fields["metrics"]:
                yield Text(f"  {task.fields['metrics']}", style="cyan", no_wrap=True, overflow="ellipsis")


def use_xla():
    """Whether ``compile`` uses XLA: with JAX or a GPU. On a CPU it is no faster and recompiles for each new length."""
    return keras.backend.backend() == "jax" or bool(tf.config.list_logical_devices("GPU"))


def validation_warning(videos, auc=None):
    """Warn about a validation part that cannot select an epoch; ``""`` if it can.

    Args:
        videos: Validation videos with labels.
        auc: AUC of these videos at the selected epoch, if known. It is at chance if a random order of the videos
            reaches it in more than 5 % of the cases, by the normal approximation of the Mann-Whitney U.

    Example:
    >>> from types import SimpleNamespace
    >>> validation_warning([SimpleNamespace(label=label) for label in (0, 0, 1, 1)], auc=0.0)  # doctest: +ELLIPSIS
    '; warning: the validation part is small (2 normal, 2 abnormal videos) and its AUC of 0.000 is at chance: ...'
    """
    abnormal = sum(video.label == spec.ABNORMAL for video in videos)
    normal = len(videos) - abnormal
    texts = []
    if min(normal, abnormal) < MIN_VALIDATION_VIDEOS:
        texts.append(f"the validation part is small ({normal} normal, {abnormal} abnormal videos)")
    deviation = math.sqrt((normal + abnormal + 1) / (12 * max(1, normal * abnormal)))
    if auc is not None and not auc > 0.5 + CHANCE_DEVIATIONS * deviation:  # nor NaN
        texts.append(f"{'its AUC' if texts else 'the AUC of the validation part'} of {auc:.3f} is at chance")
    return f"; warning: {' and '.join(texts)}: the best epoch is uncertain. {REMEDY}" if texts else ""


def warm_up(learning_rate, num_epochs):
    """Return a callback that raises the learning rate linearly over the first epochs (Sec 4.2)."""

    def rate(epoch, _=None):
        return learning_rate * min(1.0, (epoch + 1) / max(1, num_epochs))

    return keras.callbacks.LearningRateScheduler(rate)
