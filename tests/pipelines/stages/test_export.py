"""The export stage: a complete version, described, never overwritten."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError, deciding_settings, load_config
from pipelines.config.sections import AlarmsConfig
from pipelines.data.bags import read_bags
from pipelines.run.folder import RunFolder
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.exported import exported_model
from pipelines.serving.model_info import parse_model_info, read_model_info
from pipelines.serving.scorer import Scorer
from pipelines.serving.versions import versions
from pipelines.stages import evaluate, export
from vad_keras.models.baselines import BASELINES

GRAPH = "saved_model.pb"


@pytest.fixture(autouse=True)
def same_model_of_the_run(exported):
    """The run shared by all tests still scores with its own model after each export of this file."""
    path = RunFolder.of(exported.config).exported
    content = path.read_bytes()
    yield
    path.write_bytes(content)


def changed(config, **export_settings):
    return dataclasses.replace(config, export=dataclasses.replace(config.export, **export_settings))


def test_a_version_holds_the_graph_its_description_and_warm_up_requests(exported):
    assert exported.folder.name == "1" and exported.folder.parent.name == "tiny"
    warmup = "assets.extra/tf_serving_warmup_requests"
    for name in (GRAPH, "variables/variables.index", "model.json", warmup):
        assert (exported.folder / name).stat().st_size > 0
    assert exported.folder.stat().st_mode & 0o055 == 0o055, "the server runs as another user"


def test_model_json_tells_a_client_how_to_prepare_frames(exported):
    info = read_model_info(exported.folder)
    assert (info.name, info.clip_frames, info.image_size_px, info.scales) == ("tiny", 4, 32, (1, 2))
    assert (info.num_patches, info.feature_dim) == (5, 96)
    assert (info.threshold, info.frames_per_sec, info.jpeg_quality) == (0.5, 0.0, 90)
    assert info.made_with["keras"] == keras.__version__
    assert info.config["detector"]["temporal_localities"]


def test_model_json_holds_the_settings_that_decide_and_no_other(exported):
    config = read_model_info(exported.folder).config
    assert config == json.loads(json.dumps(deciding_settings(exported.config)))
    assert {"compare", "ablate", "repeat", "score"}.isdisjoint(config) and "root" not in config["data"]


def test_the_folder_of_the_run_does_not_travel_with_the_model(exported):
    text = (exported.folder / "model.json").read_text()
    assert exported.config.work_dir not in text


def test_a_version_describes_itself_as_model_json_does(exported):
    model = tf.saved_model.load(str(exported.folder))
    (text,) = model.signatures["describe"](query=tf.constant([""]))["model_json"].numpy()
    assert parse_model_info(text, "the graph") == read_model_info(exported.folder)


def test_a_model_card_is_completed_when_the_run_has_been_evaluated(exported, tmp_path, without_graph):
    run = RunFolder(tmp_path / "run")
    for name in ("extractor", "detector"):
        shutil.copy(getattr(RunFolder.of(exported.config), name), run.path.mkdir(exist_ok=True) or getattr(run, name))
    config = dataclasses.replace(changed(exported.config, root=str(tmp_path)), work_dir=str(run.path))
    card = export.run(config) / "MODEL_CARD.md"
    assert "Not evaluated" in card.read_text() and "commit" in card.read_text()
    auc = {"seeds": [0.75], "mean": 0.75, "sd": None, "interval_95": [0.5, 0.9]}
    counts = {"num_videos": 4, "num_abnormal_videos": 2}
    metrics = {"reference": "ours", "counts": counts, "systems": {"ours": {"metrics": {"frame_auc": auc}}}}
    run.evaluation.mkdir()
    run.evaluation_metrics.write_text(json.dumps(metrics))
    assert export.run(config) == card.parent and "| frame AUC | 0.750" in card.read_text()
    os.utime(run.evaluation_metrics, (0, 0))  # before the training
    export.run(config)
    assert "Not evaluated" in card.read_text()


def test_a_version_without_its_description_is_exported_again(exported, tmp_path, without_graph):
    config = changed(exported.config, root=str(tmp_path))
    first = export.run(config)
    info = json.loads((first / "model.json").read_text())
    (first / "model.json").write_text(json.dumps({**info, "signatures": []}))
    assert export.run(config).name == "2" and export.run(config).name == "2"


def test_bfloat16_changes_scores_little_and_outputs_stay_float32(exported, tmp_path):
    folder = export.run(changed(exported.config, root=str(tmp_path), dtype="bfloat16"))
    assert read_model_info(folder).dtype == "bfloat16" and export.run(exported.config) == exported.folder
    frames = np.random.default_rng(0).integers(0, 256, (1, 9, 32, 32, 3)).astype("uint8")
    ours, full = (tf.saved_model.load(str(path)).signatures["extract"] for path in (folder, exported.folder))
    nodes, expected = ours(frames=frames)["nodes"], full(frames=frames)["nodes"]
    assert nodes.dtype == tf.float32 and np.abs(nodes - expected).max() > 0
    np.testing.assert_allclose(nodes, expected, atol=0.03 * np.abs(expected).max())


def test_the_same_models_are_not_exported_twice(exported):
    assert export.run(exported.config) == exported.folder
    summary = json.loads((RunFolder.of(exported.config).summaries / "export.json").read_text())
    assert summary["done"] == "version 1 is already this model"
    assert exported_model(RunFolder.of(exported.config)) == exported.folder


@pytest.fixture
def without_graph(monkeypatch):
    """An export writes an empty file in place of its graph, and no warm-up requests."""
    monkeypatch.setattr(export.ServingSignatures, "save", lambda signatures, folder, _: (folder / GRAPH).touch())
    monkeypatch.setattr(export, "write_warmup_requests", lambda *_: None)


def test_changed_settings_make_the_next_version_and_leave_the_first_alone(exported, tmp_path, without_graph):
    config = changed(exported.config, root=str(tmp_path))
    first = export.run(config)
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    second = export.run(dataclasses.replace(config, alarms=AlarmsConfig(threshold=0.7)))
    assert [first.name, second.name] == ["1", "2"]
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before
    assert read_model_info(second).threshold == 0.7


def test_an_export_that_fails_leaves_no_folder_behind(exported, tmp_path, without_graph, monkeypatch):
    def no_space(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(export, "write_warmup_requests", no_space)
    with pytest.raises(OSError, match="no space left"):
        export.run(changed(exported.config, root=str(tmp_path)))
    assert versions(tmp_path / "tiny") == [] and not list(tmp_path.iterdir())


def test_a_detector_of_features_is_exported_with_score_nodes_only(detector_run, tmp_path):
    config = changed(detector_run, root=str(tmp_path))
    config = dataclasses.replace(config, features=dataclasses.replace(config.features, root="features"))
    folder = export.run(config)
    assert export.run(config) == folder, "the same model is not exported twice"
    info = read_model_info(folder)
    assert (info.clip_frames, info.scales, info.num_patches, info.feature_dim) == (0, (), 5, 8)
    signatures = tf.saved_model.load(str(folder)).signatures
    assert sorted(signatures) == ["describe", "score_nodes", "serving_default"]
    nodes = np.random.default_rng(0).normal(size=(2, 7, 5, 8)).astype("float32")
    detector = keras.models.load_model(RunFolder.of(config).detector, compile=False)
    expected = detector({"nodes": nodes, "mask": np.ones((2, 7), bool)})["anomaly_score"]
    for name in ("score_nodes", "serving_default"):
        np.testing.assert_allclose(signatures[name](nodes=nodes)["anomaly_score"], expected, rtol=1e-5, atol=1e-6)
    records = tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests"))
    assert len(list(records)) == 3
    with pytest.raises(UserError, match=r"scores features, not videos: .*`score_nodes`"):
        Scorer(SavedModelEngine(folder))


def test_a_baseline_on_segments_is_exported_as_it_was_measured(sultani_run, tmp_path):
    config = changed(sultani_run, root=str(tmp_path))
    config = dataclasses.replace(config, features=dataclasses.replace(config.features, root="features"))
    score = tf.saved_model.load(str(export.run(config))).signatures["score_nodes"]
    for video, outputs in evaluate.score_videos(sultani_run):
        (bag,) = read_bags(RunFolder.of(sultani_run).nodes, [video])
        scores = score(nodes=tf.cast(bag["nodes"], tf.float32)[None])["anomaly_score"].numpy()[0]
        np.testing.assert_allclose(scores, outputs["anomaly_score"][bag["frame_indices"].numpy()], atol=1e-6)


def test_a_fresh_process_knows_the_classes_of_the_models_it_loads():
    names = ["RelationAwareExtractor", "AnomalyDetector", *(model.__name__ for model in BASELINES.values())]
    program = f"""
import pipelines.stages.export
import keras
for name in {names}:
    assert keras.saving.get_registered_object("vad_keras>" + name), name
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_model_that_is_not_trained_yet_is_named_with_the_command_that_trains_it(tmp_path):
    config = load_config(overrides=[f"work_dir={tmp_path}", f"export.root={tmp_path}"])
    with pytest.raises(UserError, match=r"extractor\.keras does not exist\. Run `vad train-extractor` first"):
        export.run(config)
    (tmp_path / "extractor.keras").write_bytes(b"")
    with pytest.raises(UserError, match=r"detector\.keras does not exist\. Run `vad train-detector` first"):
        export.run(config)
