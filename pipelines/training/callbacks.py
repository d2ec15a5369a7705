"""Callbacks of a training: progress bar, learning rate, history, best weights, TensorBoard, resuming."""

import json
import math
import shutil
from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.run.files import replacing, write_text
from vad_keras import spec

HISTORY_NAME = "history.jsonl"
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
            columns = [
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("epochs"),
            ]
            columns += [TextColumn("{task.fields[metrics]}", style="cyan"), TimeRemainingColumn(compact=True)]
            self.progress = Progress(*columns, console=self.console)
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


class KeepBest(keras.callbacks.Callback):
    """Stop early and keep the best weights, both in files, so that a stopped training resumes with them.

    Each epoch is a line of ``history.jsonl``. The best weights are in ``best.weights.h5`` and are loaded when training
    ends.

    Args:
        folder: Folder of both files.
        monitor: Validation metric that selects the best epoch, see ``best_epoch``.
        patience_epochs: Stop after this many epochs without improvement; 0: never.
    """

    def __init__(self, folder, monitor="val_loss", patience_epochs=10):
        super().__init__()
        self.folder = Path(folder)
        self.monitor = monitor
        self.patience_epochs = patience_epochs

    @property
    def history_path(self):
        return self.folder / HISTORY_NAME

    @property
    def weights_path(self):
        return self.folder / "best.weights.h5"

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.history = read_history(self.history_path)
        self.first_epoch = True

    def on_epoch_end(self, epoch, logs=None):
        if self.first_epoch:  # a resumed training may repeat the epoch in which it was killed
            self.history = [line for line in self.history if line["epoch"] < epoch]
            self.first_epoch = False
        self.history.append({"epoch": epoch, **{key: float(value) for key, value in (logs or {}).items()}})
        best = best_epoch(self.history, self.monitor)[0]
        if best == epoch:  # before the history that names it
            with replacing(self.weights_path) as temporary:
                self.model.save_weights(temporary)
        write_text(self.history_path, "".join(json.dumps(line) + "\n" for line in self.history))
        if self.patience_epochs and epoch - best >= self.patience_epochs:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.weights_path.exists():
            self.model.load_weights(self.weights_path)


class Resume(keras.callbacks.BackupAndRestore):
    """Resume after the last whole epoch. A kill while the state is written costs one epoch, not the training.

    Args:
        folder: Folder of the state of the last two epochs.
    """

    def __init__(self, folder):
        super().__init__(folder, double_checkpoint=True)

    def on_train_begin(self, logs=None):
        fresh = self.model.get_weights()
        try:
            super().on_train_begin(logs)
        except (OSError, json.JSONDecodeError):  # killed during the first save: there is no whole state
            shutil.rmtree(self.backup_dir)
            self.model.set_weights(fresh)


def use_xla():
    """Whether ``compile`` uses XLA: with JAX or a GPU. On a CPU it is no faster and recompiles for each new length."""
    return keras.backend.backend() == "jax" or bool(tf.config.list_logical_devices("GPU"))


def read_history(path):
    """Return the lines of a ``history.jsonl`` as dicts; an empty list when there is no file."""
    path = Path(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def best_epoch(history, monitor):
    """Return epoch and value of the best ``monitor``; ``(-1, inf)`` when there is none.

    The best AUC is the highest; ties are broken by the lowest ``val_loss``. The best of any other metric is the lowest.
    """

    def rank(line):
        return (-line[monitor], line["val_loss"]) if monitor.endswith("auc") else (line[monitor],)

    numbers = [line for line in history if not math.isnan(line[monitor])]
    best = min(numbers, key=rank, default=None)
    return (best["epoch"], best[monitor]) if best else (-1, math.inf)


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
