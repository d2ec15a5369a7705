"""Tests of pipelines.cli: the entry point, without the packages of the extras too."""

import importlib.abc
import sys

import pytest

from pipelines.cli import main


class Missing(importlib.abc.MetaPathFinder):
    """Finds no package of this name."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def without(monkeypatch, package):
    """As if a package was not installed and the command not imported yet."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package or name == "pipelines.cli.app"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(package), *sys.meta_path])


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_extra_one_line_says_how_to_install_it(package, monkeypatch, capsys):
    without(monkeypatch, package)
    assert main(["--help"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"error: `vad` needs the extra `pipelines` ({package} is not installed): pip install 'vad-keras[pipelines]'\n"
    )


def test_a_backend_that_is_missing_names_its_own_extra(monkeypatch, capsys):
    from pipelines.cli import app

    def without_torch(arguments):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(app, "main", without_torch)
    assert main([]) == 2
    assert capsys.readouterr().err.endswith("pip install 'vad-keras[torch]'\n")


@pytest.mark.parametrize("name", ["pipelines.cli.nowhere", "vad_keras.nowhere", "json.nowhere", None])
def test_a_module_of_this_project_that_is_missing_is_a_bug_and_raises(name, monkeypatch):
    from pipelines.cli import app

    def broken(arguments):
        raise ModuleNotFoundError("No module", name=name)

    monkeypatch.setattr(app, "main", broken)
    with pytest.raises(ModuleNotFoundError):
        main([])
