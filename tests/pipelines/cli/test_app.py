"""Tests of pipelines.cli.app."""

import json
import subprocess
import sys
import types

import pytest

from pipelines.cli import app, main
from pipelines.cli.app import ABOVE_STAGES, EXPERIMENTS, FEATURE_STAGES, TRAIN_STAGES
from pipelines.config import UserError
from pipelines.report.terminal.summary import write_summary

ALL = (
    "prepare",
    "train-extractor",
    "extract",
    "import-features",
    "train-detector",
    "evaluate",
    "repeat",
    "report",
    "export",
    "score",
    "train",
    "demo",
    "bench",
    "datasets",
)


@pytest.fixture
def stages(monkeypatch, tmp_path):
    """Replaces every stage by one that only notes that it ran, in a fresh current folder."""
    ran = []

    def install(name, run=None):
        package = "pipelines.experiments" if name in EXPERIMENTS else "pipelines.stages"
        module = types.ModuleType(f"pipelines.{name}" if name in ABOVE_STAGES else f"{package}.{name}")

        def note(config, *arguments):
            ran.append((name, config, *arguments))
            if run:
                return run(config)
            return write_summary(config, name, done=f"{name} was here", seconds=1.0)

        module.run = note
        monkeypatch.setitem(sys.modules, module.__name__, module)

    monkeypatch.setattr(app, "load_tensorflow_quietly", lambda: None)
    for name in (*TRAIN_STAGES, "import_features", "score", *EXPERIMENTS, *ABOVE_STAGES):
        install(name)
    monkeypatch.chdir(tmp_path)
    return types.SimpleNamespace(ran=ran, install=install)


def test_help_names_every_command_and_loads_no_framework():
    code = (
        "import sys; from pipelines.cli import main; main(['--help']); "
        "heavy = ('tensorflow', 'keras', 'jax', 'torch', 'av', 'matplotlib', 'numpy'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    for name in ALL:
        assert f" {name} " in result.stdout
    assert result.stdout.rstrip().endswith("[]"), result.stdout.rstrip().splitlines()[-1]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", [[], *[[name] for name in ALL]], ids=lambda command: " ".join(command) or "vad")
def test_help_fits_the_terminal(command, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([*command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert "Usage: vad" in "".join(lines)


def test_train_runs_the_stages_in_order_and_ends_with_a_table(stages, capsys):
    assert main(["train", "--set", "work_dir=run"]) == 0
    assert [name for name, _ in stages.ran] == list(TRAIN_STAGES)
    closing = capsys.readouterr().out.split("skipped")[-1]
    assert [line.split()[0] for line in closing.splitlines() if "was here" in line] == list(TRAIN_STAGES)


def test_train_on_features_begins_with_their_import(stages):
    assert main(["train", "--set", "features.root=somewhere"]) == 0
    assert [name for name, _ in stages.ran] == list(FEATURE_STAGES)
    assert FEATURE_STAGES == ("import_features", "train_detector", "evaluate", "export")


@pytest.mark.parametrize("name", ["train-extractor", "train_extractor"])
def test_hyphen_and_underscore_are_the_same(name, stages):
    assert main([name]) == 0
    assert stages.ran[0][0] == "train_extractor"


def test_the_effective_configuration_reaches_the_stage_and_the_disk(stages, tmp_path):
    assert (
        main(["repeat", "--set", "work_dir=run", "--folds", "5", "--seeds", "3", "--set", "detector.key_dim=8"]) == 0
    )
    name, config = stages.ran[0]
    assert name == "repeats"
    assert (config.repeat.folds, config.repeat.seeds, config.detector.key_dim) == (5, 3, 8)
    assert json.loads((tmp_path / "run/config.json").read_text())["repeat"]["folds"] == 5


def test_score_takes_videos_model_and_output_and_changes_no_run(stages, tmp_path):
    assert main(["score", "a.mp4", "folder", "--model", "savedmodels/vad", "--output", "out"]) == 0
    score = stages.ran[0][1].score
    assert (score.inputs, score.model, score.output) == (("a.mp4", "folder"), "savedmodels/vad", "out")
    assert not list(tmp_path.rglob("config.json"))


def test_skipped_inputs_give_status_1_after_the_later_stages_have_run(stages):
    stages.install(
        "prepare", lambda config: write_summary(config, "prepare", "2 videos", skipped=[("bad.mp4", "empty")])
    )
    assert main(["train"]) == 1
    assert [name for name, _ in stages.ran][-1] == "export"


def test_what_an_earlier_run_skipped_does_not_count(stages):
    stages.install(
        "prepare", lambda config: write_summary(config, "prepare", "2 videos", skipped=[("bad.mp4", "empty")])
    )
    assert main(["prepare"]) == 1
    assert main(["extract"]) == 0


def test_what_the_user_can_mend_is_one_line_and_status_2(stages, capsys):
    def run(config):
        raise UserError("no videos under [videos]. Set data.root.")

    stages.install("prepare", run)
    assert main(["train"]) == 2
    assert capsys.readouterr().err == "error: no videos under [videos]. Set data.root.\n"
    assert len(stages.ran) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'? See `vad --help`."),
        (["prepare", "--confg", "x"], "--config"),
        (["repeat", "--folds", "-1"], "greater than or equal to 0. See `vad repeat --help`."),
        (["prepare", "--set", "detector.keydim=1"], "Did you mean `detector.key_dim`?"),
        (["prepare", "--config", "nowhere.toml"], "no configuration file at nowhere.toml."),
    ],
)
def test_a_typo_is_answered_in_one_line(arguments, expected, stages, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and expected in error and error.count("\n") == 1
    assert not stages.ran


def test_a_second_command_keeps_out_of_a_folder_in_use_unless_it_only_scores(stages, capsys):
    same, other = ["--set", "work_dir=runs/x"], ["--set", "work_dir=runs/y"]
    second = []

    def run(config):
        second.append(main(["compare", *same]))
        assert "is using runs/x. Wait for it to finish" in capsys.readouterr().err
        second.append(main(["score", "a.mp4", "--model", "m", *same]))
        second.append(main(["compare", *other]))
        return write_summary(config, "prepare", done="prepared", seconds=1.0)

    stages.install("prepare", run)
    assert main(["prepare", *same]) == 0
    assert second == [2, 0, 0] and [name for name, _ in stages.ran] == ["prepare", "score", "compare"]
    assert main(["compare", *same]) == 0


def test_ctrl_c_ends_with_one_line_and_status_130(stages, capsys):
    def run(config):
        raise KeyboardInterrupt

    stages.install("extract", run)
    assert main(["extract"]) == 130
    assert capsys.readouterr().err.strip() == "stopped: run the same command again to go on from here"


def test_a_mistake_in_the_program_keeps_its_traceback(stages):
    def run(config):
        raise ZeroDivisionError

    stages.install("extract", run)
    with pytest.raises(ZeroDivisionError):
        main(["extract"])


def test_the_module_is_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "pipelines", "--version"], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0 and result.stdout.startswith("vad ")


def test_finished_runs_are_put_side_by_side_and_no_run_is_modified(stages, tmp_path):
    assert main(["report", "runs/a", "runs/b", "--set", "seed=3", "runs/c"]) == 0
    ((name, config, runs),) = stages.ran
    assert name == "aggregate" and runs == ["runs/a", "runs/b", "runs/c"] and config.seed == 3
    assert not (tmp_path / "runs" / "default" / "config.json").exists()
