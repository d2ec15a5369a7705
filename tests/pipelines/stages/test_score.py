"""The score stage: files to scores of every original frame, with the exported model alone."""

import csv
import dataclasses
import json

import av
import numpy as np
import pytest
from PIL import Image

from pipelines.config import UserError
from pipelines.report.plots.heat_map import patch_heat_map
from pipelines.serving.versions import new_version
from pipelines.stages import score

NUM_FRAMES, FPS = 22, 10


def write_video(path, num_frames=NUM_FRAMES, seed=0):
    """A small H.264 file of coarse moving noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (num_frames, 3, 4, 3)).astype("uint8")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in blocks.repeat(16, axis=1).repeat(16, axis=2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def config(exported, tmp_path):
    """A configuration that scores with the tiny model into a folder of its own."""

    def make(*inputs, **settings):
        settings = {"inputs": tuple(map(str, inputs)), "top_frames": 2, **settings}
        section = dataclasses.replace(exported.config.score, **settings)
        return dataclasses.replace(exported.config, work_dir=str(tmp_path / "run"), score=section)

    return make


def read_json(path):
    return json.loads(path.read_text())


def test_every_original_frame_gets_a_score_and_its_time(config, tmp_path):
    output = score.run(config(write_video(tmp_path / "door.mp4")))
    result = read_json(output / "door.json")
    assert output == tmp_path / "run" / "scores"
    assert (result["num_frames"], result["num_sampled"], result["fps"]) == (NUM_FRAMES, NUM_FRAMES, FPS)
    rows = list(csv.DictReader((output / "door.csv").open()))
    assert [int(row["frame"]) for row in rows] == list(range(NUM_FRAMES))
    np.testing.assert_allclose([float(row["time_sec"]) for row in rows], np.arange(NUM_FRAMES) / FPS, atol=1e-3)
    np.testing.assert_allclose([float(row["score"]) for row in rows], result["scores"], atol=1e-6)
    assert np.std(result["scores"]) > 0 and result["max_score"] == max(result["scores"])
    assert result["model"]["name"] == "tiny" and result["model"]["version"] == "1"


def test_alarms_are_spans_in_seconds_at_the_threshold(config, tmp_path):
    video = write_video(tmp_path / "door.mp4")
    scores = read_json(score.run(config(video)) / "door.json")["scores"]
    threshold = float(np.median(scores))
    result = read_json(score.run(config(video, threshold=threshold)) / "door.json")
    assert result["threshold"] == threshold and result["alarms"]
    for alarm in result["alarms"]:
        assert min(scores[alarm["start_frame"] : alarm["end_frame"]]) >= threshold
        assert alarm["start_sec"] == pytest.approx(alarm["start_frame"] / FPS)
        assert alarm["end_sec"] == pytest.approx(alarm["end_frame"] / FPS)
    covered = sum(alarm["end_frame"] - alarm["start_frame"] for alarm in result["alarms"])
    assert covered == sum(value >= threshold for value in scores)


def test_a_timeline_and_the_heat_maps_of_the_top_frames_are_drawn(config, tmp_path):
    output = score.run(config(write_video(tmp_path / "door.mp4")))
    for name in ("door.png", "door_top_frames.png"):
        with Image.open(output / name) as picture:
            assert picture.width > 300 and np.asarray(picture.convert("L")).std() > 10
    assert len(read_json(output / "door.json")["top_frames"]) == 2
    without = score.run(config(tmp_path / "door.mp4", top_frames=0, output=str(tmp_path / "plain")))
    assert sorted(path.name for path in without.iterdir()) == ["door.csv", "door.json", "door.png"]


def test_the_brightest_patch_of_a_top_frame_has_the_score_of_the_frame(config, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(score, "plot_heat_maps", lambda path, *arguments: shown.append(arguments))
    output = score.run(config(write_video(tmp_path / "door.mp4")))
    result = read_json(output / "door.json")
    ((pictures, maps, scales, titles),) = shown
    expected = [result["scores"][frame] for frame in result["top_frames"]]
    brightest = [patch_heat_map(values, scales, 60).max() for values in maps["patch score"]]
    np.testing.assert_allclose(brightest, expected, atol=1e-6)
    assert [f"score {value:.2f}" in title for value, title in zip(expected, titles, strict=True)] == [True, True]
    assert len(pictures) == 2 and set(maps) == {"patch score", "before the CRF", "after the CRF"}


def test_a_bad_file_is_named_and_the_others_are_scored(config, tmp_path):
    videos = tmp_path / "videos"
    write_video(videos / "good.mp4")
    (videos / "broken.mp4").write_bytes(b"no video at all")
    (videos / "empty.avi").write_bytes(b"")
    (videos / "notes.txt").write_text("not looked at")
    output = score.run(config(videos))
    summary = read_json(tmp_path / "run" / "summaries" / "score.json")
    assert [entry["input"] for entry in summary["skipped"]] == [str(videos / "broken.mp4"), str(videos / "empty.avi")]
    assert "not a video" in summary["skipped"][0]["reason"] and "empty" in summary["skipped"][1]["reason"]
    assert sorted(path.name for path in output.glob("*.json")) == ["good.json"]


def test_a_scored_video_is_left_alone_until_file_model_threshold_or_force_changes(config, tmp_path, capsys):
    video = write_video(tmp_path / "door.mp4")

    def stamp(**settings):
        return (score.run(config(video, **settings)) / "door.json").stat().st_mtime_ns

    first = stamp()
    assert stamp() == first
    assert "1 already scored" in capsys.readouterr().out
    changes = [{"threshold": 0.9}, {"threshold": 0.9, "force": True}]
    stamps = [first, *(stamp(**change) for change in changes)]
    write_video(video, seed=1)
    stamps.append(stamp(threshold=0.9))
    assert len(set(stamps)) == 4
    (tmp_path / "run" / "scores" / "door.csv").unlink()
    assert stamp(threshold=0.9) not in stamps


def test_sampled_scores_hold_until_the_next_sampled_frame(config, exported, tmp_path):
    with new_version(tmp_path / "slow") as draft:
        for path in exported.folder.rglob("*"):
            if path.is_file():
                target = draft["folder"] / path.relative_to(exported.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        info = json.loads((draft["folder"] / "model.json").read_text())
        (draft["folder"] / "model.json").write_text(json.dumps({**info, "frames_per_sec": 2.0}))
    output = score.run(config(write_video(tmp_path / "door.mp4"), model=str(tmp_path / "slow")))
    result = read_json(output / "door.json")
    assert (result["num_frames"], result["num_sampled"]) == (NUM_FRAMES, 5)
    steps = np.flatnonzero(np.diff(result["scores"])) + 1
    assert set(steps) <= {5, 10, 15, 20}


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path):
    names = ["a/door.mp4", "a/door.avi", "a/sub/door.mp4", "b/door.mp4", "b/hall.MP4"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = score.find_videos([tmp_path / "a", tmp_path / "b" / "door.mp4", tmp_path / "b"])
    assert {path.relative_to(tmp_path).as_posix(): name for path, name in found} == {
        "a/door.avi": "door_avi",
        "a/door.mp4": "door_mp4",
        "a/sub/door.mp4": "sub/door",
        "b/door.mp4": "door_mp4_2",
        "b/hall.MP4": "hall",
    }


def test_inputs_that_cannot_be_meant_are_answered_with_the_way_out(config, tmp_path):
    (tmp_path / "empty").mkdir()
    for inputs, message in [
        ([], "nothing to score: name video files or folders"),
        ([tmp_path / "nowhere.mp4"], r"nowhere\.mp4 does not exist"),
        (["rtsp://camera/1"], r"rtsp://camera/1 is a URL, but `vad score` reads files\. Save the"),
        ([tmp_path / "empty"], "no video in .*empty"),
    ]:
        with pytest.raises(UserError, match=message):
            score.run(config(*inputs))
    with pytest.raises(UserError, match="Run `vad export` first"):
        score.run(config(write_video(tmp_path / "door.mp4"), model=str(tmp_path / "empty")))


def test_a_corrupt_neighbour_among_the_real_unit_videos_costs_no_other_file(config, shared_data, tmp_path):
    output = score.run(config(shared_data / "unit_videos", top_frames=0))
    summary = read_json(tmp_path / "run" / "summaries" / "score.json")
    scored = list(output.glob("*.json"))
    assert len(scored) >= 15 and len(scored) + len(summary["skipped"]) == len(
        score.find_videos([shared_data / "unit_videos"])
    )
