"""Tests of pipelines.serving.exported."""

import shutil

import pytest

from pipelines.config import UserError
from pipelines.run.folder import RunFolder
from pipelines.serving.exported import exported_model, remember_export


def export(root, run, content="first"):
    """Write a version as an export does, and remember it for a run."""
    folder = root / "models/vad/1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_text(content)
    remember_export(RunFolder(run), folder)
    return folder


def test_a_run_knows_its_model_from_any_folder_and_after_both_were_moved(tmp_path, monkeypatch):
    folder = export(tmp_path / "old", tmp_path / "old/runs/a")
    monkeypatch.chdir(tmp_path / "old/runs")
    assert exported_model(RunFolder("a")) == folder
    (tmp_path / "old").rename(tmp_path / "new")
    assert exported_model(RunFolder(tmp_path / "new/runs/a")) == tmp_path / "new/models/vad/1"


def test_another_model_is_never_taken_in_silence(tmp_path):
    run = RunFolder(tmp_path / "runs/a")
    with pytest.raises(UserError, match=r"runs/a has exported no model\. Run `vad export`"):
        exported_model(run)
    folder = export(tmp_path, run.path)
    export(tmp_path, tmp_path / "runs/b", content="another run's, with the same number")
    with pytest.raises(UserError, match=r"vad/1 holds another model than .*runs/a exported\. Run `vad export`"):
        exported_model(run)
    assert exported_model(RunFolder(tmp_path / "runs/b")) == folder
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"is not at .*vad/1 any more\. Run `vad export`"):
        exported_model(run)
    run.exported.write_text("{")
    with pytest.raises(UserError, match=r"export\.json cannot be used\. Run `vad export`"):
        exported_model(run)
