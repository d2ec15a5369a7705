"""What is shown and kept of a training: a progress bar, history, best weights, TensorBoard, a way to resume."""

import json
import math
import shutil
from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SHOWN = 4


class TrainingProgress(keras.callbacks.Callback):
    """One bar over the epochs of `fit`, with the last figures and the time left; plain lines when not on a terminal.

    Args:
        description: Two or three words.
        console: Where to draw; standard error by default.
    """

    def __init__(self, description, console=None):
        super().__init__()
        self.description = description
        self.console = console or Console(stderr=True)
        self.progress = None

    def on_train_begin(self, logs=None):
        self.figures = ""
        if self.console.is_terminal:
            columns = [
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("epochs"),
            ]
            columns += [TextColumn("{task.fields[figures]}", style="cyan"), TimeRemainingColumn(compact=True)]
            self.progress = Progress(*columns, console=self.console)
            self.task = self.progress.add_task(self.description, total=self.params["epochs"], figures="")
            self.progress.start()

    def on_epoch_end(self, epoch, logs=None):
        shown = [key for key in ("loss", "val_loss", "bag_auc", "val_bag_auc") if key in (logs or {})]
        shown = shown or list(logs or {})[:SHOWN]
        self.figures = "  ".join(f"{key} {float(logs[key]):.4f}" for key in shown)
        total = self.params["epochs"]
        if self.progress:
            self.progress.update(self.task, completed=epoch + 1, figures=self.figures)
        elif (epoch + 1) % max(1, total // 5) == 0:
            self.console.print(
                f"{self.description}: epoch {epoch + 1} of {total}  {self.figures}", highlight=False, soft_wrap=True
            )

    def on_train_end(self, logs=None):
        if self.progress:
            self.progress.stop()
            self.progress = None


class KeepBest(keras.callbacks.Callback):
    """Early stopping and the best weights by a validation figure, in files: a killed training goes on where it was.

    Every epoch is a line of `history.jsonl`; the best weights are `best.weights.h5` and are loaded when training ends.

    Args:
        folder: Where both files are kept.
        monitor: Figure that tells the best, see `best_epoch`.
        patience_epochs: Training stops after this many epochs without a new best; 0 never stops early.
    """

    def __init__(self, folder, monitor="val_loss", patience_epochs=10):
        super().__init__()
        self.folder = Path(folder)
        self.monitor = monitor
        self.patience_epochs = patience_epochs

    @property
    def history_path(self):
        return self.folder / "history.jsonl"

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
        if best == epoch:  # before the history that names it, and never half of it under its name
            partial = self.folder / "partial.weights.h5"
            self.model.save_weights(partial)
            partial.replace(self.weights_path)
        partial = self.history_path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in self.history), encoding="utf-8")
        partial.replace(self.history_path)
        if self.patience_epochs and epoch - best >= self.patience_epochs:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.weights_path.exists():
            self.model.load_weights(self.weights_path)


class Resume(keras.callbacks.BackupAndRestore):
    """Go on after the last whole epoch; a kill while the state was being written costs an epoch, not the training.

    Args:
        folder: Where the state of the last two epochs is kept.
    """

    def __init__(self, folder):
        super().__init__(folder, double_checkpoint=True)

    def on_train_begin(self, logs=None):
        fresh = self.model.get_weights()
        try:
            super().on_train_begin(logs)
        except (OSError, json.JSONDecodeError):  # killed in its very first save: nothing whole lies before it
            shutil.rmtree(self.backup_dir)
            self.model.set_weights(fresh)


def clear_other_state(work_dir, stage, settings):
    """Remove state and logs of a training with other settings; keep what this one may resume from.

    Args:
        work_dir: Folder of the run.
        stage: Name of the stage.
        settings: Fingerprint of everything the training depends on.
    """
    state = Path(work_dir) / "state" / stage
    marker = state / "settings"
    if not marker.exists() or marker.read_text() != settings:
        shutil.rmtree(state, ignore_errors=True)
        shutil.rmtree(Path(work_dir) / "logs" / stage, ignore_errors=True)
        state.mkdir(parents=True)
        marker.write_text(settings)


def use_xla():
    """Whether `compile` uses XLA: on JAX, or beside a GPU. On a CPU it is not faster and compiles anew each length."""
    return keras.backend.backend() == "jax" or bool(tf.config.list_logical_devices("GPU"))


def read_history(path):
    """Lines of `history.jsonl` as dicts; empty when there is none."""
    path = Path(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def best_epoch(history, monitor):
    """Epoch and value of the best `monitor`, `(-1, inf)` where there is none.

    The best AUC is the highest, among equal ones that of the lowest `val_loss`; the best of any other figure is the
    lowest.
    """

    def rank(line):
        return (-line[monitor], line["val_loss"]) if monitor.endswith("auc") else (line[monitor],)

    numbers = [line for line in history if not math.isnan(line[monitor])]
    best = min(numbers, key=rank, default=None)
    return (best["epoch"], best[monitor]) if best else (-1, math.inf)


def training_callbacks(config, stage, description, monitor, patience_epochs):
    """The callbacks of every training stage.

    Args:
        config: The run's configuration; only `work_dir` is used.
        stage: Name of the stage; logs go to `logs/<stage>`, the state to resume from to `state/<stage>`.
        description: Of the progress bar.
        monitor: Validation figure that tells the best epoch; None keeps the last.
        patience_epochs: See `KeepBest`.
    """
    state = Path(config.work_dir) / "state" / stage
    callbacks = [TrainingProgress(description)]
    if monitor:
        callbacks.append(KeepBest(state, monitor, patience_epochs))
    callbacks.append(keras.callbacks.TensorBoard(Path(config.work_dir) / "logs" / stage, write_graph=False))
    callbacks.append(Resume(state / "backup"))
    return callbacks
