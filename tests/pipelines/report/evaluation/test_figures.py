"""Tests of pipelines.report.evaluation.figures."""

import numpy as np
import pytest
from PIL import Image

from pipelines.data.listing.manifest import VideoInfo
from pipelines.report.evaluation import figures
from pipelines.report.evaluation.figures import (
    HEAT_MAP_VIDEOS,
    VIDEOS_PER_PAGE,
    _timeline,
    by_detection,
    frames_around_peak,
    plot_test_timelines,
    plot_top_heat_maps,
)


def scored_video(name, label, peak, intervals=(), num_frames=24):
    """A video of 24 frames at 8 a second whose score is highest at `peak`."""
    video = VideoInfo(name, f"{name}.mp4", "test", label, "", 8.0, num_frames, 64, 48, 6, intervals)
    scores = np.exp(-(((np.arange(num_frames) - peak) / 4) ** 2))
    patches = np.repeat(scores[:, None], 5, axis=1)
    marginals = np.stack([1 - patches, patches], axis=-1)
    outputs = {"anomaly_score": scores, "patch_score": patches, "unary_probability": patches / 2}
    return video, outputs | {"marginals": marginals}


SCORED = [
    scored_video("calm", 0, 3),
    scored_video("missed", 1, 2, ((14, 20),)),
    scored_video("fight", 1, 17, ((14, 20),)),
]


def shown(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_videos_are_sorted_from_the_highest_auc_to_the_lowest_then_the_normal_ones():
    unknown = scored_video("unknown", 1, 5, None)
    assert [video.video_id for video, _ in by_detection([*SCORED, unknown])] == ["fight", "missed", "unknown", "calm"]


def test_a_timeline_names_its_own_auc_where_it_has_one():
    assert _timeline(*SCORED[2])["title"] == "fight  AUC 1.00"
    assert _timeline(*SCORED[0])["title"] == "calm"
    assert _timeline(*scored_video("a" * 60, 0, 3))["title"] == "a" * 16 + "…" + "a" * 17


def test_many_videos_wrap_onto_pages_and_old_pages_are_removed(tmp_path):
    many = [scored_video(f"calm{number}", 0, number % 20) for number in range(2 * VIDEOS_PER_PAGE + 1)]
    names = [name for name, _ in plot_test_timelines(tmp_path, many, 0.5, "Test videos")]
    assert names == ["timelines.png", "timelines_2.png", "timelines_3.png"]
    assert all(shown(tmp_path / name).std() > 5 for name in names)
    assert shown(tmp_path / names[0]).shape[0] > 3 * shown(tmp_path / names[2]).shape[0]
    plot_test_timelines(tmp_path, SCORED, 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["timelines.png"]


@pytest.mark.parametrize("length", [1, 3, 8, 9, 40])
def test_the_frames_lie_in_the_video_around_its_peak_and_in_order(length):
    for peak in range(length):
        chosen = frames_around_peak(np.eye(length)[peak])
        frames = [frame for _, frame in chosen]
        assert ("peak", peak) in chosen and frames == sorted(set(frames)) and 0 <= frames[0] <= frames[-1] < length
        assert len(frames) == (3 if length >= 8 else 1)
        assert all(name == ("earlier" if frame < peak else "later") for name, frame in chosen if frame != peak)


def test_heat_maps_show_three_frames_of_the_videos_with_the_highest_auc(tmp_path, monkeypatch):
    asked = []

    def read_frame(video, frame):
        asked.append((video.video_id, frame))
        return np.full((48, 64, 3), 120, np.uint8)

    many = [*SCORED, *(scored_video(f"quiet{number}", 0, number) for number in range(6))]
    plot, drawn = figures.plot_heat_maps, []
    monkeypatch.setattr(figures, "plot_heat_maps", lambda *arguments: drawn.append(arguments) or plot(*arguments))
    plot_top_heat_maps(tmp_path / "heat_maps.png", many, read_frame, (1, 2), "marginals")
    maps = drawn[0][2]
    np.testing.assert_array_equal(maps["patch score"], maps["after the CRF"])
    assert asked[:6] == [("fight", 14), ("fight", 17), ("fight", 20), ("missed", 2), ("missed", 5), ("missed", 8)]
    assert len(asked) == 3 * HEAT_MAP_VIDEOS and shown(tmp_path / "heat_maps.png").std() > 5
