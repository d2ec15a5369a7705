"""Tests of pipelines.training.board: the event files are read back as TensorBoard reads them."""

import json

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.util.tensor_util import make_ndarray

from pipelines.config import UserError, load_config
from pipelines.run.folder import RunFolder
from pipelines.stages import train_detector, train_extractor
from pipelines.training.board import Curves, KeptEpoch, LearnedState, training_callbacks
from pipelines.training.callbacks import TrainingProgress
from pipelines.training.checkpoints import KeepBest, Resume
from pipelines.training.input_wait import InputWait
from pipelines.training.state import TrainingState
from vad_keras.models import AnomalyDetector

EPOCHS = 3


def batches():
    nodes = np.random.default_rng(0).normal(size=(6, 8, 1, 4)).astype("float32")
    labels = np.arange(6) % 2
    nodes[labels == 1, 2:5] += 1.0
    return [({"nodes": nodes, "mask": np.ones((6, 8), bool)}, labels)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Event files and state of a small training, with its history and its model."""
    folder = tmp_path_factory.mktemp("run")
    config = load_config(overrides=["train_detector.monitor=val_bag_auc"])
    state = TrainingState(RunFolder(folder), "train_detector", folder / "detector.keras", "settings")
    detector = AnomalyDetector(key_dim=2, value_dim=4, temporal_localities=(1, 2), max_iterations=3, hidden_units=2)
    detector.build({"nodes": (None, None, 1, 4)})
    detector.compile("adam")
    callbacks = training_callbacks(config, state, "Training", "val_bag_auc", config.train_detector.patience_epochs)
    callbacks.append(LearnedState(state.logs / "learned", batches, every_epochs=2))
    ((inputs, labels),) = batches()
    data = {"validation_data": (inputs, labels), "epochs": EPOCHS, "batch_size": 6, "verbose": 0}
    detector.fit(inputs, labels, callbacks=callbacks, **data)
    events = EventMultiplexer().AddRunsFromDirectory(str(state.logs)).Reload()
    return events, state, detector


def series(events, run, tag):
    return {event.step: make_ndarray(event.tensor_proto) for event in events.Tensors(run, tag)}


def test_each_metric_is_one_curve_of_training_and_one_of_validation(trained):
    events, state, detector = trained
    tags = {run: {tag for tag in found["tensors"] if tag.startswith("epoch_")} for run, found in events.Runs().items()}
    names = {f"epoch_{name}" for name in ("loss", "bag_auc", *detector.LOSS_TERMS)}
    assert tags["validation"] == tags["kept"] == names and names <= tags["train"]
    assert not [tag for found in events.Runs().values() for tag in found["tensors"] if "evaluation" in tag]
    found = series(events, "validation", "epoch_bag_auc")
    assert [float(found[epoch]) for epoch in range(EPOCHS)] == pytest.approx(
        [line["val_bag_auc"] for line in state.history]
    )


def test_the_epoch_that_is_kept_is_one_point_on_each_curve(trained):
    events, state, _ = trained
    best = max(state.history, key=lambda line: (line["val_bag_auc"], -line["val_loss"]))
    for name in ("loss", "bag_auc"):
        ((step, value),) = series(events, "kept", f"epoch_{name}").items()
        assert step == best["epoch"] and float(value) == pytest.approx(best[f"val_{name}"])


def test_the_settings_are_a_text(trained):
    (text,) = series(trained[0], "train", "settings").values()
    lines = text.item().decode().splitlines()
    assert json.loads("\n".join(lines))["train_detector"]["monitor"] == "val_bag_auc"


def test_what_the_detector_has_learned_is_written(trained):
    events, _, detector = trained
    weights = keras.ops.convert_to_numpy(detector.attention.locality_weights)
    first = series(events, "learned", "clique weight/1 frames")
    assert sorted(first) == list(range(EPOCHS))
    assert float(first[0]) == pytest.approx(0.5, abs=0.01)
    compatibility = keras.ops.convert_to_numpy(detector.crf.compatibility)
    tags = [tag for tag in events.Runs()["learned"]["tensors"] if tag.startswith("compatibility")]
    assert len(tags) == 4 and weights.shape == (2,) and compatibility.shape == (2, 2)
    histogram = series(events, "learned", "CRF iterations until it stopped")
    assert sorted(histogram) == [1]
    counts = histogram[1]
    assert counts[:, 2].sum() == 6 and counts[0, 0] >= 1 and counts[-1, 1] <= 3
    assert sorted(series(events, "learned", "ROC and precision-recall")) == [1]


def test_a_model_without_cliques_has_no_weights_to_write(tmp_path):
    callback = LearnedState(tmp_path)
    callback.set_model(keras.Sequential([keras.layers.Dense(1)]))
    callback.on_epoch_end(0)
    callback.on_train_end()
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    assert not any(found["tensors"] for found in events.Runs().values())


@pytest.mark.parametrize("monitor", ["val_loss", "val_bag_auc", None])
def test_every_stage_trains_with_the_same_callbacks(tmp_path, monitor):
    state = TrainingState(RunFolder(tmp_path), "train_x", tmp_path / "x.keras", "settings")
    callbacks = training_callbacks(load_config(), state, "Training x", monitor, patience_epochs=4)
    kinds = [TrainingProgress, Curves, InputWait, *([KeepBest, KeptEpoch] if monitor else []), Resume]
    assert [type(callback) for callback in callbacks] == kinds
    assert str(callbacks[1].log_dir) == str(tmp_path / "logs" / "train_x")
    if monitor:
        assert (callbacks[3].monitor, callbacks[3].patience_epochs) == (monitor, 4)
        assert callbacks[3].folder == tmp_path / "state" / "train_x"


@pytest.mark.parametrize("steps", ["[5]", "[20, 10]", "[1, 2, 3]"])
def test_profile_steps_that_are_no_range_are_refused_before_anything_is_decoded(steps):
    config = load_config(overrides=[f"profile_steps={steps}"])
    for stage in (train_extractor, train_detector):
        with pytest.raises(UserError, match=r"`profile_steps` takes a first and a last step, such as \[10, 20\]"):
            stage.check_settings(config)
