"""Tests of pipelines.experiments.repeats: with stages that only record their input, and once with the real ones."""

import collections
import dataclasses
import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config import UserError, load_config
from pipelines.data.clips import Clips
from pipelines.data.examples import serialize_clip
from pipelines.data.listing.manifest import VideoInfo, read_manifest, shard_name, write_manifest
from pipelines.data.splits import draw_folds
from pipelines.experiments import ablate, fold, repeats
from pipelines.experiments.repeats import split_name
from pipelines.experiments.systems import full_model, read_systems
from pipelines.run.folder import RunFolder

CLIP_FRAMES, SIZE_PX = 2, 32
STAGES = ("train_extractor", "extract", "train_detector")
MODELS = ("anomaly_detector", "sultani")
UNLEARNED = "zhang"


def video_info(video_id, label, class_name="", subset="train", num_sampled=4):
    intervals = ((0, num_sampled),) if label else ()
    sizes = {"num_frames": 2 * num_sampled, "width": SIZE_PX, "height": SIZE_PX, "num_sampled": num_sampled}
    return VideoInfo(video_id, f"{video_id}.mp4", subset, label, class_name, 8.0, **sizes, frame_labels=intervals)


def videos_of(counts):
    """`{class: number}`; the class `""` is normal."""
    return [video_info(f"{name or 'normal'}{i}", int(bool(name)), name) for name in counts for i in range(counts[name])]


@settings(max_examples=50, deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from(["", "Arson", "Fight", "Theft"]), st.integers(1, 9), min_size=2),
    folds=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_folds_hold_every_video_once_and_are_stratified_by_class(counts, folds, seed):
    videos = videos_of({"": 6, "Arson": 3, **counts})
    labels = collections.Counter(video.label for video in videos)
    if min(labels.values()) < folds:
        with pytest.raises(UserError, match=rf"`repeat.folds` must lie in 2\.\.{min(labels.values())}"):
            draw_folds(videos, folds, seed)
        return
    drawn = draw_folds(videos, folds, seed)
    assert len(drawn) == folds and sorted(name for fold in drawn for name in fold) == sorted(v.video_id for v in videos)
    for chosen in ({}, *({"class_name": name} for name in ("", *counts)), {"label": 0}, {"label": 1}):
        of_kind = {v.video_id for v in videos if all(getattr(v, key) == value for key, value in chosen.items())}
        sizes = [len(fold & of_kind) for fold in drawn]
        assert max(sizes) - min(sizes) <= 1


def test_folds_come_from_the_seed_and_not_from_the_order_of_the_list():
    videos = videos_of({"": 12, "Arson": 6, "Theft": 6})
    assert draw_folds(videos, 4, 0) == draw_folds(videos[::-1], 4, 0)
    assert draw_folds(videos, 4, 0) != draw_folds(videos, 4, 1)


def test_without_folds_the_own_test_videos_are_used():
    videos = videos_of({"": 3, "Arson": 3})
    own = [dataclasses.replace(video, subset="test" if video.video_id.endswith("1") else "train") for video in videos]
    assert draw_folds(own, 0, 5) == [{"normal1", "Arson1"}]
    for without in (videos, [dataclasses.replace(video, subset="test") for video in videos]):
        with pytest.raises(UserError, match=r"no split of its own.*`--folds 5`"):
            draw_folds(without, 0, 0)
    with pytest.raises(UserError, match=r"must lie in 2\.\.3, the number of videos of the rarer label\. Received: 4\."):
        draw_folds(videos, 4, 0)
    with pytest.raises(UserError, match=r"Received: 1\."):
        draw_folds(videos, 1, 0)


def test_the_split_is_named_in_words():
    named = {
        ("5", "3"): "5-fold cross-validation, 3 seeds",
        ("0", "2"): "own split, 2 seeds",
        ("0", "1"): "own split, 1 seed",
    }
    for (folds, seeds), name in named.items():
        config = load_config(overrides=[f"repeat.folds={folds}", f"repeat.seeds={seeds}"])
        assert split_name(config) == name


OWN_TEST = {"n2", "a2", "n3", "a3"}
LABELS = {"n0": 0, "a0": 1, "n1": 0, "a1": 1, "n2": 0, "a2": 1, "n3": 0, "a3": 1, "unknown": None}


def write_clips(folder, fingerprint="clips"):
    """Noise of low contrast for normal videos, of high contrast for abnormal ones."""
    folder.mkdir(parents=True)
    videos = [
        video_info(name, label, "Event" if label else "", "test" if name in OWN_TEST else "train")
        for name, label in LABELS.items()
    ]
    random = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(folder / shard_name("clips", 0, 1))) as writer:
        for video in videos:
            for snippet in range(video.num_sampled // CLIP_FRAMES):
                frames = random.integers(0, 255 if video.label else 40, (CLIP_FRAMES, SIZE_PX, SIZE_PX, 3), "uint8")
                jpegs = [tf.io.encode_jpeg(frame).numpy() for frame in frames]
                indices = [2 * (snippet * CLIP_FRAMES + i) for i in range(CLIP_FRAMES)]
                times = [index / 8 for index in indices]
                writer.write(serialize_clip(jpegs, indices, times, video.video_id, snippet, video.label, 8.0))
    write_manifest(folder, videos, fingerprint=fingerprint)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Function that returns the `Config` of a run whose clips are there; it takes overrides."""
    write_clips(tmp_path / "clips")
    monkeypatch.setattr(repeats.prepare, "run", lambda config: RunFolder.of(config).clips)
    monkeypatch.setattr(repeats, "check_experiment", lambda *_: None)  # no video is there; tested by itself below
    monkeypatch.setattr(repeats, "in_own_process", lambda function, *arguments, **_: function(*arguments))
    sizes = [f"data.clip_frames={CLIP_FRAMES}", f"data.image_size_px={SIZE_PX}", "extractor.backbone=small"]
    sizes += ["evaluate.images=false"]
    return lambda *overrides: load_config(overrides=[f"work_dir={tmp_path}", *sizes, *overrides])


class KilledError(Exception):
    pass


def record_stages(monkeypatch, killed_at=-1):
    """Stages that note the configuration and the subsets they find, and score each test video by its label."""
    calls = []

    def note(name, config):
        if len(calls) == killed_at:
            raise KilledError
        records = getattr(RunFolder.of(config), "nodes" if name in ("train_detector", "evaluate") else "clips")
        videos = read_manifest(records).videos
        calls.append((name, config, {video.video_id: video.subset for video in videos}))
        return videos

    def extract(config):
        videos = note("extract", config)
        write_manifest(RunFolder.of(config).nodes, videos)

    def score(config):
        tested = [video for video in note("evaluate", config) if video.subset == "test"]
        scores = {video.video_id: np.full(video.num_frames, 0.1 + 0.8 * video.label) for video in tested}
        path = RunFolder.of(config).evaluation_scores
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **scores)

    for name in ("train_extractor", "train_detector"):
        monkeypatch.setattr(getattr(fold, name), "run", functools.partial(note, name))
    monkeypatch.setattr(fold.extract, "run", extract)
    monkeypatch.setattr(fold.evaluate, "write_scores", score)
    monkeypatch.setattr(
        fold,
        "measure_detector",
        lambda config: {
            "parameters": 7,
            "inference_ms": 1.0,
            "learning_rate": config.train_detector.learning_rate,
            "steps": 30,
            "training_bag_auc": 0.85 if config.train_detector.model == UNLEARNED else 0.95,
        },
    )
    return calls


def trained(calls):
    return [(config.train_detector.model, config.seed) for name, config, _ in calls if name == "train_detector"]


def test_every_video_is_scored_once_per_seed_by_models_that_were_not_trained_on_it(prepared, monkeypatch):
    calls = record_stages(monkeypatch)
    config = prepared("repeat.folds=2", "repeat.seeds=2", "seed=5")
    report = json.loads(repeats.run(config).read_text())
    first = list(STAGES[:2])  # fills the maps for all others
    assert [name for name, *_ in calls] == first + [*STAGES, "evaluate"] * 8  # 2 systems, 2 seeds, 2 folds
    known = {name for name, label in LABELS.items() if label is not None}
    tested = collections.defaultdict(list)
    for name, repeat, subsets in calls:
        assert set(subsets) == set(LABELS)
        if name == "evaluate":
            tested[repeat.train_detector.model, repeat.seed] += [v for v, subset in subsets.items() if subset == "test"]
    assert sorted(tested) == [(model, seed) for model in MODELS for seed in (5, 6)]
    assert all(sorted(names) == sorted(known) for names in tested.values())
    assert tested["anomaly_detector", 5] == tested["sultani", 5] != tested["anomaly_detector", 6]
    assert report["origin"]["split"] == "2-fold cross-validation, 2 seeds" and report["origin"]["seed"] == [5, 6]
    assert [entry.partition(" on ")[2] for entry in report["origin"]["trained"]] == [keras.backend.backend()]
    assert list(report["systems"]) == ["full model", "Sultani et al. [1]"]
    assert report["systems"]["Sultani et al. [1]"]["metrics"]["video_auc"]["mean"] == 1.0
    assert report["systems"]["full model"]["facts"]["parameters"] == 7
    assert "Sultani et al. [1]" in (RunFolder.of(config).repeats / "report.md").read_text()
    assert not RunFolder.of(config).evaluation.exists()


def test_systems_with_the_same_nodes_share_their_extractor_and_equal_systems_their_training(
    prepared, monkeypatch, capsys
):
    calls = record_stages(monkeypatch)
    config = prepared('ablate.rows=["contrast", "causal", "no_halting", "trn"]')
    content = json.loads(ablate.run(config).read_text())
    assert len(content["systems"]) == 5 and (RunFolder.of(config).ablation / "report.md").exists()
    assert [name for name, *_ in calls].count(
        "train_extractor"
    ) == 1 + 2  # the first for the maps, then with the gate and without
    assert len(trained(calls)) == 4  # the row `contrast` is the full model
    assert "4 of 4 trainings done, about 0.0 s left" in capsys.readouterr().out
    assert not list(RunFolder.of(config).path.glob("folds/*/extractor-*/nodes"))
    calls = record_stages(monkeypatch)
    repeats.run(prepared())
    assert [model for model, _ in trained(calls)] == ["sultani"]  # the full model is there


def test_what_was_not_learned_is_marked_and_not_compared(prepared, monkeypatch):
    record_stages(monkeypatch)
    config = prepared("repeat.rivals=['sultani', 'zhang']")
    content = json.loads(repeats.run(config).read_text())
    marked = "Zhang et al. [4] (not learned)"
    assert list(content["systems"]) == ["full model", "Sultani et al. [1]", marked]
    assert list(content["differences"]) == ["Sultani et al. [1]"]
    facts = content["systems"][marked]["facts"]
    assert (facts["training-bag AUC"], facts["steps"], facts["learning rate"]) == ("0.850", 30, "0.0001")
    assert marked in content["origin"]["not learned, not compared"]


def test_a_prior_that_no_label_teaches_is_compared_whatever_its_training_bags_say(prepared, monkeypatch):
    record_stages(monkeypatch)
    measured = fold.measure_detector
    monkeypatch.setattr(fold, "measure_detector", lambda config: measured(config) | {"training_bag_auc": 0.55})
    rows = 'ablate.rows=["prior_alone", "features_alone"]'
    config = prepared(rows, "detector.unary_from=both", 'extractor.prior_labels=["fight"]')
    content = json.loads(ablate.run(config).read_text())
    assert list(content["differences"]) == ["prior: alone, without nodes and CRF"]


def test_a_rival_with_fewer_seeds_is_trained_with_the_first_ones(prepared, monkeypatch, capsys):
    calls = record_stages(monkeypatch)
    config = prepared("repeat.seeds=3", "seed=5", 'compare.fewer_seeds=["sultani=1"]')
    systems = json.loads(repeats.run(config).read_text())["systems"]
    assert sorted(trained(calls)) == [("anomaly_detector", seed) for seed in (5, 6, 7)] + [("sultani", 5)]
    assert [system["num_seeds"] for system in systems.values()] == [3, 1]
    assert "4 trainings to run, 0 finished earlier" in capsys.readouterr().out


def test_a_search_decides_the_final_training_and_is_reported(prepared, monkeypatch):
    calls = record_stages(monkeypatch)

    def found(config, settings):
        assert settings["config"]["search"]["inner_folds"] == 2 and settings["test"] == sorted(OWN_TEST)
        options = dataclasses.replace(config.train_detector, learning_rate=0.25, epochs=3, steps_per_epoch=10)
        changed = dataclasses.replace(config, train_detector=options)
        return changed, {"curves": {"0.25": [0.5, 0.75]}, "search_seconds": 12.0}

    monkeypatch.setattr(fold.search, "run", found)
    config = prepared("search.inner_folds=2", "repeat.rivals=[]", "evaluate.images=true")
    content = json.loads(repeats.run(config).read_text())
    assert [one.train_detector.learning_rate for name, one, _ in calls if name == "train_detector"] == [0.25]
    facts = content["systems"]["full model"]["facts"]
    assert (facts["learning rate"], facts["search (s)"]) == ("0.25", 12)
    assert (RunFolder.of(config).repeats / "search.png").is_file()
    again = record_stages(monkeypatch)
    repeats.run(config)
    assert not again  # the result belongs to the settings before the search


def test_a_killed_command_resumes_with_the_training_it_was_in(prepared, monkeypatch):
    config = prepared("repeat.folds=2")
    calls = record_stages(monkeypatch, killed_at=8)  # in the second repeat, between extract and train_detector
    with pytest.raises(KilledError):
        repeats.run(config)
    assert len(trained(calls)) == 1
    calls = record_stages(monkeypatch)
    whole = json.loads(repeats.run(config).read_text())
    assert len(trained(calls)) == 3
    again = record_stages(monkeypatch)
    assert json.loads(repeats.run(config).read_text())["systems"] == whole["systems"] and not again


def test_a_training_killed_under_other_settings_runs_again_under_the_first(prepared, monkeypatch):
    first = ("repeat.folds=2", "repeat.rivals=[]")
    record_stages(monkeypatch)
    repeats.run(prepared(*first))
    record_stages(monkeypatch, killed_at=8)  # the first repeat has its new scores, the second lost its own
    with pytest.raises(KilledError):
        repeats.run(prepared(*first, "train_detector.learning_rate=0.5"))
    calls = record_stages(monkeypatch)
    repeats.run(prepared(*first))
    assert len(trained(calls)) == 2


def test_other_settings_and_other_clips_are_trained_again(prepared, monkeypatch, tmp_path):
    def trainings(*overrides):
        calls = record_stages(monkeypatch)
        repeats.run(prepared("repeat.folds=2", "repeat.rivals=[]", *overrides))
        return len(trained(calls))

    assert trainings() == 2 and trainings() == 0
    assert trainings("train_detector.learning_rate=0.5") == 2
    assert trainings("train_detector.learning_rate=0.5", "repeat.seeds=2", "export.name=x") == 2  # the new seed
    manifest = read_manifest(tmp_path / "clips")
    write_manifest(tmp_path / "clips", manifest.videos, fingerprint="other clips")
    assert trainings("train_detector.learning_rate=0.5") == 2


def test_imported_features_replace_the_extractors(prepared, monkeypatch, tmp_path):
    write_manifest(tmp_path / "nodes", read_manifest(tmp_path / "clips").videos, fingerprint="features")
    monkeypatch.setattr(repeats.import_features, "run", lambda config: RunFolder.of(config).nodes)
    calls = record_stages(monkeypatch)
    repeats.run(prepared("features.root=features", "repeat.folds=2"))
    assert [name for name, *_ in calls] == ["train_detector", "evaluate"] * 4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["repeat.folds=3"], r"`repeat\.folds` must lie in 2\.\.2, the number of videos of the rarer label"),
        (["repeat.folds=2", "detector.memory_nodes=5"], r"full model: detector: `memory_nodes`=5 needs `unary_from="),
        (["repeat.folds=2", "extractor.weights=nowhere.h5"], r"full model: .*nowhere\.h5 does not exist"),
        (["repeat.folds=2", "train_detector.batch_size=3"], r"full model: .*batch_size"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_video_is_decoded(tmp_path, monkeypatch, overrides, message):
    monkeypatch.setattr(repeats, "in_own_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(repeats.prepare, "run", lambda config: pytest.fail("a video was decoded"))
    rows = [f"{name}.mp4,{label}" for name, label in LABELS.items() if label is not None and name not in ("n2", "n3")]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    for name in LABELS:
        (tmp_path / f"{name}.mp4").touch()
    settings = [f"work_dir={tmp_path / 'run'}", f"data.root={tmp_path}", "extractor.backbone=small"]
    with pytest.raises(UserError, match=message):
        repeats.run(load_config(overrides=[*settings, "extractor.weights=none", *overrides]))


def test_small_run_of_the_real_stages_reads_no_test_video_for_training(prepared, monkeypatch):
    config = prepared(
        *("extractor.weights=none", "extractor.train_backbone=false", "extractor.scales=[1, 2]"),
        *("extractor.gate_dim=2", "extractor.relation_units=4"),
        *("train_extractor.epochs=1", "train_extractor.batch_size=4"),
        *("train_extractor.validation_fraction=0.3", "train_detector.validation_fraction=0.3"),
        *("train_detector.epochs=1", "train_detector.batch_size=4", "train_detector.bag_frames=4"),
        *("detector.key_dim=2", "detector.value_dim=4", "detector.max_iterations=1", "repeat.seeds=1"),
    )
    systems = [full_model(config)]
    systems += [
        dataclasses.replace(system, config=shortened(system.config))
        for system in read_systems("rivals", config, ["sultani"])
    ]
    drawn = read_by(monkeypatch, fold.train_extractor, "random_snippets")
    held_out = read_by(monkeypatch, fold.train_extractor, "even_snippets")
    bags = read_by(monkeypatch, fold.train_detector, "training_bags")
    whole = read_by(monkeypatch, fold.train_detector, "whole_bags")
    report = json.loads(repeats.run_systems(config, systems, "repeat", RunFolder.of(config).repeats).read_text())
    trained_on = set(LABELS) - {"unknown"} - OWN_TEST
    (gated,) = {folder for folder in drawn if drawn[folder]}
    assert drawn[gated] | held_out[gated] == trained_on and gated.name.startswith("extractor-")
    for system in systems:
        folder = gated.parent / system.name
        assert set(np.load(folder / "evaluation" / "scores.npz")) == OWN_TEST
        assert whole[folder] == trained_on > bags[folder]  # held-out videos, and all for the AUC of the training bags
        assert not (folder / "nodes").exists() and (folder / "detector.keras").is_file()
        (facts,) = (of["facts"] for title, of in report["systems"].items() if title.startswith(system.title))
        timed = {"training (s)", "1,000 frames (ms)"}
        assert set(facts) == {"parameters", "learning rate", "steps", "training-bag AUC", *timed}
        assert facts["parameters"] > 0 and facts["steps"] > 0 and 0 <= float(facts["training-bag AUC"]) <= 1
    assert len(list(RunFolder.of(config).maps.glob("*.f16"))) == 1
    assert Clips(RunFolder.of(config).clips, CLIP_FRAMES, SIZE_PX).manifest.by_id["unknown"].label is None


def shortened(config):
    return dataclasses.replace(config, train_detector=dataclasses.replace(config.train_detector, epochs=1))


def read_by(monkeypatch, module, name):
    """Ids of the videos that a function of a stage was given, by the folder of the repeat."""
    read, original = collections.defaultdict(set), getattr(module, name)

    def spy(first, videos, *arguments, **options):
        folder = getattr(first, "folder", first)
        read[folder.parent] |= {video.video_id for video in videos}
        return original(first, videos, *arguments, **options)

    monkeypatch.setattr(module, name, spy)
    return read
