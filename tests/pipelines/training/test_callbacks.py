"""Tests of pipelines.training.callbacks."""

import io
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from pipelines.training.callbacks import (
    KeepBest,
    Resume,
    TrainingProgress,
    best_epoch,
    read_history,
    use_xla,
    validation_warning,
    warm_up,
)
from vad_keras.metrics import frame_auc


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
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == stop_after:
                raise KeyboardInterrupt

    x = np.ones((4, 1), "float32")
    model.fit(x, 10 * x, epochs=epochs, callbacks=[Resume(folder), Kill()], verbose=0)
    return model


@pytest.mark.parametrize("kept", [1, 2])
def test_half_a_state_costs_an_epoch_and_not_the_training(tmp_path, kept):
    expected = fitted(tmp_path / "undisturbed", 3).get_weights()[0]
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "killed", 3, stop_after=kept - 1)
    state = tmp_path / "killed" / "latest.weights.h5"
    state.write_bytes(state.read_bytes()[:100])  # with one epoch kept, nothing whole lies before it
    np.testing.assert_allclose(fitted(tmp_path / "killed", 3).get_weights()[0], expected, rtol=1e-6)


def shown(epochs, **console):
    out = io.StringIO()
    callback = TrainingProgress("Training it", console=Console(file=out, width=100, **console))
    callback.set_params({"epochs": epochs})
    callback.on_train_begin()
    for epoch in range(epochs):
        callback.on_epoch_end(epoch, {"contrast": 9.0, "loss": 1 / (epoch + 1), "val_loss": 0.25})
    callback.on_train_end()
    return out.getvalue()


def test_a_log_gets_about_five_lines_with_the_main_metrics():
    lines = shown(20).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        f"Training it: epoch {epoch} of 20" for epoch in (4, 8, 12, 16, 20)
    ]
    assert lines[0].endswith("loss 0.2500  val_loss 0.2500") and "contrast" not in lines[0]
    assert len(shown(2).splitlines()) == 2


def test_a_terminal_gets_a_bar_that_fills_and_names_the_epochs():
    text = shown(3, force_terminal=True, color_system=None)
    assert "Training it" in text and "3/3" in text and "loss 0.3333" in text


def test_metrics_without_a_loss_are_shown_as_they_come():
    out = io.StringIO()
    callback = TrainingProgress("x", console=Console(file=out, width=100))
    callback.set_params({"epochs": 1})
    callback.on_train_begin()
    callback.on_epoch_end(0, {"auc": 0.5})
    assert out.getvalue() == "x: epoch 1 of 1  auc 0.5000\n"


def test_the_learning_rate_warms_up_linearly_and_then_stays():
    rates = [warm_up(0.1, 4).schedule(epoch) for epoch in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
    assert warm_up(0.1, 0).schedule(0) == 0.1


def test_xla_is_used_with_jax_or_a_gpu(monkeypatch):
    for backend, gpus, expected in (("tensorflow", [], False), ("tensorflow", ["gpu"], True), ("jax", [], True)):
        monkeypatch.setattr(keras.backend, "backend", lambda backend=backend: backend)
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind, gpus=gpus: gpus if kind == "GPU" else [])
        assert use_xla() is expected


def validation_videos(normal, abnormal):
    return [SimpleNamespace(label=label) for label in [0] * normal + [1] * abnormal]


def test_a_validation_part_that_is_small_or_at_chance_is_named_with_its_videos():
    assert not validation_warning(validation_videos(13, 13), 0.9)
    assert not validation_warning(validation_videos(5, 5))
    small = validation_warning(validation_videos(40, 4), 1.0)
    assert small.startswith("; warning: the validation part is small (40 normal, 4 abnormal videos): the best epoch")
    assert "at chance" in validation_warning(validation_videos(2, 2), 0.0)
    chance = validation_warning(validation_videos(13, 13), 0.6)
    assert chance.startswith("; warning: the AUC of the validation part of 0.600 is at chance: the best epoch")
    assert "`validation_fraction`" in chance
    assert "AUC of the validation part of nan" in validation_warning(validation_videos(9, 9), math.nan)


@pytest.mark.parametrize(("normal", "abnormal"), [(5, 5), (13, 13), (6, 40)])
def test_at_chance_is_what_random_scores_reach_in_more_than_5_percent(normal, abnormal):
    random, labels = np.random.default_rng(0), [0] * normal + [1] * abnormal
    areas = [frame_auc(labels, random.random(normal + abnormal)) for _ in range(2000)]
    reached = np.mean([not validation_warning(validation_videos(normal, abnormal), area) for area in areas])
    assert 0.03 < reached < 0.07
