"""The calibrate stage: results of `vad score` to the threshold of a camera."""

import dataclasses
import json

import numpy as np
import pytest

from pipelines.config import UserError, load_config
from pipelines.live.cameras import read_cameras
from pipelines.stages import calibrate

CAMERAS = """# the entrance
[[cameras]]
name = "door"   # camera 1
source = "rtsp://10.0.0.5/live"
threshold = 0.5
"""


def write_result(path, scores, fps=1.0, video=None, csv=True):
    """Write what `vad score` leaves of a video, as far as it is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scores = np.round(scores, 6).tolist()
    content = {"video": str(video or path.with_suffix(".mp4")), "fps": fps, "scores": scores, "model": {"name": "vad"}}
    path.write_text(json.dumps(content))
    rows = [f"{frame},{frame / fps:.3f},{score:.6f}" for frame, score in enumerate(scores)]
    if csv:
        path.with_suffix(".csv").write_text("\n".join(["frame,time_sec,score", *rows]) + "\n")
    return path


def settings(tmp_path, *inputs, **options):
    config = load_config(overrides=[f"work_dir={tmp_path}/run", "alarms.min_length_sec=0", "alarms.hysteresis=0"])
    options = {"inputs": tuple(map(str, inputs)), "false_alarms": 48.0, **options}
    return dataclasses.replace(config, calibrate=dataclasses.replace(config.calibrate, **options))


@pytest.fixture
def hours(tmp_path):
    """Four hours of quiet footage with a peak of another height every ten minutes."""
    scores = np.full(4 * 3600, 0.1)
    scores[::600] = 0.2 + np.arange(24) / 100
    return [write_result(tmp_path / "scores" / f"{n}.json", scores[n * 3600 : (n + 1) * 3600]) for n in range(4)]


def test_the_threshold_lies_above_the_peaks_that_may_not_alarm(tmp_path, hours):
    folder = calibrate.run(settings(tmp_path, tmp_path / "scores"))
    found = json.loads((folder / "camera.json").read_text())
    # 240 blocks of a minute: 48 a day are 8 of them, and 3 alarmed ones keep 0.95 below that (2.9 % < 3.3 %).
    assert (found["num_blocks"], found["allowed_blocks"], found["alarmed_blocks"]) == (240, 3, 3)
    assert found["threshold"] == pytest.approx(0.2 + 20 / 100 + 1e-6) and found["bound_per_day"] <= 48
    assert len(found["videos"]) == 4 and (folder / "camera.png").is_file()


def test_the_threshold_is_written_into_the_file_of_cameras(tmp_path, hours):
    cameras = tmp_path / "cameras.toml"
    cameras.write_text(CAMERAS)
    calibrate.run(settings(tmp_path, *hours, cameras=str(cameras)))
    assert read_cameras(cameras)[0].threshold == pytest.approx(0.400001)
    assert "# the entrance" in cameras.read_text() and 'name = "door"   # camera 1' in cameras.read_text()
    cameras.write_text(CAMERAS + CAMERAS.replace("door", "yard"))
    with pytest.raises(UserError, match=r"has several cameras. Name one with --camera: door, yard"):
        calibrate.run(settings(tmp_path, *hours, cameras=str(cameras)))
    with pytest.raises(UserError, match=r"has no camera `shed`"):
        calibrate.run(settings(tmp_path, *hours, cameras=str(cameras), camera="shed"))


def test_scores_of_the_whole_picture_are_named_when_the_camera_has_zones(tmp_path, hours, capsys):
    cameras = tmp_path / "cameras.toml"
    cameras.write_text(CAMERAS + "zones = [[[0, 0], [0.5, 0], [0.5, 1]]]")
    calibrate.run(settings(tmp_path, *hours, cameras=str(cameras)))
    assert "4 results without the zones of the camera" in capsys.readouterr().err


def test_too_little_footage_says_how_much_is_needed_and_changes_nothing(tmp_path, hours):
    cameras = tmp_path / "cameras.toml"
    cameras.write_text(CAMERAS)
    with pytest.raises(UserError) as error:
        calibrate.run(settings(tmp_path, *hours, cameras=str(cameras), false_alarms=1.0))
    assert str(error.value) == (
        "1 false alarm per camera-day over the next 30 days, with 95 % confidence: needs at least 3.04 days of normal "
        "footage. Received: 4 hours, which can promise 17.9. Add footage, or use --false-alarms 17.9."
    )
    assert cameras.read_text() == CAMERAS and (tmp_path / "run" / "calibration" / "door.png").is_file()
    calibrate.run(settings(tmp_path, *hours, false_alarms=17.9))


def test_scores_of_one_everywhere_are_no_normal_footage(tmp_path):
    write_result(tmp_path / "a.json", np.ones(3600))
    with pytest.raises(UserError, match=r"scores reach 1 in more than 20 blocks of the footage"):
        calibrate.run(settings(tmp_path, tmp_path / "a.json", false_alarms=500.0, confidence=0.0, block_sec=60.0))


def test_videos_are_known_by_the_results_of_their_run(tmp_path):
    video = tmp_path / "door.mp4"
    video.write_bytes(b"")
    other = tmp_path / "not_scored.mp4"
    other.write_bytes(b"")
    write_result(tmp_path / "run" / "scores" / "x.json", np.zeros(600), video=video, csv=False)
    (tmp_path / "notes.json").write_text("{}")
    results, skipped = calibrate.find_results([tmp_path], tmp_path / "run" / "scores")
    assert len(results) == 1 and skipped == [(other, "it has no scores")]
    with pytest.raises(UserError, match=r"no scores: name videos"):
        calibrate.find_results([other], tmp_path / "run" / "scores")
    with pytest.raises(UserError, match=r"gone.mp4 does not exist"):
        calibrate.find_results([tmp_path / "gone.mp4"], tmp_path)


def test_times_of_the_footage_are_those_of_its_frames(tmp_path):
    path = write_result(tmp_path / "a.json", np.zeros(4), fps=2.0)
    content = json.loads(path.read_text())
    assert calibrate._footage(path.with_suffix(""), content).duration_sec == 2.0
    path.with_suffix(".csv").write_text("frame,time_sec,score\n0,0,0\n1,5,0\n2,10,0\n3,15,0\n")
    assert calibrate._footage(path.with_suffix(""), content).duration_sec == 15.5
    path.with_suffix(".csv").write_text("frame,time_sec,score\n0,a,0\n")
    assert calibrate._footage(path.with_suffix(""), content).duration_sec == 2.0


def test_what_weakens_the_promise_is_said(tmp_path, capsys):
    scores = np.full(7200, 0.1)
    scores[1000:2800] = 0.9  # one stretch of half an hour is one reason for thirty blocks
    write_result(tmp_path / "a.json", scores)
    calibrate.run(settings(tmp_path, tmp_path / "a.json", false_alarms=700.0, block_sec=90.0))
    printed = capsys.readouterr().err
    assert "alarms less than 90 s apart count once; alarms.cooldown_sec=90" in printed
    assert "alarmed blocks lie in 1 cluster: blocks depend on each other" in printed
    assert "2 hours of footage do not show a whole day" in printed
