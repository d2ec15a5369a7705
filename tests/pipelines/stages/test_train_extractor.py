import dataclasses
import json
import shutil
import warnings

import keras
import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.data.clips import open_clips
from pipelines.data.listing.manifest import read_manifest, write_manifest
from pipelines.data.map_cache import MapCache
from pipelines.run.folder import RunFolder
from pipelines.stages import train_extractor
from pipelines.training.state import TrainingState

FROZEN = "extractor.train_backbone=false"


def history_of(config):
    lines = (RunFolder.of(config).state_of("train_extractor") / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_training_the_backbone_lowers_the_loss_and_needs_no_maps(prepared):
    config = prepared("train_extractor.epochs=6", "train_extractor.learning_rate=0.03")
    extractor = keras.saving.load_model(train_extractor.run(config))
    frames = np.zeros((1, 4, 32, 32, 3), "uint8")
    assert 0 < float(extractor({"frames": frames})["anomaly_probability"][0]) < 1
    history = history_of(config)
    assert len(history) == 6 and min(line["val_loss"] for line in history) < history[0]["val_loss"]
    assert extractor.train_backbone and not RunFolder.of(config).maps.exists()


def test_a_frozen_backbone_is_left_as_it_was(trained_run):
    trained = keras.saving.load_model(RunFolder.of(trained_run).extractor)
    assert not trained.train_backbone
    keras.utils.set_random_seed(trained_run.seed)
    fresh = train_extractor.build_extractor(trained_run)
    for kept, wanted in zip(trained.backbone.get_weights(), fresh.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, wanted)
    assert not np.array_equal(trained.head.get_weights()[0], fresh.head.get_weights()[0])


def test_the_best_epoch_of_the_validation_is_kept(trained_run):
    extractor = keras.saving.load_model(RunFolder.of(trained_run).extractor)
    best = train_extractor.build_extractor(trained_run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best.load_weights(RunFolder.of(trained_run).state_of("train_extractor") / "best.weights.h5")
    for kept, wanted in zip(extractor.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, wanted)


def test_tensorboard_reads_loss_and_validation_auc(trained_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tags = {}
    for part in ("train", "validation"):
        logs = RunFolder.of(trained_run).logs_of("train_extractor")
        events = EventAccumulator(str(logs / part), {"tensors": 0}).Reload()
        tags[part] = {tag: len(events.Tensors(tag)) for tag in events.Tags()["tensors"]}
    assert tags["train"]["epoch_loss"] == tags["train"]["epoch_auc"] == 3
    assert tags["validation"]["epoch_loss"] == tags["validation"]["epoch_auc"] == 3


def test_the_rate_warms_up_linearly(trained_run):
    assert [line["learning_rate"] for line in history_of(trained_run)] == pytest.approx([0.005, 0.01, 0.01])


def test_a_second_run_with_the_same_settings_trains_nothing(trained_run, monkeypatch):
    path = RunFolder.of(trained_run).extractor
    written = path.stat().st_mtime_ns
    monkeypatch.setattr(train_extractor, "fit_extractor", lambda *_: pytest.fail("trained again"))
    assert train_extractor.run(trained_run) == path and path.stat().st_mtime_ns == written


def test_another_setting_retrains_on_the_same_maps(trained_run, tmp_path, monkeypatch):
    shutil.copytree(RunFolder.of(trained_run).path, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(MapCache, "_write", lambda *_: pytest.fail("maps were computed again"))
    options = dataclasses.replace(trained_run.train_extractor, epochs=2)
    config = dataclasses.replace(trained_run, work_dir=str(tmp_path), train_extractor=options)
    train_extractor.run(config)
    assert [line["epoch"] for line in history_of(config)] == [0, 1]


class KilledError(Exception):
    pass


def test_a_killed_training_resumes_after_its_last_whole_epoch(prepared, monkeypatch):
    config = prepared(FROZEN, "train_extractor.epochs=4")
    callbacks = train_extractor.training_callbacks

    def killed_in_the_third_epoch(*arguments):
        def kill(batch, logs=None):
            history = RunFolder.of(config).state_of("train_extractor") / "history.jsonl"
            if history.exists() and len(history_of(config)) == 2:
                raise KilledError

        return [*callbacks(*arguments), keras.callbacks.LambdaCallback(on_train_batch_end=kill)]

    drawn, first_epochs = train_extractor.random_snippets, []

    def watched(*arguments, first_epoch):
        first_epochs.append(first_epoch)
        return drawn(*arguments, first_epoch=first_epoch)

    monkeypatch.setattr(train_extractor, "random_snippets", watched)
    monkeypatch.setattr(train_extractor, "training_callbacks", killed_in_the_third_epoch)
    with pytest.raises(KilledError):
        train_extractor.run(config)
    before = history_of(config)
    monkeypatch.setattr(train_extractor, "training_callbacks", callbacks)
    train_extractor.run(config)
    assert [line["epoch"] for line in history_of(config)] == [0, 1, 2, 3]
    assert history_of(config)[:2] == before
    assert first_epochs == [0, 2], "the snippets are those of the epochs that are left"


def test_the_optimizer_is_that_of_the_section_train_extractor(prepared, monkeypatch):
    def compiled(extractor, optimizer, **_):
        raise KilledError(optimizer)

    monkeypatch.setattr(train_extractor.RelationAwareExtractor, "compile", compiled)

    def optimizer_of(**settings):
        with pytest.raises(KilledError) as raised:
            train_extractor.run(prepared(*(f"train_extractor.{key}={value}" for key, value in settings.items())))
        (found,) = raised.value.args
        assert isinstance(found, keras.optimizers.SGD) and not found.nesterov
        return found.momentum, found.weight_decay, found.clipnorm

    assert optimizer_of(momentum=0.7, weight_decay=0.03, clip_norm=2.0) == (0.7, 0.03, 2.0)
    assert optimizer_of(momentum=0.0, weight_decay=0.0, clip_norm=0.0) == (0.0, None, None)


@pytest.mark.parametrize(("fraction", "expected"), [(0.3, "val_loss"), (0.0, None)])
def test_the_validation_loss_chooses_the_epoch(prepared, monkeypatch, fraction, expected):
    def callbacks(config, state, description, monitor, patience_epochs):
        raise KilledError(monitor)

    monkeypatch.setattr(train_extractor, "training_callbacks", callbacks)
    with pytest.raises(KilledError) as raised:
        train_extractor.run(prepared(f"train_extractor.validation_fraction={fraction}"))
    assert raised.value.args == (expected,)


def test_test_videos_and_unknown_labels_are_not_trained_on(prepared, monkeypatch):
    config, seen = prepared(), []
    folder = RunFolder.of(config).clips
    videos = list(read_manifest(folder).videos)
    videos[2] = dataclasses.replace(videos[2], label=None)
    write_manifest(folder, videos)

    def no_training(config, clips, videos, state):
        seen.extend(video.video_id for video in videos)
        return train_extractor.build_extractor(config)

    monkeypatch.setattr(train_extractor, "fit_extractor", no_training)
    train_extractor.run(config)
    assert seen == ["train/n0", "train/a0", "train/a1", "train/n2", "train/a2"]


def fitted(config, videos, folder):
    state = TrainingState(RunFolder(folder), "train_extractor", folder / "extractor.keras", "settings")
    return train_extractor.fit_extractor(config, open_clips(config), videos, state)


def test_trainings_share_the_maps_and_repeat_exactly(prepared):
    config = prepared(FROZEN, "train_extractor.epochs=1", "train_extractor.validation_fraction=0")
    chosen = videos_of(config)[:4]
    first, again = (fitted(config, chosen, RunFolder.of(config).path / name) for name in ("first", "again"))
    for name in ("first", "again"):
        assert (RunFolder.of(config).path / name / "logs" / "train_extractor").is_dir()
    assert len(list(RunFolder.of(config).maps.glob("*.f16"))) == 1
    np.testing.assert_allclose(first.head.get_weights()[0], again.head.get_weights()[0], rtol=1e-5, atol=1e-7)


def videos_of(config):
    return [video for video in open_clips(config).manifest.videos if video.subset == "train"]


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["extractor.weights=nowhere.weights.h5"], "nowhere.weights.h5 does not exist"),
        (["extractor.weights=imagenet"], "imagenet"),
    ],
)
def test_a_setting_that_fits_no_model_is_named(prepared, overrides, message):
    with pytest.raises(UserError, match=message):
        train_extractor.build_extractor(prepared(*overrides))


def test_a_missing_label_is_named(prepared):
    config = prepared()
    normal = [video for video in videos_of(config) if video.label == 0]
    with pytest.raises(UserError, match="no abnormal video"):
        fitted(config, normal, RunFolder.of(config).path)
