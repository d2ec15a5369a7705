"""Tests of pipelines.cli.tensorboard."""

import os
import sys

import pytest

from pipelines.cli import main
from pipelines.cli.tensorboard import command
from pipelines.config import UserError


def test_the_logs_of_all_trainings_below_the_folder_are_shown(tmp_path, monkeypatch):
    logs = tmp_path / "folds" / "0" / "logs"
    logs.mkdir(parents=True)
    (logs / "events.out.tfevents.1.host").touch()
    started = []
    monkeypatch.setattr(os, "execv", lambda program, words: started.append((program, words)))
    monkeypatch.chdir(tmp_path.parent)
    assert main(["tensorboard", tmp_path.name, "--port", "0"]) == 0
    ((program, words),) = started
    assert program == sys.executable and words[:3] == [sys.executable, "-m", "tensorboard.main"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    expected = {"--logdir": str(tmp_path), "--host": "localhost", "--port": "0"}
    assert options == expected | {"--window_title": f"vad: {tmp_path.name}"}


def test_a_folder_without_logs_is_refused(tmp_path, capsys):
    with pytest.raises(UserError, match=r"no logs of a training in .*missing\. Give the work_dir of a run"):
        command(tmp_path / "missing", 6006, "localhost")
    assert main(["tensorboard", str(tmp_path)]) == 2
    assert "there are no logs of a training" in capsys.readouterr().err
