"""Tests of pipelines.cli.doctor, through the command."""

import pytest

from pipelines.cli import doctor, main
from pipelines.run.machine import MACHINE_ERROR, OK, USER_ERROR, WARNING, Check


@pytest.mark.parametrize(
    ("status", "word", "expected"),
    [(OK, "ok", 0), (WARNING, "warning", 0), (USER_ERROR, "error", 2), (MACHINE_ERROR, "error", 3)],
)
def test_a_problem_is_shown_with_its_way_out(status, word, expected, monkeypatch, capsys, tmp_path):
    asked = []
    row = Check(status, "disk", "runs/[x] is full", "make room")
    monkeypatch.setattr(doctor, "run_checks", lambda config: asked.append(config) or [row])
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["doctor", "--set", f"work_dir={tmp_path / 'run'}"]) == expected
    assert any(line.split() == [word, "disk", "runs/[x]", "is", "full", "make", "room"]
               for line in capsys.readouterr().out.splitlines())  # fmt: skip
    assert asked[0].work_dir == str(tmp_path / "run") and not (tmp_path / "run").exists()
