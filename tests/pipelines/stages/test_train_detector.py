"""Tests of pipelines.stages.train_detector."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from pipelines.config import UserError, choices
from pipelines.config.sections import DetectorConfig
from pipelines.data import bags
from pipelines.data.listing.manifest import read_manifest, write_manifest
from pipelines.data.splits import split_videos
from pipelines.run.folder import RunFolder
from pipelines.stages import evaluate, train_detector
from pipelines.training.checkpoints import best_epoch
from pipelines.training.state import TrainingState
from vad_keras.models import AnomalyDetector, SultaniRanker
from vad_keras.models.baselines import BASELINES


def history_of(config):
    path = RunFolder.of(config).state_of("train_detector") / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def weights_of(config):
    return keras.saving.load_model(RunFolder.of(config).detector, compile=False).get_weights()


def events_of(config, part):
    return EventAccumulator(str(RunFolder.of(config).logs_of("train_detector") / part), {"tensors": 0}).Reload()


@pytest.mark.filterwarnings("ignore:Skipping variable loading")
def test_the_detector_is_written_with_the_weights_of_the_best_validation_epoch(detector_run):
    detector = keras.saving.load_model(RunFolder.of(detector_run).detector)
    assert isinstance(detector, AnomalyDetector) and detector.built
    best = train_detector.build_detector(detector_run)
    best.build({"nodes": (None, None, 5, 8)})
    best.load_weights(RunFolder.of(detector_run).state_of("train_detector") / "best.weights.h5", skip_mismatch=False)
    for found, expected in zip(detector.trainable_variables, best.trainable_variables, strict=True):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    history = history_of(detector_run)
    summary = json.loads((RunFolder.of(detector_run).summaries / "train_detector.json").read_text())
    epoch, loss = best_epoch(history, "val_loss")
    best, name = history[epoch], f"best epoch {epoch + 1} of {len(history)} by val_loss {loss:.3f}"
    areas = f"AUC of training videos {best['bag_auc']:.3f}, of validation videos {best['val_bag_auc']:.3f}"
    assert summary["done"].startswith(f"6 videos, 4 for validation, {name} ({areas}); warning: ")
    assert "small (2 normal, 2 abnormal videos)" in summary["done"]


def test_tensorboard_reads_each_loss_term_apart_and_the_validation_metrics(detector_run):
    history = history_of(detector_run)
    for part, prefix in (("train", ""), ("validation", "val_")):
        events = events_of(detector_run, part)
        for name in ("loss", "bag_auc", *AnomalyDetector.LOSS_TERMS):
            written = events.Tensors(f"epoch_{name}")
            assert [event.step for event in written] == [0, 1, 2, 3]
            values = [make_ndarray(event.tensor_proto) for event in written]
            np.testing.assert_allclose(values, [line[prefix + name] for line in history], rtol=1e-5)
    assert len({line["contrast"] for line in history}) > 1


def test_tensorboard_reads_timelines_and_heat_maps_of_validation_and_of_training_videos_apart(detector_run):
    events = events_of(detector_run, "images")
    parts = split_videos(training_videos(detector_run), 0.4, detector_run.seed)
    shown = [
        f"{part}/{video.video_id}"
        for part, videos in zip(("training", "validation"), parts, strict=True)
        for video in sorted(videos, key=lambda video: -video.label)[:2]
    ]
    assert sorted(events.Tags()["tensors"]) == sorted(
        f"{kind}/{name}" for kind in ("patches", "timeline") for name in shown
    )
    for kind in ("patches", "timeline"):
        width, height, png = events.Tensors(f"{kind}/{shown[0]}")[-1].tensor_proto.string_val[:3]
        assert int(width) > 100 and int(height) > 100 and png.startswith(b"\x89PNG")


def training_videos(config):
    videos = read_manifest(RunFolder.of(config).nodes).videos
    return [video for video in videos if video.subset == "train" and video.label is not None]


def test_only_labelled_training_videos_are_read(with_nodes, monkeypatch):
    config, read = with_nodes("train_detector.epochs=1"), {}
    original = {name: getattr(train_detector, name) for name in ("training_bags", "whole_bags")}

    def spy(name):
        def reading(folder, videos, *arguments, **options):
            read.setdefault(name, set()).update(video.video_id for video in videos)
            return original[name](folder, videos, *arguments, **options)

        return reading

    for name in original:
        monkeypatch.setattr(train_detector, name, spy(name))
    train_detector.run(config)
    assert read["training_bags"] | read["whole_bags"] == {video.video_id for video in training_videos(config)}
    assert not read["training_bags"] & read["whole_bags"]


def test_labels_and_nodes_of_test_videos_change_no_weight_and_no_chosen_epoch(detector_run, with_nodes, write_nodes):
    config = with_nodes()
    videos = {video.video_id: video for video in read_manifest(RunFolder.of(config).nodes).videos}
    changed = {
        name: (video.subset, 1 - video.label if video.subset == "test" else video.label, video.num_sampled)
        for name, video in videos.items()
    }
    infos = write_nodes(RunFolder.of(config).nodes, changed)
    infos = [dataclasses.replace(info, frame_labels=((0, 3),)) if info.subset == "test" else info for info in infos]
    write_manifest(RunFolder.of(config).nodes, infos, fingerprint="nodes")
    train_detector.run(config)
    for found, expected in zip(weights_of(config), weights_of(detector_run), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    losses = [[line["val_loss"] for line in history_of(run)] for run in (config, detector_run)]
    assert np.argmin(losses[0]) == np.argmin(losses[1])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


class KilledError(Exception):
    pass


def test_a_killed_training_resumes_after_its_last_whole_epoch(with_nodes, detector_run, monkeypatch):
    config, callbacks, trained = with_nodes(), train_detector.training_callbacks, []

    def watched(kill):
        def build(*arguments):
            def batch_ends(batch, logs=None):
                if kill and len(history_of(config)) == 2:
                    raise KilledError

            watch = keras.callbacks.LambdaCallback(
                on_train_batch_end=batch_ends, on_epoch_begin=lambda epoch, logs: trained.append(epoch)
            )
            return [*callbacks(*arguments), watch]

        return build

    monkeypatch.setattr(train_detector, "training_callbacks", watched(kill=True))
    with pytest.raises(KilledError):
        train_detector.run(config)
    before = history_of(config)
    assert len(before) == 2 and not RunFolder.of(config).detector.exists()
    monkeypatch.setattr(train_detector, "training_callbacks", watched(kill=False))
    train_detector.run(config)
    assert trained == [0, 1, 2, 2, 3]
    assert [line["epoch"] for line in history_of(config)] == [0, 1, 2, 3]
    assert history_of(config)[:2] == before
    losses = [[line["loss"] for line in history_of(run)] for run in (config, detector_run)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)  # the batches, too, are those of an undisturbed run


def test_a_finished_training_is_kept_until_a_setting_or_the_nodes_change(detector_run, monkeypatch):
    def fit(*_):
        raise KilledError

    monkeypatch.setattr(train_detector, "_fit", fit)
    monkeypatch.setattr(TrainingState, "discard_other", lambda *_: None)
    path = RunFolder.of(detector_run).detector
    written = path.stat().st_mtime_ns
    assert train_detector.run(detector_run) == path and path.stat().st_mtime_ns == written
    options = dataclasses.replace(detector_run.train_detector, learning_rate=0.5)
    with pytest.raises(KilledError):
        train_detector.run(dataclasses.replace(detector_run, train_detector=options))
    with pytest.raises(KilledError):
        train_detector.run(dataclasses.replace(detector_run, seed=1))


def test_without_validation_all_epochs_are_trained_and_the_last_is_kept(with_nodes):
    config = with_nodes("train_detector.validation_fraction=0", "train_detector.epochs=2")
    train_detector.run(config)
    summary = json.loads((RunFolder.of(config).summaries / "train_detector.json").read_text())
    assert summary["done"] == "10 videos, 0 for validation, all 2 epochs"
    assert events_of(config, "train").Tensors("epoch_loss")[-1].step == 1
    assert not (RunFolder.of(config).path / "logs/train_detector/validation").exists()


@pytest.mark.parametrize("monitor", [*choices("train_detector.monitor"), None])
def test_the_metric_of_the_configuration_chooses_the_epoch(with_nodes, monkeypatch, monitor):
    def callbacks(config, state, description, monitor, patience_epochs):
        raise KilledError(monitor)

    monkeypatch.setattr(train_detector, "training_callbacks", callbacks)
    override = f"monitor={monitor}" if monitor else "validation_fraction=0"
    with pytest.raises(KilledError) as raised:
        train_detector.run(with_nodes(f"train_detector.{override}"))
    assert raised.value.args == (monitor,)


def test_the_summary_names_the_epoch_that_is_best_by_the_monitored_auc(with_nodes):
    metrics = [(0.5, 1.0), (0.75, 3.0), (0.75, 2.0), (0.7, 0.5)]
    history = [
        {"epoch": epoch, "bag_auc": epoch / 10, "val_bag_auc": auc, "val_loss": loss}
        for epoch, (auc, loss) in enumerate(metrics)
    ]
    options = with_nodes("train_detector.monitor=val_bag_auc").train_detector
    validation = [SimpleNamespace(label=number % 2) for number in range(60)]
    found = train_detector._describe(options, [None] * 6, validation, history)
    expected = "6 videos, 60 for validation, best epoch 3 of 4 by val_bag_auc 0.750"
    assert found == f"{expected} (AUC of training videos 0.200, of validation videos 0.750)"


def test_every_key_of_the_section_detector_reaches_the_model(with_nodes):
    changed = {"key_dim": 5, "value_dim": 9, "temporal_localities": (1, 4), "alignment": "causal"}
    changed |= {"normalization": "none", "inference": "algorithm_1", "max_iterations": 3, "tolerance": 0.5}
    changed |= {"node_normalization": "none", "projection_dim": 6, "residual": True, "hidden_units": 7}
    changed |= {"dropout": 0.1, "frame_pooling": "mean", "score_from": "marginals", "self_attention_crf": False}
    changed |= {"unary_from": "both", "prior_in_score": True, "potts_weight": 2.0, "context_frames": 16}
    changed |= {"clique_patches": "same", "memory_nodes": 9}
    assert set(changed) == {field.name for field in dataclasses.fields(DetectorConfig)}
    config = dataclasses.replace(with_nodes(), detector=DetectorConfig(**changed))
    found = train_detector.build_detector(config).get_config()
    assert {key: found[key] for key in changed} == changed
    printed = dataclasses.replace(config.detector, residual=False, self_attention_crf=True)
    assert not train_detector.build_detector(dataclasses.replace(config, detector=printed)).residual


def test_optimizer_and_loss_are_those_of_the_section_train_detector(with_nodes):
    overrides = ["sparsity_weight=1.0", "smoothness_weight=2.0", "contrast_weight=3.0", "contrast_form=printed"]
    overrides += ["margin=4.0", "top_k=0.5", "normalize_embeddings=false", "learning_rate=0.02", "weight_decay=0.03"]
    model = train_detector.build_detector(with_nodes(*(f"train_detector.{key}" for key in overrides)))
    expected = {"sparsity_weight": 1.0, "smoothness_weight": 2.0, "contrast_weight": 3.0}
    expected |= {"contrast_form": "printed", "margin": 4.0, "k": 0.5, "normalize_embeddings": False}
    assert model.loss_options == expected
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02) and model.optimizer.weight_decay == 0.03
    overrides = ["model=sultani", "optimizer=adagrad", "weight_decay=0.0", 'model_options=["sparsity_weight=1.0"]']
    model = train_detector.build_detector(with_nodes(*(f"train_detector.{key}" for key in overrides)))
    assert isinstance(model, SultaniRanker) and model.loss_options["sparsity_weight"] == 1.0
    assert isinstance(model.optimizer, keras.optimizers.Adagrad) and not model.optimizer.weight_decay


def test_options_of_a_baseline_are_read_and_unknown_ones_are_named(with_nodes):
    def built(*options, model="sultani"):
        overrides = [f"train_detector.model={model}", f"train_detector.model_options={json.dumps(options)}"]
        return train_detector.build_detector(with_nodes(*overrides))

    model = built("pairing=paired", "units=[8, 2]", "normalize=false")
    assert (model.loss_options["pairing"], model.units, model.normalize) == ("paired", (8, 2), False)
    assert built("normalize=true", model="hl_net").normalize, "an option that all baselines share"
    with pytest.raises(
        UserError, match=r"no argument `pairng` in `train_detector.model_options`.*Did you mean `pairing`\?"
    ):
        built("pairng=all")
    with pytest.raises(UserError, match=r"sultani: `pairing` must be one of .*'none'"):
        built("pairing=none")
    with pytest.raises(UserError, match=r"is for baselines only"):
        built("key_dim=3", model="anomaly_detector")


def test_every_baseline_has_its_name_in_the_configuration():
    assert set(choices("train_detector.model")) == {"anomaly_detector", *BASELINES}


def test_each_batch_of_the_validation_holds_both_labels(with_nodes):
    manifest = read_manifest(RunFolder.of(with_nodes()).nodes)
    videos = [video for video in manifest.videos if video.label is not None]
    batches = train_detector.validation_batches(videos, 4)
    assert sorted(video.video_id for batch in batches for video in batch) == sorted(v.video_id for v in videos)
    assert all({video.label for video in batch} == {0, 1} for batch in batches)
    few = [video for video in videos if video.label][:1] + [video for video in videos if not video.label]
    assert [len(batch) for batch in train_detector.validation_batches(few, 2)] == [len(few)]


def test_the_rival_trains_on_segment_means(sultani_run):
    model = keras.saving.load_model(RunFolder.of(sultani_run).detector)
    assert isinstance(model, SultaniRanker)
    assert {"ranking", "val_ranking", "val_bag_auc"} <= set(history_of(sultani_run)[0])


def test_missing_nodes_and_a_missing_label_are_named(with_nodes, tmp_path, write_nodes):
    config = with_nodes()
    write_nodes(tmp_path / "nodes", {"n": ("train", 0, 5), "m": ("train", 0, 5), "a": ("test", 1, 5)})
    with pytest.raises(UserError, match="no training video has label 1"):
        train_detector.run(config)
    with pytest.raises(UserError, match=r"does not exist\. Run `vad prepare` for clips, `vad extract`"):
        train_detector.run(dataclasses.replace(config, work_dir=str(tmp_path / "nowhere")))


def test_a_number_of_steps_per_epoch_replaces_the_pass_over_the_videos(with_nodes):
    config = with_nodes("train_detector.steps_per_epoch=3", "train_detector.epochs=2", "train_detector.batch_size=2")
    whole = dataclasses.replace(config.train_detector, validation_fraction=0.0)
    config = dataclasses.replace(config, train_detector=whole)
    train_detector.run(config)
    assert train_detector.steps_trained(config) == 6
    optimizer = keras.saving.load_model(RunFolder.of(config).detector).optimizer
    assert int(optimizer.iterations) == 6


def test_the_steps_of_the_kept_weights_end_with_the_best_epoch(detector_run):
    epoch, _ = best_epoch(history_of(detector_run), "val_loss")
    assert train_detector.steps_trained(detector_run) == (epoch + 1) * 2  # 3 + 3 training videos, 2 + 2 per batch


def test_the_auc_of_bags_is_exact_and_0_for_what_is_not_a_number():
    random = np.random.default_rng(0)
    scores, labels = random.uniform(0.4999, 0.5, size=(3, 4, 7)), random.permutation(np.arange(12) % 2).reshape(3, 4)
    batches = [({"nodes": tf.constant(of_batch)}, tf.constant(of)) for of_batch, of in zip(scores, labels, strict=True)]

    def detector(factor):
        return SimpleNamespace(predict_on_batch=lambda inputs: {"anomaly_score": factor * inputs["nodes"]})

    expected = roc_auc_score(labels.ravel(), scores.max(axis=2).ravel())
    assert train_detector.bag_auc(detector(1.0), batches) == pytest.approx(expected)
    assert train_detector.bag_auc(detector(np.nan), batches) == 0.0


def test_the_auc_of_the_training_bags_is_of_the_segments_that_were_trained_on(sultani_run):
    model = keras.saving.load_model(RunFolder.of(sultani_run).detector, compile=False)
    labels, highest = [], []
    for video in training_videos(sultani_run):
        ((inputs, _, _),) = train_detector.whole_bags(RunFolder.of(sultani_run).nodes, [video], 1, segments=6)
        assert inputs["nodes"].shape[1] == 6
        labels.append(video.label)
        highest.append(np.asarray(model(inputs)["anomaly_score"]).max())
    expected = roc_auc_score(labels, highest)
    assert train_detector.training_bag_auc(sultani_run, model) == pytest.approx(expected)


def test_the_prior_is_that_of_the_normal_training_videos(with_nodes, monkeypatch):
    read = []

    def read_bags(folder, videos, prior):
        read.extend(video.label for video in videos)
        return [{"prior": tf.constant(values)} for values in ([[1.0, 5.0], [2.0, 1.0]], [[6.0, 0.0]])]

    monkeypatch.setattr(bags, "read_bags", read_bags)
    monkeypatch.setattr(train_detector, "training_bags", lambda *arguments, **options: None)
    highest = [5, 2, 6]
    systems = (("anomaly_detector", "detector.unary_from=prior"), ("sultani", "train_detector.late_prior=true"))
    for model, override in systems:
        config = with_nodes(f"train_detector.model={model}", override)
        detector = train_detector.build_detector(config)
        monkeypatch.setattr(detector, "fit", lambda *arguments, **options: None)
        train_detector.fit_detector(config, detector, training_videos(config), [], [])
        assert float(detector.prior.mean) == pytest.approx(np.mean(highest))
        assert float(detector.prior.deviation) == pytest.approx(np.std(highest))
    assert set(read) == {0}


def test_a_memory_of_normal_nodes_needs_no_prior_in_the_records(with_nodes):
    config = with_nodes("detector.unary_from=prior", "detector.memory_nodes=40", "train_detector.epochs=2")
    train_detector.run(config)
    detector = keras.saving.load_model(RunFolder.of(config).detector, compile=False)
    assert detector.memory.rows.numpy().any(axis=1).all() and float(detector.prior.deviation) != 1
    outputs = [outputs for _, outputs in evaluate.score_videos(config)]
    assert outputs and all(np.isfinite(one["anomaly_score"]).all() for one in outputs)


def test_the_training_gets_the_prior_that_the_memory_gives(with_nodes, monkeypatch):
    config = with_nodes("detector.unary_from=prior", "detector.memory_nodes=40", "seed=3")
    seen, priors = [], {"v": np.zeros((2, 5), "float32")}
    monkeypatch.setattr(train_detector, "fill_memory", lambda *arguments: seen.append(arguments[-1]) or priors)
    monkeypatch.setattr(train_detector, "training_bags", lambda *arguments, skip: seen.append(arguments[-1]))
    detector = train_detector.build_detector(config)
    monkeypatch.setattr(detector, "fit", lambda *arguments, **options: None)
    train_detector.fit_detector(config, detector, training_videos(config), [], [])
    assert seen == [3, priors]


def test_settings_of_the_detector_that_do_not_go_together_are_named(with_nodes):
    with pytest.raises(UserError, match=r"detector: `memory_nodes`=5 needs `unary_from="):
        train_detector.build_detector(with_nodes("detector.memory_nodes=5"))


def test_a_late_prior_needs_a_baseline_and_nodes_with_a_prior(with_nodes):
    config = with_nodes("train_detector.model=sultani", "train_detector.late_prior=true")
    with pytest.raises(UserError, match=r"hold no prior\. Set `extractor\.prior_labels`"):
        train_detector.run(config)
    with pytest.raises(UserError, match=r"`train_detector\.late_prior` is for baselines only"):
        train_detector.build_detector(with_nodes("train_detector.late_prior=true"))


def test_a_setting_that_is_refused_costs_no_finished_training(detector_run, tmp_path):
    for name in ("nodes", "detector.keras", "state", "logs"):
        (tmp_path / name).symlink_to(RunFolder.of(detector_run).path / name)
    (tmp_path / "state").unlink()
    shutil.copytree(RunFolder.of(detector_run).path / "state", tmp_path / "state")
    config = dataclasses.replace(detector_run, work_dir=str(tmp_path))
    before = sorted(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    wrong = [{"batch_size": 3}, {"model_options": ("segments=6",)}, {"late_prior": True}]
    for change in wrong:
        changed = dataclasses.replace(config.train_detector, **change)
        with pytest.raises(UserError):
            train_detector.run(dataclasses.replace(config, train_detector=changed))
    assert sorted(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()) == before
