"""The proof of the calibration: exchangeable videos keep the promise, and runs are read as they are written."""

import json

import numpy as np
import pytest

from benchmarks import calibration


@pytest.fixture
def run(tmp_path):
    """A `vad repeat` of 40 normal videos in two folds; another seed lacks a fold."""
    random = np.random.default_rng(0)
    names = [f"n{number}" for number in range(40)]
    videos = [{"video_id": name, "label": int(name == "a"), "fps": 2.0} for name in [*names, "a"]]
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "videos.json").write_text(json.dumps({"videos": videos}))
    for fold, part in (("2fold-seed0-0", names[:20]), ("2fold-seed0-1", names[20:]), ("2fold-seed1-0", names[:20])):
        folder = tmp_path / "folds" / fold / "anomaly_detector" / "evaluation"
        folder.mkdir(parents=True)
        np.savez(folder / "scores.npz", a=np.ones(9), **{name: random.random() * random.random(40) for name in part})
    return tmp_path


def test_only_whole_seeds_and_normal_videos_are_read(run):
    ((seed, footage),) = calibration.read_runs(run)
    assert (seed, len(footage), footage[0].duration_sec) == ("2fold-seed0", 40, 20.0)


def test_videos_that_are_exchangeable_keep_the_promise(run, monkeypatch, capsys):
    monkeypatch.setattr(calibration, "BLOCKS_SEC", (0.0,))
    monkeypatch.setattr(calibration, "SHARES", (0.5,))
    monkeypatch.setattr(calibration, "CONFIDENCES", (0.8,))
    calibration.main([str(run), "--splits", "25"])
    printed = capsys.readouterr().out
    assert "40 normal videos, 13.3 minutes, 1 seeds" in printed
    kept = [int(line.split("|")[6].split("%")[0]) for line in printed.splitlines() if line.startswith("| a video")]
    assert len(kept) == 1 and kept[0] >= 70
