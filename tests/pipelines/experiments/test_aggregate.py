"""Tests of pipelines.experiments.aggregate: finished runs, written as `evaluate` writes them."""

import dataclasses
import json

import numpy as np
import pytest

from pipelines.config import UserError, config_to_dict, load_config
from pipelines.experiments import aggregate
from pipelines.report.evaluation.report import write_report
from pipelines.stages import evaluate, train_detector
from vad_keras.metrics import evaluate_videos

LENGTHS = {"a0": 30, "a1": 24, "n0": 18, "n1": 40}
VIDEOS = ("a0", "a1", "a2", "n0", "n1", "n2")
TINY = (
    "extractor.scales=[1, 2]",
    "detector.key_dim=4",
    "detector.value_dim=6",
    "detector.temporal_localities=[1, 3]",
    "train_detector.epochs=1",
    "train_detector.batch_size=4",
    "train_detector.bag_frames=8",
    "train_detector.validation_fraction=0.4",
    "evaluate.images=false",
)


def scored(seed, lengths=LENGTHS, start=8):
    random, videos = np.random.default_rng(seed), []
    for name, length in lengths.items():
        label = int(name.startswith("a"))
        frame_labels = label * ((np.arange(length) >= start) & (np.arange(length) < 15))
        video = {"video_id": name, "label": label, "class_name": "Fight" if label else "", "fps": 5.0}
        scores = random.uniform(size=length).astype("float32")
        videos.append(video | {"frame_labels": frame_labels.astype(np.uint8), "scores": scores})
    return videos


@pytest.fixture
def finished(tmp_path):
    """Function that writes the evaluation of a run as the stage does, and returns its folder and videos."""

    def write(name, seed, *overrides, videos=None, **origin):
        folder, videos = tmp_path / name, videos or scored(seed)
        config = load_config(overrides=[f"work_dir={folder}", f"seed={seed}", *overrides])
        settings = {"data": "videos", "split": "own", "split_fingerprint": "one", "seed": seed, "commit": "abc"}
        settings |= {"command": "vad evaluate", "config": config_to_dict(config)}
        evaluation = folder / "evaluation"
        options = {"threshold": 0.5, "images": False}
        write_report(evaluation, {"anomaly_detector": [videos]}, "x", settings | origin, **options)
        np.savez(evaluation / "scores.npz", **{video["video_id"]: video["scores"] for video in videos})
        return folder, videos

    return write


@pytest.fixture
def together(tmp_path):
    """Function that runs the stage on folders and returns what it wrote."""

    def run(*folders):
        config = load_config(overrides=[f"work_dir={tmp_path / 'both'}"])
        options = dataclasses.replace(config.evaluate, images=False)
        return json.loads(aggregate.run(dataclasses.replace(config, evaluate=options), folders).read_text())

    return run


def test_seeds_of_one_system_are_pooled(finished, together, tmp_path):
    runs = [finished(f"s{seed}", seed, "export.name=x", "repeat.folds=0") for seed in (2, 0, 1)]
    content = together(*(folder for folder, _ in runs))
    assert list(content["systems"]) == ["anomaly_detector"] and content["origin"]["seed"] == "0, 1, 2"
    values = [evaluate_videos(runs[place][1])["frame_auc"] for place in (1, 2, 0)]  # by seed
    entry = content["systems"]["anomaly_detector"]["metrics"]["frame_auc"]
    assert entry["seeds"] == values and entry["sd"] == pytest.approx(np.std(values, ddof=1))
    assert entry["interval_95"][0] < entry["mean"] < entry["interval_95"][1]
    assert content["origin"]["runs"]["anomaly_detector"][0]["folder"].endswith("s0")
    assert "mean ± sd over 3 seeds" in (tmp_path / "both" / "report" / "report.md").read_text()


def test_systems_are_told_apart_by_the_settings_they_differ_in(finished, together):
    runs = [finished(f"full{seed}", seed, f"data.workers={seed}", f"repeat.jobs={seed + 1}")[0] for seed in (0, 1)]
    runs.append(finished("bare", 0, "train_detector.contrast_weight=0", "train_extractor.epochs=7")[0])
    runs.append(finished("sultani", 0, "train_detector.model=sultani", "train_detector.epochs=5")[0])
    systems = together(*runs)["systems"]
    assert {name: system["num_seeds"] for name, system in systems.items()} == {
        "anomaly_detector, contrast_weight=1.0, train_detector.epochs=50, train_extractor.epochs=100": 2,
        "anomaly_detector, contrast_weight=0.0, train_detector.epochs=50, train_extractor.epochs=7": 1,
        "sultani, contrast_weight=1.0, train_detector.epochs=5, train_extractor.epochs=100": 1,
    }


def test_the_order_of_the_training_bags_makes_another_system(finished, together):
    runs = [finished(name, 0, f"train_detector.cache_nodes={name}")[0] for name in ("true", "false")]
    assert set(together(*runs)["systems"]) == {f"anomaly_detector, cache_nodes={name}" for name in ("true", "false")}


def test_the_evaluation_of_a_real_run_can_be_read(write_nodes, together, tmp_path):
    videos = {f"{subset}/{name}": (subset, int(name[0] == "a"), 12) for subset in ("train", "test") for name in VIDEOS}
    write_nodes(tmp_path / "run" / "nodes", videos)
    config = load_config(overrides=[f"work_dir={tmp_path / 'run'}", *TINY])
    train_detector.run(config)
    alone, content = json.loads(evaluate.run(config).read_text()), together(config.work_dir)
    for name, entry in content["systems"]["anomaly_detector"]["metrics"].items():
        assert entry["seeds"] == alone["systems"]["anomaly_detector"]["metrics"][name]["seeds"], name
    assert content["videos"] == alone["videos"]


def test_a_run_is_read_whose_metrics_have_the_keys_of_an_earlier_version(finished, together):
    folder, videos = finished("old", 0)
    path = folder / "evaluation" / "metrics.json"
    content = json.loads(path.read_text())
    content["systems"] = {"anomaly_detector": {"figures": content["systems"]["anomaly_detector"]["metrics"]}}
    path.write_text(json.dumps(content))
    entry = together(folder)["systems"]["anomaly_detector"]["metrics"]["frame_auc"]
    assert entry["seeds"] == [evaluate_videos(videos)["frame_auc"]]


def test_what_differs_between_runs_is_named(finished, together):
    first = finished("first", 0)[0]
    other_data = finished("data", 1, data="other")[0]
    with pytest.raises(
        UserError, match=r"first and .*data cannot be compared in one report: different data \(videos and other\)"
    ):
        together(first, other_data)
    with pytest.raises(UserError, match=r"different split \(own and 5-fold\)"):
        together(first, finished("split", 1, split="5-fold")[0])
    with pytest.raises(UserError, match=r"different training or test videos or their labels \(one and two\)"):
        together(first, finished("labels", 1, split_fingerprint="two")[0])
    with pytest.raises(UserError, match=r"different test videos \(1 videos missing, such as n1\)"):
        together(first, finished("fewer", 1, videos=scored(1, {name: LENGTHS[name] for name in ("a0", "a1", "n0")}))[0])
    with pytest.raises(UserError, match=r"a0 has a different frame_labels \(\[\[8, 15\]\] and \[\[9, 15\]\]\)"):
        together(first, finished("frames", 1, videos=scored(1, start=9))[0])


def test_a_run_that_comes_twice_or_is_not_finished_is_named(finished, together, tmp_path):
    first, same = finished("first", 0)[0], finished("same", 0)[0]
    with pytest.raises(UserError, match=r"first and .*same have the same settings and the same seed \(0\)\. Leave one"):
        together(first, same)
    with pytest.raises(UserError, match=r"no run at .*none: there is no such folder"):
        together(tmp_path / "none")
    (tmp_path / "not yet").mkdir()
    with pytest.raises(
        UserError, match=r"metrics\.json does not exist\. Run `vad evaluate --set 'work_dir=.*not yet'` first"
    ):
        together(tmp_path / "not yet")
    (same / "evaluation" / "metrics.json").write_text('{"repeats": {}}')
    with pytest.raises(UserError, match="does not describe one evaluated run"):
        together(same)
    np.savez(first / "evaluation" / "scores.npz", a0=np.zeros(3))
    with pytest.raises(UserError, match=r"evaluation: scores and videos must match\. a0: 3 scores, 30 frames"):
        together(first)


def test_a_class_is_left_out_of_all_metrics(finished, tmp_path):
    lengths = LENGTHS | {"b0": 21}
    kinds = {"a0": "Fight", "a1": "Arson", "b0": "Arson"}

    def videos(seed):
        return [video | {"class_name": kinds.get(video["video_id"], "")} for video in scored(seed, lengths)]

    runs = [finished(f"s{seed}", seed, videos=videos(seed)) for seed in (0, 1)]
    config = load_config(overrides=[f"work_dir={tmp_path / 'both'}", "evaluate.images=false"])
    path = aggregate.run(config, [folder for folder, _ in runs], ["Fight"])
    assert path.parent == tmp_path / "both" / "report" / "without_Fight"
    content = json.loads(path.read_text())
    kept = [[video for video in videos if video["video_id"] != "a0"] for _, videos in runs]
    entry = content["systems"]["anomaly_detector"]["metrics"]["frame_auc"]
    assert entry["seeds"] == [evaluate_videos(videos)["frame_auc"] for videos in kept]
    assert "a0" not in content["videos"] and list(content["systems"]["anomaly_detector"]["classes"]) == ["Arson"]
    assert content["origin"]["without the classes"] == ["Fight"] and content["title"].endswith(", without Fight")
    expected = r"`--without-class`: no test video has the class `Fights`\. Classes: Arson, Fight"
    with pytest.raises(UserError, match=expected):
        aggregate.run(config, [runs[0][0]], ["Fights"])


@pytest.fixture
def experiment(tmp_path):
    """Report folder of an experiment of two systems, two seeds and two folds, and its scored videos."""
    folder = tmp_path / "run" / "comparison"
    systems = {"full model": [scored(0), scored(1)], "rival": [scored(2), scored(3)]}
    runs = {}
    for name, seeds in systems.items():
        runs[name] = [[f"../folds/{name[0]}-{seed}-{fold}" for fold in (0, 1)] for seed in (0, 1)]
        for paths, videos in zip(runs[name], seeds, strict=True):
            for fold, path in enumerate(paths):
                (folder / path / "evaluation").mkdir(parents=True, exist_ok=True)
                arrays = {video["video_id"]: video["scores"] for video in videos[fold::2]}
                np.savez(folder / path / "evaluation" / "scores.npz", **arrays)
    origin = {"data": "videos", "split": "2-fold", "seed": [0, 1], "commit": "abc", "runs": runs}
    facts = {"rival": {"parameters": 7}}
    write_report(folder, systems, "x", origin, threshold=0.5, reference="rival", facts=facts, images=False)
    return folder, systems


def test_an_experiment_is_reported_again_from_the_scores_of_its_folds(experiment, tmp_path):
    folder, systems = experiment
    before = json.loads((folder / "metrics.json").read_text())
    config = load_config(overrides=[f"work_dir={tmp_path / 'both'}", "evaluate.images=false"])
    content = json.loads(aggregate.run(config, [folder]).read_text())
    for name, seeds in systems.items():
        entry = content["systems"][name]["metrics"]["frame_auc"]
        assert entry["seeds"] == [evaluate_videos(videos)["frame_auc"] for videos in seeds]
    for key in ("systems", "differences", "reference", "videos", "events"):
        assert content[key] == before[key], key
    with pytest.raises(UserError, match=r"comparison is the report of an experiment\. Give it alone"):
        aggregate.run(config, [folder, folder])
    (folder / "../folds/r-1-1/evaluation/scores.npz").unlink()
    with pytest.raises(UserError, match=r"scores\.npz does not exist\. Run the command of the experiment again"):
        aggregate.run(config, [folder])
    before["origin"].pop("runs")
    (folder / "metrics.json").write_text(json.dumps(before))
    with pytest.raises(UserError, match=r"does not name the trainings of an experiment\. If an earlier version"):
        aggregate.run(config, [folder])
