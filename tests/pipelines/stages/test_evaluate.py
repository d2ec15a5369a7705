"""Tests of pipelines.stages.evaluate against scikit-learn and scores that are expanded frame by frame."""

import csv
import dataclasses
import itertools
import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from pipelines.config import UserError, load_config
from pipelines.data.bags import read_bags
from pipelines.data.listing.manifest import VideoInfo, read_manifest, write_manifest
from pipelines.report.evaluation.location import measure_location, with_patch_scores
from pipelines.run.folder import RunFolder
from pipelines.stages import evaluate


@pytest.fixture(scope="module")
def evaluated(detector_run):
    """Configuration, `metrics.json`, scores and test videos of one evaluation."""
    path = evaluate.run(detector_run)
    videos = [video for video in read_manifest(RunFolder.of(detector_run).nodes).videos if video.subset == "test"]
    with np.load(path.parent / "scores.npz") as scores:
        return detector_run, json.loads(path.read_text()), dict(scores), videos


def expanded(config, video, segments=0):
    """Oracle: the loaded model on one video, then frame by frame the last sampled frame at or before it."""
    (bag,) = read_bags(RunFolder.of(config).nodes, [video])
    nodes, indices = bag["nodes"].numpy().astype("float32"), bag["frame_indices"].numpy().tolist()
    part_of = list(range(len(nodes)))
    if segments:
        bounds = [part * len(nodes) // segments for part in range(segments + 1)]
        part_of = [max(part for part in range(segments) if bounds[part] <= frame) for frame in range(len(nodes))]
        parts = [nodes[a : max(a + 1, b)].mean(axis=0) for a, b in itertools.pairwise(bounds)]
        nodes = np.stack(parts)
    model = keras.saving.load_model(RunFolder.of(config).detector, compile=False)
    scores = np.asarray(model({"nodes": nodes[None]})["anomaly_score"])[0]
    at_or_before = [max(i for i, index in enumerate(indices) if index <= frame) for frame in range(video.num_frames)]
    return np.array([scores[part_of[i]] for i in at_or_before])


def test_every_original_frame_has_the_score_of_its_sampled_frame(evaluated):
    config, _, scores, videos = evaluated
    assert set(scores) == {video.video_id for video in videos} == {"test/a5", "test/n5", "test/a6", "test/n6"}
    for video in videos:
        assert scores[video.video_id].shape == (video.num_frames,)
        np.testing.assert_allclose(scores[video.video_id], expanded(config, video), atol=1e-5)


def test_metrics_agree_with_scikit_learn(evaluated):
    _, report, scores, videos = evaluated
    metrics = {name: entry["mean"] for name, entry in report["systems"]["anomaly_detector"]["metrics"].items()}

    def pooled(chosen):
        labels = np.concatenate([video.frame_label_array() for video in chosen])
        return labels, np.concatenate([scores[video.video_id] for video in chosen])

    assert metrics["frame_auc"] == pytest.approx(roc_auc_score(*pooled(videos)), abs=1e-9)
    assert metrics["average_precision"] == pytest.approx(average_precision_score(*pooled(videos)), abs=1e-9)
    abnormal = [video for video in videos if video.label]
    assert metrics["frame_auc_abnormal_videos"] == pytest.approx(roc_auc_score(*pooled(abnormal)), abs=1e-9)
    highest = [scores[video.video_id].max() for video in videos]
    assert metrics["video_auc"] == pytest.approx(roc_auc_score([video.label for video in videos], highest), abs=1e-9)
    false_alarms = pooled([video for video in videos if not video.label])[1] >= 0.5
    assert metrics["false_alarm_rate_percent"] == pytest.approx(100 * false_alarms.mean())
    assert report["counts"]["num_frames"] == sum(video.num_frames for video in videos)


def test_the_result_names_data_split_seed_commit_config_and_command(evaluated):
    config, report, _, _ = evaluated
    origin = report["origin"]
    assert origin["data"] == config.data.root and origin["split"] == "own" and origin["seed"] == config.seed
    assert set(origin) >= {"commit", "command", "split_fingerprint"} and origin["command"].startswith("vad")
    assert origin["config"]["detector"]["key_dim"] == 4
    low, high = report["systems"]["anomaly_detector"]["metrics"]["frame_auc"]["interval_95"]
    assert 0 <= low <= high <= 1
    assert report["smoothing"]["width_sec"] == config.evaluate.smoothing_sec


def test_tables_and_figures_are_written(evaluated):
    config, _, scores, videos = evaluated
    folder = RunFolder.of(config).evaluation
    with (folder / "videos.csv").open(newline="") as file:
        rows = {row["video"]: row for row in csv.DictReader(file)}
    for video in videos:
        row = rows[video.video_id]
        assert (row["label"], row["num_frames"]) == (str(video.label), str(video.num_frames))
        assert int(row["num_abnormal_frames"]) == video.frame_label_array().sum()
        assert float(row["max_score"]) == pytest.approx(scores[video.video_id].max(), abs=1e-4)
    assert "| frame AUC" in (folder / "report.md").read_text()
    for name in ("timelines.png", "curves.png", "classes.png"):
        assert np.asarray(Image.open(folder / name).convert("RGB")).std() > 5
    assert "](timelines.png)" in (folder / "report.md").read_text()
    assert not (folder / "heat_maps.png").exists()  # these nodes were not extracted from clips
    summary = json.loads((RunFolder.of(config).summaries / "evaluate.json").read_text())
    assert summary["done"].endswith("; no heat maps, because the prepared clips are missing")


def test_heat_maps_are_plotted_from_the_clips_if_they_exist(evaluated, monkeypatch, tmp_path):
    config, _, _, videos = evaluated
    plotted = []

    def read_frame(video, frame):
        if frame:
            raise ValueError("no JPEG")
        return frame

    monkeypatch.setattr(evaluate, "open_clips", lambda _: SimpleNamespace(read_frame=read_frame, image_size_px=2))
    monkeypatch.setattr(evaluate, "plot_test_timelines", lambda *_: [])
    monkeypatch.setattr(
        evaluate,
        "plot_top_heat_maps",
        lambda path, _, read_frame, scales, score_from: plotted.extend(
            [read_frame(videos[0], 0), read_frame(videos[1], 1), path, score_from]
        ),
    )
    write_manifest(tmp_path / "clips", videos)
    detector = dataclasses.replace(config.detector, score_from="mean")
    config = dataclasses.replace(config, work_dir=str(tmp_path), detector=detector)
    skipped = []
    figures, note = evaluate._plot(config, tmp_path, [(videos[0], {"marginals": 0})], skipped)
    assert plotted[0] == 0 and plotted[1].tolist() == [[[128] * 3] * 2] * 2
    assert plotted[2:] == [tmp_path / "heat_maps.png", "mean"]
    assert skipped == [(videos[1].video_id, "no picture of it can be read: ValueError: no JPEG")]
    assert [name for name, _ in figures] == ["heat_maps.png"] and not note


def test_patch_scores_are_kept_where_there_is_a_pixel_mask(monkeypatch, tmp_path):
    mask = np.zeros((4, 6, 10), bool)
    mask[1:3, 0, 0] = True
    np.savez(tmp_path / "pixel_masks.npz", a=np.packbits(mask, axis=-1))
    outputs = {"anomaly_score": np.zeros(4), "patch_score": np.tile([0.1, 0.9, 0.2, 0.2, 0.2], (4, 1))}
    videos = [VideoInfo(name, f"{name}.mp4", "test", 0, "", 4.0, 4, 10, 6, 4, None) for name in ("a", "n")]
    write_manifest(tmp_path / "nodes", videos)
    scored = [(video, outputs) for video in videos]
    monkeypatch.setattr(evaluate, "score_videos", lambda config, skipped: scored)
    settings = [f"work_dir={tmp_path}", f"data.root={tmp_path}", "extractor.scales=[1, 2]"]
    config = load_config(overrides=settings)
    path = RunFolder.of(config).evaluation_patch_scores
    assert evaluate.write_scores(config) == scored
    with np.load(path) as content:
        assert {key for key in content.files if key.startswith("patch_score/")} == {"patch_score/a"}
    videos = with_patch_scores([{"video_id": "a"}, {"video_id": "n"}], path)
    metrics = measure_location({"ours": [videos]})["systems"]["ours"]["patch_score"]
    assert metrics["pointing_game"]["mean"] == 1.0  # the upper left patch is the brightest
    assert metrics["pointing_game_pixel"]["mean"] == pytest.approx(1 / 15)
    evaluate.write_scores(load_config(overrides=[*settings, "features.root=features"]))
    assert not path.exists()  # imported features have no known place in the picture


def test_a_wrong_mask_costs_the_place_of_its_video_alone(monkeypatch, tmp_path):
    right = np.packbits(np.ones((4, 6, 10), bool), axis=-1)
    np.savez(tmp_path / "pixel_masks.npz", a=right, n=right[:, :5])
    outputs = {"anomaly_score": np.zeros(4), "patch_score": np.zeros((4, 5))}
    videos = [VideoInfo(name, f"{name}.mp4", "test", 0, "", 4.0, 4, 10, 6, 4, None) for name in ("a", "n")]
    write_manifest(tmp_path / "nodes", videos)
    monkeypatch.setattr(evaluate, "score_videos", lambda config, skipped: [(video, outputs) for video in videos])
    config = load_config(overrides=[f"work_dir={tmp_path}", f"data.root={tmp_path}", "extractor.scales=[1, 2]"])
    evaluate.write_scores(config, skipped := [])
    assert [name for name, _ in skipped] == ["n"]
    assert "place is not measured" in skipped[0][1] and "packed shape (4, 6, 2)" in skipped[0][1]
    with np.load(RunFolder.of(config).evaluation_patch_scores) as content:
        assert "patch_score/a" in content.files and "patch_score/n" not in content.files
    with pytest.raises(UserError, match="packed shape"):  # systems are compared on the same videos
        evaluate.write_scores(config)
    (tmp_path / "pixel_masks.npz").write_bytes(b"no archive")
    assert len(evaluate.write_scores(config, skipped := [])) == 2
    assert skipped[0][0] == "pixel_masks.npz" and "cannot be read" in skipped[0][1]


def test_scores_of_segment_means_go_back_to_the_frames_of_their_part(sultani_run):
    scored = {video.video_id: (video, outputs) for video, outputs in evaluate.score_videos(sultani_run)}
    assert len(scored) == 4
    for video, outputs in scored.values():
        np.testing.assert_allclose(outputs["anomaly_score"], expanded(sultani_run, video, segments=6), atol=1e-5)


def test_inference_gives_the_same_bytes_twice(sultani_run):
    first, second = (
        [outputs["anomaly_score"].tobytes() for _, outputs in evaluate.score_videos(sultani_run)] for _ in range(2)
    )
    assert first == second


def test_without_frame_labels_the_summary_names_the_metric_of_the_videos(sultani_run, tmp_path):
    folder, source = tmp_path / "run", RunFolder.of(sultani_run)
    shutil.copytree(source.nodes, folder / "nodes")
    shutil.copy(source.detector, folder)
    manifest = read_manifest(folder / "nodes")
    videos = [dataclasses.replace(video, frame_labels=None) for video in manifest.videos]
    write_manifest(folder / "nodes", videos, fingerprint=manifest.fingerprint)
    config = dataclasses.replace(sultani_run, work_dir=str(folder))
    evaluate.run(config)
    done = json.loads((RunFolder.of(config).summaries / "evaluate.json").read_text())["done"]
    assert done.startswith("4 test videos, no frame AUC (") and "video AUC" in done and "nan" not in done


def test_a_missing_detector_and_missing_test_videos_are_named(with_nodes, tmp_path, write_nodes):
    config = with_nodes()
    with pytest.raises(UserError, match=r"detector\.keras does not exist\. Run `vad train-detector` first"):
        evaluate.run(config)
    write_nodes(tmp_path / "nodes", {"a": ("train", 1, 5), "n": ("train", 0, 5), "u": ("test", None, 5)})
    with pytest.raises(UserError, match=r"no labelled video of subset `test`.*`vad repeat --folds 5`"):
        evaluate.run(config)


def test_a_video_that_fails_is_named_and_the_others_are_measured(sultani_run, monkeypatch, tmp_path):
    for name in ("nodes", "detector.keras"):
        (tmp_path / name).symlink_to(RunFolder.of(sultani_run).path / name)
    config = dataclasses.replace(sultani_run, work_dir=str(tmp_path))
    expand, failing = evaluate.expand_to_frames, []

    def fail(scores, indices, num_frames):
        if num_frames == failing[0]:
            raise MemoryError
        return expand(scores, indices, num_frames)

    monkeypatch.setattr(evaluate, "expand_to_frames", fail)
    videos = [video for video in read_manifest(tmp_path / "nodes").videos if video.subset == "test"]
    failing.append(videos[0].num_frames)
    evaluate.run(config)
    summary = json.loads((tmp_path / "summaries/evaluate.json").read_text())
    assert summary["skipped"] == [{"input": videos[0].video_id, "reason": "out of memory"}]
    assert summary["done"].startswith(f"{len(videos) - 1} test videos")
    with np.load(tmp_path / "evaluation/scores.npz") as scores:
        assert set(scores) == {video.video_id for video in videos[1:]}
    with pytest.raises(MemoryError):  # systems are compared on the same videos
        evaluate.write_scores(config)
