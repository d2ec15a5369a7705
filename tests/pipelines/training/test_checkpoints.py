"""Tests of pipelines.training.checkpoints."""

import math

import keras
import numpy as np
import pytest

from pipelines.run.failures import MachineError
from pipelines.training.checkpoints import KeepBest, Resume, best_epoch, first_epoch, read_history


class Weight:
    """Stands for a model: one number, saved as text."""

    def __init__(self):
        self.value, self.stop_training = None, False

    def save_weights(self, path):
        path.write_text(str(self.value))

    def load_weights(self, path):
        self.value = int(path.read_text())


def train(folder, val_losses, first_epoch=0, ends=True, **options):
    """A training whose weight is the number of the epoch, with these validation losses."""
    model, callback = Weight(), KeepBest(folder, **options)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, val_loss in enumerate(val_losses, first_epoch):
        model.value = epoch
        callback.on_epoch_end(epoch, {"loss": 1.0, "val_loss": val_loss})
        if model.stop_training:
            break
    if ends:
        callback.on_train_end()
    return model


def test_the_weights_of_the_lowest_value_are_loaded_at_the_end(tmp_path):
    assert train(tmp_path, [3.0, 1.0, 2.0, 1.0]).value == 1  # of equal values the first
    history = read_history(tmp_path / "history.jsonl")
    assert [(line["epoch"], line["loss"], line["val_loss"]) for line in history] == [
        (0, 1.0, 3.0),
        (1, 1.0, 1.0),
        (2, 1.0, 2.0),
        (3, 1.0, 1.0),
    ]
    assert best_epoch(history, "val_loss") == (1, 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.weights.h5", "history.jsonl"]


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 4), (3, 8), (0, 8)])
def test_training_stops_after_so_many_epochs_without_a_new_best(tmp_path, patience, epochs):
    model = train(tmp_path, [3.0, 2.0, 4.0, 5.0, 1.0, 6.0, 6.0, 6.0], patience_epochs=patience)
    assert len(read_history(tmp_path / "history.jsonl")) == epochs
    assert model.value == (4 if epochs == 8 else 1)


def test_a_killed_training_resumes_with_its_history_and_its_best(tmp_path):
    train(tmp_path, [3.0, 1.0, 2.0], ends=False)
    assert train(tmp_path, [1.5, 1.2], first_epoch=3).value == 1
    assert [line["epoch"] for line in read_history(tmp_path / "history.jsonl")] == [0, 1, 2, 3, 4]
    assert train(tmp_path, [0.5], first_epoch=5).value == 5


def test_an_epoch_that_is_repeated_after_a_kill_stands_once(tmp_path):
    train(tmp_path, [3.0, 1.0, 2.0], ends=False)
    train(tmp_path, [2.5, 2.6], first_epoch=2)
    history = read_history(tmp_path / "history.jsonl")
    assert [(line["epoch"], line["val_loss"]) for line in history] == [(0, 3.0), (1, 1.0), (2, 2.5), (3, 2.6)]


def test_patience_counts_the_epochs_before_the_kill(tmp_path):
    train(tmp_path, [1.0, 2.0, 2.0], ends=False, patience_epochs=3)
    assert train(tmp_path, [2.0, 2.0], first_epoch=3, patience_epochs=3).value == 0
    assert len(read_history(tmp_path / "history.jsonl")) == 4


def test_another_metric_may_be_monitored_and_not_a_number_is_never_the_best(tmp_path):
    assert train(tmp_path, [3.0, 2.0], monitor="loss").value == 0
    assert train(tmp_path / "nan", [math.nan, 2.0, math.nan, 3.0], patience_epochs=2).value == 1
    assert best_epoch([], "val_loss") == (-1, math.inf)
    assert best_epoch([{"epoch": 0, "val_loss": math.nan}], "val_loss") == (-1, math.inf)
    assert read_history(tmp_path / "nowhere.jsonl") == []


def test_the_best_auc_is_the_highest_and_among_equals_that_of_the_lowest_loss(tmp_path):
    model, callback = Weight(), KeepBest(tmp_path, "val_bag_auc", patience_epochs=2)
    callback.set_model(model)
    callback.on_train_begin()
    metrics = [(0.5, 1.0), (0.75, 3.0), (0.75, 2.0), (0.75, 2.5), (0.7, 0.5), (0.9, 1.0)]
    for epoch, (auc, loss) in enumerate(metrics):
        model.value = epoch
        callback.on_epoch_end(epoch, {"val_bag_auc": auc, "val_loss": loss})
        if model.stop_training:
            break
    callback.on_train_end()
    assert (epoch, model.value) == (4, 2)
    assert best_epoch(read_history(tmp_path / "history.jsonl"), "val_bag_auc") == (2, 0.75)


def test_a_kill_while_the_best_weights_are_written_leaves_the_ones_before(tmp_path):
    class Killed(Weight):
        def save_weights(self, path):
            path.write_text("half of")
            raise KeyboardInterrupt

    train(tmp_path, [3.0, 1.0], ends=False)
    callback = KeepBest(tmp_path)
    callback.set_model(Killed())
    callback.on_train_begin()
    with pytest.raises(KeyboardInterrupt):
        callback.on_epoch_end(2, {"val_loss": 0.5})
    assert callback.weights_path.read_text() == "1"
    assert best_epoch(read_history(tmp_path / "history.jsonl"), "val_loss") == (1, 1.0)
    assert train(tmp_path, [2.0], first_epoch=2).value == 1


def fitted(folder, epochs, stop_after=None):
    """A model of one weight that learns 10 x; with `stop_after` its training breaks off after that epoch."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((1,)), keras.layers.Dense(1, use_bias=False), keras.layers.Dropout(0.1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == stop_after:
                raise KeyboardInterrupt

    x = np.ones((8, 1), "float32")
    callbacks = [KeepBest(folder, patience_epochs=3), Resume(folder / "backup"), Kill()]
    first = first_epoch(callbacks, model, epochs)
    data = {"validation_data": (x, 10 * x), "initial_epoch": first}
    model.fit(x, 10 * x, epochs=epochs, callbacks=callbacks, verbose=0, **data)
    return float(model.get_weights()[0][0, 0]), first


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damaged", "first"),
    [
        ((), 3),
        (("backup/000003.weights.h5",), 2),
        (("backup/000003.random.npz",), 2),
        (("backup/000003.weights.h5", "backup/000002.weights.h5"), 0),
        (("best.weights.h5",), 0),
        (("history.jsonl",), 0),
    ],
)
def test_what_is_damaged_costs_an_epoch_or_the_training_but_not_the_result(tmp_path, capsys, damaged, first):
    expected, _ = fitted(tmp_path / "undisturbed", 5)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "killed", 5, stop_after=2)
    assert len(list((tmp_path / "killed/backup").iterdir())) == 4
    for name in damaged:
        cut(tmp_path / "killed" / name)
    assert fitted(tmp_path / "killed", 5) == (pytest.approx(expected, rel=1e-6), first)
    assert capsys.readouterr().err.count("is missing or damaged") == sum("history" not in name for name in damaged)
    assert [line["epoch"] for line in read_history(tmp_path / "killed/history.jsonl")] == [0, 1, 2, 3, 4]


def test_a_training_that_had_ended_early_trains_no_further_epoch(tmp_path):
    expected, _ = fitted(tmp_path, 40)  # with momentum it moves past its target, and stops
    epochs = len(read_history(tmp_path / "history.jsonl"))
    assert epochs < 40
    assert fitted(tmp_path, 40) == (expected, 40)
    assert len(read_history(tmp_path / "history.jsonl")) == epochs


def test_best_weights_that_are_damaged_while_training_are_named_and_trained_again(tmp_path):
    train(tmp_path, [3.0, 1.0], ends=False)
    callback = KeepBest(tmp_path)
    callback.set_model(Weight())
    callback.on_train_begin()
    callback.weights_path.write_text("no number")
    with pytest.raises(MachineError, match=r"best\.weights\.h5 was damaged while training\. Run the same command"):
        callback.on_train_end()
    assert train(tmp_path, [2.0]).value == 0
