"""Tests of pipelines.report.evaluation."""

import numpy as np
import pytest
from PIL import Image

from pipelines.data.manifest import VideoInfo
from pipelines.report.evaluation import (
    FIGURES,
    PICTURED_FRAMES,
    abnormal_first,
    comparison_table,
    draw_evaluation,
    draw_heat_maps,
    metrics_table,
)


def scored_video(name, label, peak, intervals=(), num_frames=24):
    """A video of 24 frames at 8 a second whose score is highest at `peak`."""
    video = VideoInfo(name, f"{name}.mp4", "test", label, "", 8.0, num_frames, 64, 48, 6, intervals)
    scores = np.exp(-(((np.arange(num_frames) - peak) / 4) ** 2))
    patches = np.repeat(scores[:, None], 5, axis=1)
    marginals = np.stack([1 - patches, patches], axis=-1)
    return video, {"anomaly_score": scores, "unary_probability": patches / 2, "marginals": marginals}


SCORED = [scored_video("calm", 0, 3), scored_video("fight", 1, 17, ((14, 20),)), scored_video("idle", 0, 20)]


def test_the_table_of_one_evaluation_names_every_figure_with_its_interval(tmp_path, capsys):
    report = {name: 0.1 * number for number, name in enumerate(FIGURES)}
    intervals = {"frame_auc": [0.0125, 0.5], "video_auc": [float("nan"), float("nan")]}
    metrics_table(tmp_path / "table.md", report, intervals)
    lines = (tmp_path / "table.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["test videos", "value", "95 % interval over videos"]
    assert [row[0] for row in cells[2:]] == list(FIGURES.values())
    assert cells[2] == ["frame AUC", "0.000", "0.013 to 0.500"]
    assert cells[3][2] == "–" and next(row for row in cells if row[0] == "video AUC")[1:] == ["0.400", "–"]
    assert "AUC inside abnormal videos" in capsys.readouterr().out


def test_the_comparison_shows_mean_and_deviation_over_seeds(tmp_path):
    reports = {"ours": [dict.fromkeys(FIGURES, value) for value in (0.60, 0.62, 0.64)]}
    reports["rival"] = [dict.fromkeys(FIGURES, 0.5)]
    comparison_table(tmp_path / "table.md", reports, "5 folds, 3 seeds")
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[0].startswith("| 5 folds, 3 seeds |") and all(title in lines[0] for title in FIGURES.values())
    assert lines[2].count("0.620 ± 0.020") == len(FIGURES) and lines[3].count("0.500") == len(FIGURES)


def test_timelines_and_curves_are_pictures(tmp_path):
    draw_evaluation(tmp_path, SCORED, 0.5, "anomaly_detector")
    for name in ("timelines.png", "curves.png"):
        assert np.asarray(Image.open(tmp_path / name).convert("RGB")).std() > 5


@pytest.mark.parametrize("intervals", [None, ()])
def test_curves_are_left_out_where_frame_labels_do_not_allow_them(tmp_path, intervals):
    scored = [scored_video("calm", 0, 3, intervals), scored_video("fight", 1, 17, intervals)]
    draw_evaluation(tmp_path, scored, 0.5, "anomaly_detector")
    assert [path.name for path in tmp_path.iterdir()] == ["timelines.png"]


def test_heat_maps_show_the_highest_frame_of_abnormal_videos_first(tmp_path):
    asked = []

    def read_frame(video, frame):
        asked.append((video.video_id, frame))
        return np.full((48, 64, 3), 120, np.uint8)

    many = [*SCORED, *(scored_video(f"calm{number}", 0, number) for number in range(6))]
    draw_heat_maps(tmp_path / "heat_maps.png", many, read_frame, scales=(1, 2))
    assert asked[:3] == [("fight", 17), ("calm", 3), ("idle", 20)] and len(asked) == PICTURED_FRAMES
    assert np.asarray(Image.open(tmp_path / "heat_maps.png").convert("RGB")).std() > 5


def test_abnormal_videos_come_first_and_keep_their_order():
    assert [video.video_id for video, _ in abnormal_first(SCORED)] == ["fight", "calm", "idle"]
