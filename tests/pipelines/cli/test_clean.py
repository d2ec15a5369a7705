"""Tests of pipelines.cli.clean, through the command."""

import pytest

from pipelines.cli import main
from pipelines.config import load_config
from pipelines.run.folder import RunFolder
from pipelines.run.lock import run_lock

FILES = ("maps/a.f16", "clips/clips-0", "nodes/nodes-0", "extractor.keras", "logs/events", "folds/f/extractor/nodes/n")


@pytest.fixture
def run(tmp_path):
    """A run with a file of 5 kB for each kind of content."""
    folder = tmp_path / "run"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 5000)
    RunFolder(folder).write_config(load_config())
    return folder


def left(run):
    return [name for name in FILES if (run / name).exists()]


def test_the_maps_are_removed_and_all_else_stays(run, capsys):
    assert main(["clean", str(run)]) == 0
    assert left(run) == list(FILES[1:]) and (run / "config.json").exists()
    text = capsys.readouterr().out
    assert f"removed {run}/maps, 8.2 kB  `vad train-extractor` makes it again" in text and "8.2 kB freed" in text
    assert main(["clean", str(run)]) == 0 and capsys.readouterr().out == "0 bytes freed\n"


def test_records_are_removed_on_demand(run):
    assert main(["clean", str(run), "--records"]) == 0
    assert left(run) == ["extractor.keras", "logs/events"]


def test_a_dry_run_removes_nothing(run, capsys):
    assert main(["clean", str(run), "--records", "--dry-run"]) == 0
    assert left(run) == list(FILES)
    text = capsys.readouterr().out
    assert text.count("would remove") == 4 and text.endswith("32.8 kB would be freed\n")


def test_what_a_killed_command_left_is_removed(run):
    (run / ".tmp-extractor.keras").write_bytes(b"half")
    assert main(["clean", str(run)]) == 0
    assert not (run / ".tmp-extractor.keras").exists()


def test_a_link_is_left_alone(run, tmp_path, capsys):
    shared = tmp_path / "shared"
    (run / "maps").rename(shared)
    (run / "maps").symlink_to(shared)
    assert main(["clean", str(run)]) == 0
    assert (shared / "a.f16").exists() and "maps: it is a link" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{}", "[]", "{", '{"work_dir": 1}'])
def test_a_folder_that_is_no_run_is_refused(run, capsys, content):
    (run / "config.json").unlink()
    if content is not None:
        (run / "config.json").write_text(content)
    before = sorted(run.rglob("*"))
    assert main(["clean", str(run)]) == 2
    assert "is no run: it holds no config.json of `vad`" in capsys.readouterr().err and sorted(run.rglob("*")) == before


def test_a_run_in_use_is_refused(run, capsys):
    with run_lock(run):
        assert main(["clean", str(run)]) == 2
    assert "is using" in capsys.readouterr().err and left(run) == list(FILES)
