"""Tests of pipelines.training.callbacks."""

import io
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console
from rich.text import Text

from pipelines.training.callbacks import (
    TrainingProgress,
    use_xla,
    validation_warning,
    warm_up,
)
from vad_keras.metrics import frame_auc


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


def test_a_terminal_of_80_columns_shows_the_epochs_and_all_metrics():
    out = io.StringIO()
    callback = TrainingProgress("Training detector", console=Console(file=out, width=80, force_terminal=True))
    callback.set_params({"epochs": 30})
    callback.on_train_begin()
    callback.on_epoch_end(11, dict.fromkeys(("loss", "val_loss", "bag_auc", "val_bag_auc"), 0.25))
    callback.on_train_end()
    bar, metrics = Text.from_ansi(out.getvalue()).plain.splitlines()[-2:]
    assert "Training detector" in bar and "12/30 epochs" in bar
    assert metrics.strip() == "loss 0.2500  val_loss 0.2500  bag_auc 0.2500  val_bag_auc 0.2500"


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
