"""Stages that only note that they ran."""

import sys
import types
from pathlib import Path

import pytest

import pipelines
from pipelines.cli import datasets, dispatch
from pipelines.report.terminal.summary import write_summary

ROOT = Path(pipelines.__file__).parent


@pytest.fixture
def stages(monkeypatch, tmp_path):
    """Replace every stage, experiment, the demo and the benchmark, in a fresh current folder.

    `ran` lists `(name, config, *arguments)`; `install(name, run)` gives a stage another `run(config)`.
    """
    ran = []

    def install(name, run=None):
        module = types.ModuleType(f"pipelines.{name}")

        def note(config, *arguments):
            ran.append((name.rpartition(".")[2], config, *arguments))
            if run:
                return run(config)
            return write_summary(config, name.rpartition(".")[2], done=f"{name} was here", seconds=1.0)

        module.run, module.check_settings = note, lambda config: None
        monkeypatch.setitem(sys.modules, module.__name__, module)

    monkeypatch.setattr(dispatch, "load_tensorflow_quietly", lambda announce: None)
    monkeypatch.setattr(dispatch, "check_inputs", lambda *arguments: None)
    monkeypatch.setattr(datasets, "training_stages", lambda config, stages: stages)
    for room in ("stages", "experiments"):
        for path in (ROOT / room).glob("[a-z]*.py"):
            if "\ndef run(config" in path.read_text(encoding="utf-8"):
                install(f"{room}.{path.stem}")
    for name in ("demo", "bench"):
        install(name)
    monkeypatch.chdir(tmp_path)
    return types.SimpleNamespace(ran=ran, install=install)
