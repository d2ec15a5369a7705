"""The command `vad calibrate`."""

import pytest

from pipelines.cli import calibrate as command


@pytest.fixture
def ran(monkeypatch):
    """What the command runs."""
    calls = []
    monkeypatch.setattr(command, "run", lambda modules, config, **options: calls.append((modules, config)) or 0)
    return calls


def test_videos_are_scored_first_and_results_are_not(ran, tmp_path):
    for name in ("door.mp4", "a.json", "b.json"):
        (tmp_path / name).write_bytes(b"")
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "c.json").write_bytes(b"")
    command.calibrate([str(tmp_path / "a.json"), str(folder)])
    command.calibrate([str(tmp_path / "door.mp4"), str(tmp_path / "a.json"), str(folder)], false_alarms=0.5)
    command.calibrate([str(tmp_path)], confidence=0.0, camera="door")
    assert [modules for modules, _ in ran] == [["stages.calibrate"], *[["stages.score", "stages.calibrate"]] * 2]
    assert [config.score.inputs for _, config in ran] == [(), (str(tmp_path / "door.mp4"),), (str(tmp_path),)]
    assert [config.calibrate.false_alarms for _, config in ran] == [1.0, 0.5, 1.0]
    assert (ran[2][1].calibrate.confidence, ran[2][1].calibrate.camera) == (0.0, "door")


def test_footage_is_scored_with_the_model_and_the_zones_of_the_camera(ran, tmp_path):
    cameras, video = tmp_path / "cameras.toml", tmp_path / "door.mp4"
    video.write_bytes(b"")
    zone = '[[[0.1, 0.2], [0.6, 0.2], [0.6, 1.0]]]'
    cameras.write_text(
        f'[[cameras]]\nname = "door"\nsource = "rtsp://h/a"\nmodel = "savedmodels/door"\nzones = {zone}\n'
        '[[cameras]]\nname = "yard"\nsource = "rtsp://h/b"\n'
    )
    for camera, model in (("door", None), ("door", "other"), ("yard", None)):
        command.calibrate([str(video)], cameras=str(cameras), camera=camera, model=model, overrides=["work_dir=w"])
    sections = [config.score for _, config in ran]
    assert [section.model for section in sections] == ["savedmodels/door", "other", ""]
    assert [section.zones for section in sections] == [(((0.1, 0.2), (0.6, 0.2), (0.6, 1.0)),)] * 2 + [()]
    assert [section.output for section in sections] == ["w/calibration/door/scores"] * 2 + [""]
