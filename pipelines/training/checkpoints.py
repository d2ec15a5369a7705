"""What a training keeps on the disk: its history, its best weights, and the state from which it resumes."""

import contextlib
import json
import math
import shutil
import sys
from pathlib import Path

import keras
import numpy as np

from pipelines.data.listing.lists import UNREADABLE
from pipelines.run.disk import check_room
from pipelines.run.failures import MachineError
from pipelines.run.files import replacing, write_text

HISTORY_NAME = "history.jsonl"
KEPT_STATES = 2
BYTES_PER_VARIABLE = 2048  # of its name and group in a file of weights


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

    def first_epoch(self, model, epoch, epochs):
        """Return the epoch at which a restored training continues.

        Args:
            model: The model, restored.
            epoch: Epoch of its state.
            epochs: Epochs of the whole training.

        Returns:
            ``epochs`` if the training had already stopped early; 0, the start, if what it needs of earlier epochs is
            missing or damaged; else ``epoch``.
        """
        history = [line for line in read_history(self.history_path) if line["epoch"] < epoch]
        best = best_epoch(history, self.monitor)[0]
        if len(history) < epoch or (best >= 0 and not _can_load(model, self.weights_path)):
            return 0
        return epochs if self._is_over(epoch - 1, best) and epoch else epoch

    def _is_over(self, epoch, best):
        return bool(self.patience_epochs) and epoch - best >= self.patience_epochs

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.history = read_history(self.history_path)
        self.is_first = True

    def on_epoch_end(self, epoch, logs=None):
        if self.is_first:  # a resumed training may repeat the epoch in which it was killed
            self.history = [line for line in self.history if line["epoch"] < epoch]
            self.is_first = False
        self.history.append({"epoch": epoch, **{key: float(value) for key, value in (logs or {}).items()}})
        best = best_epoch(self.history, self.monitor)[0]
        if best == epoch:  # before the history that names it
            save_whole(self.model.save_weights, self.model, self.weights_path)
        write_text(self.history_path, "".join(json.dumps(line) + "\n" for line in self.history))
        if self._is_over(epoch, best):
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.weights_path.exists() and not _is_loaded(self.model, self.weights_path):
            shutil.rmtree(self.folder)
            raise MachineError(f"{self.weights_path} was damaged while training. Run the same command again.")


class Resume(keras.callbacks.Callback):
    """Resume after the last whole epoch. A kill while the state is written costs one epoch, not the training.

    ``<epochs done>.weights.h5`` holds weights and optimizer, so that a file and its number appear in one step. Beside
    it are the random states, which Keras does not save. ``TrainingState.save`` removes the folder.

    Args:
        folder: Folder of the state of the last two epochs.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)

    def restore(self, model):
        """Load the newest whole state into a model and return its epoch; 0 when there is none."""
        unchanged = _Values(model)
        for path in reversed(self._states()):
            if _is_loaded(model, path) and _are_random_states_loaded(model, _beside(path)):
                return int(path.name.partition(".")[0])
            unchanged.restore()
        return 0

    def on_epoch_end(self, epoch, logs=None):
        path = self.folder / f"{epoch + 1:06d}.weights.h5"
        with replacing(_beside(path)) as temporary:
            np.savez(temporary, *map(np.array, _random_states(self.model)))
        save_whole(self.model.save_weights, self.model, path)
        for path in self._states(above=epoch + 1) + self._states()[:-KEPT_STATES]:
            path.unlink(missing_ok=True)
            _beside(path).unlink(missing_ok=True)

    def _states(self, above=0):
        paths = sorted(self.folder.glob("[0-9]*.weights.h5"))
        return [path for path in paths if int(path.name.partition(".")[0]) > above]


def first_epoch(callbacks, model, epochs):
    """Restore a stopped training and return the epoch at which it continues, 0 for a new one.

    Args:
        callbacks: Of ``training_callbacks``; without ``Resume`` the training is new.
        model: Built and compiled model.
        epochs: Epochs of the whole training.
    """
    resume = next((callback for callback in callbacks if isinstance(callback, Resume)), None)
    best = next((callback for callback in callbacks if isinstance(callback, KeepBest)), None)
    if resume is None:
        return 0
    model.optimizer.build(model.trainable_variables)
    new = _Values(model)
    restored = resume.restore(model)
    epoch = best.first_epoch(model, restored, epochs) if best else restored
    if restored and not epoch:
        new.restore()
    if best and not epoch:
        best.weights_path.unlink(missing_ok=True)
    return epoch


def _beside(path):
    return path.with_name(f"{path.name.partition('.')[0]}.random.npz")


def _random_states(model):
    """Return the variables of the random numbers, such as those of dropout."""
    weights = {id(weight) for weight in model.weights}
    return [one for one in model.variables if id(one) not in weights and "seed_generator" in one.path]


def _are_random_states_loaded(model, path):
    states = _random_states(model)
    try:
        with np.load(path) as content:
            for variable, name in zip(states, content.files, strict=True):
                variable.assign(content[name])
        return True
    except UNREADABLE:
        print(f"warning: {path} is missing or damaged: the training resumes from an earlier state", file=sys.stderr)
        return False


def save_whole(save, model, path):
    """Save a model or its weights in one step.

    Args:
        save: ``model.save`` or ``model.save_weights``.
        model: The model.
        path: The file.
    """
    variables = [*getattr(model, "variables", ()), *getattr(getattr(model, "optimizer", None), "variables", ())]
    size = sum(np.array(variable).nbytes for variable in variables)
    with replacing(path) as temporary:
        check_room(temporary, size + BYTES_PER_VARIABLE * len(variables))
        save(temporary)


class _Values:
    """Values of a model and its optimizer, random states included, to return to."""

    def __init__(self, model):
        self.pairs = [(one, np.array(one)) for one in (*model.variables, *model.optimizer.variables)]

    def restore(self):
        for variable, value in self.pairs:
            variable.assign(value)


def _can_load(model, path):
    """Whether a file holds weights of a model, which stays as it is."""
    before = _Values(model)
    found = _is_loaded(model, path)
    before.restore()
    return found


def _is_loaded(model, path):
    """Load weights; return whether they are whole. A damaged file is named and not used."""
    try:
        model.load_weights(path)
        return True
    except Exception as error:  # of many kinds, depending on which byte is wrong
        if isinstance(error, MemoryError):
            raise
        print(f"warning: {path} is missing or damaged: the training resumes from an earlier state", file=sys.stderr)
        return False


def read_history(path):
    """Return the lines of a ``history.jsonl`` as dicts, up to a damaged one; an empty list when there is no file."""
    history = []
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            history.append({"epoch": json.loads(line)["epoch"], **json.loads(line)})
    return history


def best_epoch(history, monitor):
    """Return epoch and value of the best ``monitor``; ``(-1, inf)`` when there is none.

    The best AUC is the highest; ties are broken by the lowest ``val_loss``. The best of any other metric is the lowest.
    """

    def rank(line):
        return (-line[monitor], line["val_loss"]) if monitor.endswith("auc") else (line[monitor],)

    numbers = [line for line in history if not math.isnan(line[monitor])]
    best = min(numbers, key=rank, default=None)
    return (best["epoch"], best[monitor]) if best else (-1, math.inf)
