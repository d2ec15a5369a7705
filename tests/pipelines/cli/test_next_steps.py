"""Tests of pipelines.cli.next_steps."""

import shlex

from pipelines.cli import main
from pipelines.cli.next_steps import print_next_steps
from pipelines.config import load_config


def printed(capsys, *overrides, config_name=None):
    print_next_steps(load_config(overrides=overrides), config_name, overrides)
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_the_report_and_the_next_commands_are_named(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = ["view the training   vad tensorboard runs/default", "score videos        vad score VIDEO"]
    assert printed(capsys) == ["Next", *steps]  # without test videos there is no report
    report = tmp_path / "runs" / "default" / "evaluation" / "report.html"
    report.parent.mkdir(parents=True)
    report.touch()
    assert printed(capsys) == ["Next", "read the report     runs/default/evaluation/report.html", *steps]


def test_options_that_find_the_run_are_repeated_and_paths_quoted(capsys):
    given = ["work_dir=my runs/[a]", "export.name=door", "detector.key_dim=8"]
    lines = printed(capsys, *given, config_name="demo")
    assert "vad tensorboard 'my runs/[a]'" in lines[1]
    words = shlex.split(lines[2])
    assert words[2:] == ["vad", "score", "VIDEO", "--config", "demo", "--set", given[0]]


def test_a_model_of_imported_features_scores_no_video(capsys):
    assert not any("vad score" in line for line in printed(capsys, "features.root=features"))


def test_train_ends_with_them(stages, capsys):
    assert main(["train", "--set", "work_dir=run"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("vad score VIDEO --set work_dir=run")
    assert main(["prepare", "--set", "work_dir=run"]) == 0
    assert "vad score" not in capsys.readouterr().out
