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
