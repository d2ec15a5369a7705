"""Tests of pipelines.cli: the entry point, without the packages of the extras too."""

import subprocess
import sys

import pytest

import pipelines.cli
import pipelines.cli.app
from pipelines.cli import main


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_extra_one_line_says_how_to_install_it(package):
    code = f"import sys; sys.modules[{package!r}] = None; from pipelines.cli import main; sys.exit(main(['--help']))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: `vad` needs the extra `pipelines` ({package} is not installed): pip install 'vad-keras[pipelines]'\n"
    )


def test_a_backend_that_is_missing_names_its_own_extra(monkeypatch, capsys):
    def without_torch(arguments):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(pipelines.cli.app, "main", without_torch)
    assert main([]) == 2
    assert capsys.readouterr().err.endswith("pip install 'vad-keras[torch]'\n")


@pytest.mark.parametrize("name", ["pipelines.cli.nowhere", "vad_keras.nowhere", "json.nowhere", None])
def test_a_module_of_this_project_that_is_missing_is_a_bug(name, monkeypatch, capsys):
    def broken(arguments):
        raise ModuleNotFoundError("No module", name=name)

    monkeypatch.setattr(pipelines.cli.app, "main", broken)
    assert main([]) == 4
    assert capsys.readouterr().err.endswith("ModuleNotFoundError: No module\n")


@pytest.mark.parametrize(
    ("words", "restarted"), [(["train", "--help"], True), (["train-extractor", "--help"], True), (["--help"], False)]
)
def test_a_command_that_trains_is_restarted_after_a_crash(words, restarted, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(pipelines.cli, "restart_after_crash", lambda command: calls.append(command) or command())
    monkeypatch.setattr(sys, "argv", ["vad", *words])
    assert main() == 0
    assert bool(calls) == restarted and "Usage: vad" in capsys.readouterr().out
