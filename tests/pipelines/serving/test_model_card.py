"""The model card of an exported version."""

import hashlib

from pipelines.serving.model_card import model_card, write_model_card
from pipelines.serving.model_info import ModelInfo, version_hash

INFO = ModelInfo(
    "vad",
    8,
    14,
    2048,
    (1, 2, 3),
    224,
    10.0,
    90,
    0.4,
    config={"data": {"dataset": "folder"}, "extractor": {"backbone": "resnet50"}},
    training_data={"videos": {"train": 30}, "manifest_sha256": "ab12"},
    created_utc="2026-01-02T03:04:05+00:00",
    made_with={"keras": "3.15.1"},
    weights="cd34",
    dtype="bfloat16",
    code={"commit": "64bbdef"},
)
AUC = {"seeds": [0.8706], "mean": 0.8706, "sd": None, "interval_95": [0.782, 0.94]}
METRICS = {
    "reference": "anomaly_detector",
    "counts": {"num_videos": 20, "num_abnormal_videos": 10},
    "systems": {"anomaly_detector": {"metrics": {"frame_auc": AUC}}},
}


def test_a_card_names_data_metrics_input_rate_commit_and_hashes():
    lines = model_card(INFO, {"saved_model.pb": "ef56"}, METRICS).splitlines()
    for name, value in {
        "sampling rate": "10 frames/s",
        "size inside the model": "224 × 224 pixels",
        "backbone": "resnet50",
        "computed in": "bfloat16",
        "videos, train": "30",
        "test videos": "20, 10 of them abnormal",
        "SHA-256 of the manifest": "ab12",
        "commit": "64bbdef",
        "exported": "2026-01-02T03:04:05+00:00",
        "SHA-256 of the Keras weights": "cd34",
        "SHA-256 of saved_model.pb": "ef56",
    }.items():
        assert f"| {name} | {value} |" in lines
    (auc,) = (line for line in lines if line.startswith("| frame AUC |"))
    assert "0.871" in auc and "0.782" in auc and "0.940" in auc
    assert "A score of 0.4 or more is an alarm" in "\n".join(lines) and "## Limits" in lines


def test_a_metric_without_a_mean_or_an_interval_is_shown_as_missing():
    unknown = {"seeds": [None], "mean": None, "sd": None, "interval_95": [None, None]}
    found = {"frame_auc": AUC | {"interval_95": [None, None]}, "average_precision": unknown}
    systems = {"anomaly_detector": {"metrics": found}}
    lines = model_card(INFO, {}, METRICS | {"systems": systems}).splitlines()
    assert any(line.startswith("| frame AUC | 0.871") for line in lines)
    assert not any("nan" in line.lower() or "None" in line for line in lines)


def test_a_model_that_was_not_evaluated_says_how_to_complete_its_card():
    assert "Not evaluated. Run `vad evaluate`, then `vad export` again" in model_card(INFO, {})


def test_a_model_of_features_has_nodes_as_its_input():
    info = ModelInfo("vad", 0, 10, 1024, (), 0, 0.0, 90, 0.5)
    assert "| nodes | features, float32 (B, T, 10, 1024) |" in model_card(info, {})


def test_the_card_has_the_hashes_of_the_files_and_changes_no_identity(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    before = version_hash(tmp_path)
    path = write_model_card(tmp_path, INFO)
    assert path.name == "MODEL_CARD.md" and hashlib.sha256(b"graph").hexdigest() in path.read_text(encoding="utf-8")
    assert version_hash(tmp_path) == before
