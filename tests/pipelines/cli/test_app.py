"""Tests of pipelines.cli.app."""

import itertools
import re
import subprocess
import sys

import pytest
import typer

from pipelines.cli import main
from pipelines.cli.app import TRAIN, TRAIN_ON_FEATURES, app
from pipelines.config import UserError

NAMES = sorted(typer.main.get_command(app).commands)
WITHOUT_MODULE = ("clean", "config", "datasets", "doctor", "tensorboard")


def test_help_names_every_command_and_loads_no_framework():
    code = (
        "import sys; from pipelines.cli import main; main(['--help']); "
        "heavy = ('tensorflow', 'keras', 'jax', 'torch', 'av', 'matplotlib', 'numpy'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    for name in NAMES:
        assert f" {name} " in result.stdout
    assert result.stdout.rstrip().endswith("[]"), result.stdout.rstrip().splitlines()[-1]


def test_vad_alone_prints_the_help_and_ends_with_0(capsys):
    assert main([]) == 0
    alone = capsys.readouterr()
    assert main(["--help"]) == 0
    assert alone.out == capsys.readouterr().out and "Usage: vad" in alone.out and not alone.err


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", [[], *[[name] for name in NAMES]], ids=lambda command: " ".join(command) or "vad")
def test_help_fits_the_terminal(command, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([*command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert "Usage: vad" in "".join(lines)
    typed = [line for line in lines if "<bool>" in line]  # a flag of ours shows no type
    assert not [line for line in typed if not re.search(r"--(help|(install|show)-completion) ", line)]
    text = lines[: next(i for i, line in enumerate(lines) if line.startswith("╭"))]
    for line, following in itertools.pairwise(text):  # a paragraph fills its lines
        assert not (line.strip() and following.strip()) or len(f"{line.rstrip()} {following.split()[0]}") >= width


def test_the_list_of_commands_has_one_line_for_each(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    panels = [line for line in lines if line.startswith("│ ") and not line.startswith("│ -")]
    commands = [line.split()[1] for line in panels if not line.startswith("│   ")]
    assert sorted(commands) == NAMES
    assert all("…" not in line for line in panels)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_MODULE])
def test_every_command_runs_its_module(name, stages):
    required = {"report": ["runs/a"], "collect": ["runs/a"]}
    assert main([name, *required.get(name, [])]) == 0
    modules = {"train": list(TRAIN), "repeat": ["repeats"], "report": ["aggregate"]}
    assert [ran for ran, *_ in stages.ran] == modules.get(name, [name.replace("-", "_")])


def test_train_on_features_begins_with_their_import(stages):
    assert main(["train", "--set", "features.root=somewhere"]) == 0
    assert [name for name, _ in stages.ran] == list(TRAIN_ON_FEATURES)
    assert TRAIN_ON_FEATURES == ("import_features", "train_detector", "evaluate", "export")


def test_hyphen_and_underscore_are_the_same(stages):
    assert main(["train_extractor"]) == 0
    assert stages.ran[0][0] == "train_extractor"


@pytest.mark.parametrize("name", ["repeat", "compare", "ablate"])
def test_options_say_how_often_training_is_repeated(name, stages):
    given = ["--folds", "5", "--seeds", "3", "--jobs", "2", "--set", "detector.key_dim=8"]
    assert main([name, *given]) == 0
    config = stages.ran[0][1]
    assert (config.repeat.folds, config.repeat.seeds, config.repeat.jobs, config.detector.key_dim) == (5, 3, 2, 8)


def test_score_takes_videos_model_and_output_and_changes_no_run(stages, tmp_path):
    assert main(["score", "a.mp4", "folder", "--model", "savedmodels/vad", "--output", "out"]) == 0
    score = stages.ran[0][1].score
    assert (score.inputs, score.model, score.output) == (("a.mp4", "folder"), "savedmodels/vad", "out")
    assert not list(tmp_path.rglob("config.json"))


def test_report_takes_runs_and_changes_no_run(stages, tmp_path):
    assert main(["report", "runs/a", "runs/b", "--set", "seed=3", "--without-class", "Arson", "runs/c"]) == 0
    ((name, config, runs, without),) = stages.ran
    assert name == "aggregate" and runs == ["runs/a", "runs/b", "runs/c"] and config.seed == 3 and without == ["Arson"]
    assert not (tmp_path / "runs" / "default" / "config.json").exists()


@pytest.mark.parametrize(("name", "key", "given"), [("compare", "rivals", "rtfm"), ("ablate", "rows", "causal")])
def test_systems_are_named_on_the_command_line(name, key, given, stages):
    assert main([name, given]) == 0
    assert getattr(getattr(stages.ran[0][1], name), key) == (given,)


def test_a_user_error_is_one_line_and_status_2(stages, capsys):
    def run(config):
        raise UserError("no videos under [videos]. Set data.root.")

    stages.install("stages.prepare", run)
    assert main(["train"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: no videos under [videos]. Set data.root.\n" and "Next" not in captured.out
    assert len(stages.ran) == 1


def test_the_module_is_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "pipelines", "--version"], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0 and result.stdout.startswith("vad ")
