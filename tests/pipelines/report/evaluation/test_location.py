"""Tests of pipelines.report.evaluation.location: the file of patch scores, and the metrics of whole heat maps."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.report.evaluation.location import measure_location, with_patch_scores, write_patch_scores
from pipelines.report.plots.heat_map import scale_maps

SCALES, SIZE = (1, 2, 3), (12, 20)
VIDEO = SimpleNamespace(video_id="test/a")


def outputs_of(seed, num_frames=6):
    random = np.random.default_rng(seed)
    return {
        "anomaly_score": random.random(num_frames),
        "patch_score": random.random((num_frames, 14)),
        "marginals": random.random((num_frames, 14, 2)),
    }


def mask():
    found = np.zeros((6, *SIZE), bool)
    found[2:5, 1:4, 3:9] = True
    return found


def written(path, seed=0, outputs=None, mask_of=lambda video: mask()):
    write_patch_scores(path, [(VIDEO, outputs or outputs_of(seed))], mask_of, SCALES)
    return with_patch_scores([{"video_id": "test/a"}, {"video_id": "n"}], path)


def test_the_metrics_are_those_of_the_means_over_scales_pixel_by_pixel(tmp_path):
    seeds = [written(tmp_path / f"{seed}.npz", seed) for seed in (0, 1)]
    assert "location" not in seeds[0][1]
    content = measure_location({"ours": seeds})
    assert content["num_frames"] == 3 and content["num_videos"] == 1 and not content["missing"]
    for key, pick in {"patch_score": slice(None), "marginals": (..., 1)}.items():
        entry = content["systems"]["ours"][key]
        for seed in (0, 1):
            rows = outputs_of(seed)[key][pick].astype("float32")[2:5]
            maps, marks = np.stack([scale_maps(row, SCALES, SIZE).mean(axis=0) for row in rows]), mask()[2:5]
            area = roc_auc_score(marks.ravel(), maps.round(6).ravel())
            assert entry["pixel_auc"]["seeds"][seed] == pytest.approx(area, abs=1e-6)
            top = [marked[frame >= frame.max() - 1e-7].mean() for frame, marked in zip(maps, marks, strict=True)]
            assert entry["pointing_game_pixel"]["seeds"][seed] == pytest.approx(np.mean(top))
        assert entry["pointing_game_pixel"]["chance"] == pytest.approx(18 / 240) and entry["pixel_auc"]["chance"] == 0.5


def test_a_model_without_patches_or_a_video_without_a_mask_has_no_place(tmp_path):
    path = tmp_path / "patch_scores.npz"
    written(path)
    assert path.exists()
    pooled = outputs_of(0) | {"patch_score": np.ones((6, 1)), "marginals": np.ones((6, 1, 2))}
    videos = written(path, outputs=pooled)
    assert not path.exists() and not any("location" in video for video in videos)
    written(path, mask_of=lambda video: None)
    assert not path.exists()
    content = measure_location({"ours": [videos]})
    assert content["missing"] == {"ours": "no test video has both patch scores and a pixel mask"}
    assert not content["systems"]
