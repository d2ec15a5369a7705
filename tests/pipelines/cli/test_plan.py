"""Tests of pipelines.cli.plan: ``--dry-run``. What it says of a finished run: tests/pipelines/test_demo.py."""

import sys

import pytest

from pipelines.cli import EXIT_USER_ERROR, main, plan
from pipelines.config import UserError
from tests.videos import write_video


@pytest.fixture
def planned(stages, monkeypatch):
    """Function that sets what the plan of a stage returns; all others have nothing to do."""

    def set_plan(stage, text):
        monkeypatch.setattr(sys.modules[f"pipelines.stages.{stage}"], "plan", lambda config: text, raising=False)

    monkeypatch.setattr(plan, "load_tensorflow_quietly", lambda announce: None)
    monkeypatch.setattr(plan, "check_inputs", lambda *arguments: None)
    for stage in ("prepare", "train_extractor", "extract", "train_detector", "evaluate", "export"):
        set_plan(stage, "")
    return set_plan


def rows(capsys):
    """The printed table, below its title and headings, as ``{stage: what it would do}``."""
    title, _, headings, _, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith("Dry run of ") and title.endswith(": nothing is written.")
    assert headings.split() == ["stage", "would"]
    return {stage: text.strip() for stage, text in (line.split(maxsplit=1) for line in lines if line.strip())}


def test_stages_after_one_with_work_are_not_asked(stages, planned, capsys, tmp_path):
    planned("extract", "extract 3 of 4 videos")
    planned("export", "never asked")
    assert main(["train", "--dry-run"]) == 0
    assert rows(capsys) == {
        "prepare": "do nothing: finished",
        "train_extractor": "do nothing: finished",
        "extract": "extract 3 of 4 videos",
        "train_detector": "run after extract",
        "evaluate": "run after extract",
        "export": "run after extract",
    }
    assert not stages.ran and not list(tmp_path.iterdir())


def test_the_export_does_not_wait_for_an_evaluation(planned, capsys):
    planned("evaluate", "score 2 test videos")
    assert main(["train", "--dry-run"]) == 0
    assert rows(capsys)["export"] == "do nothing: finished"


def test_settings_that_do_not_fit_are_an_error(planned, monkeypatch, capsys):
    def conflict(config):
        raise UserError("detector: settings contradict each other.")

    monkeypatch.setattr(sys.modules["pipelines.stages.train_detector"], "check_settings", conflict)
    assert main(["train", "--dry-run"]) == EXIT_USER_ERROR
    assert "contradict" in capsys.readouterr().err


def test_videos_that_are_not_prepared_are_counted_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        write_video(tmp_path / "videos" / f"{name}.mp4", num_frames=12)
    (tmp_path / "videos" / "labels.csv").write_text("file,label\na.mp4,0\nb.mp4,1\n")
    monkeypatch.chdir(tmp_path)
    options = ["--set", "data.root=videos", "--set", "work_dir=run", "--set", "data.image_size_px=32"]
    assert main(["prepare", "--dry-run", *options]) == 0
    assert rows(capsys)["prepare"] == "decode 2 of 2 videos into run/clips"
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]
    assert main(["prepare", *options]) == 0
    capsys.readouterr()
    write_video(tmp_path / "videos" / "b.mp4", num_frames=16)
    assert main(["prepare", "--dry-run", *options, "--set", "data.videos_per_shard=1"]) == 0
    assert rows(capsys)["prepare"] == "decode 2 of 2 videos into run/clips"
    assert main(["extract", "--dry-run", *options]) == EXIT_USER_ERROR
    assert "Run `vad train-extractor` first" in capsys.readouterr().err
