"""Tests of pipelines.cli.dispatch, mostly through the command."""

import errno
import json
import sys

from pipelines.cli import dispatch, main
from pipelines.config import UserError, load_config
from pipelines.report.terminal.summary import write_summary
from pipelines.run.folder import RunFolder


def skip_one(config):
    return write_summary(config, "prepare", "2 videos", skipped=[("bad.mp4", "empty")])


def fail(config):
    raise UserError("no videos under [videos]. Set data.root.")


def test_several_modules_run_in_order_and_end_with_a_table(stages, capsys):
    assert dispatch.run(["stages.prepare", "experiments.compare"], load_config(), "more") == 0
    assert [(name, more) for name, _, more in stages.ran] == [("prepare", "more"), ("compare", "more")]
    closing = capsys.readouterr().out.split("skipped")[-1]
    assert [line.split()[0] for line in closing.splitlines() if "was here" in line] == ["prepare", "compare"]


def test_the_effective_configuration_reaches_the_module_and_the_disk(stages, tmp_path):
    config = load_config(overrides=["work_dir=run", "repeat.folds=5"])
    dispatch.run(["experiments.repeats"], config)
    assert stages.ran == [("repeats", config)]
    assert json.loads((tmp_path / "run/config.json").read_text())["repeat"]["folds"] == 5


def test_a_command_that_does_not_modify_the_run_takes_no_lock_and_writes_no_configuration(stages, tmp_path):
    stages.install("stages.score", lambda config: None)
    dispatch.run(["stages.score"], load_config(overrides=["work_dir=run"]), modifies_run=False)
    assert not (tmp_path / "run").exists()


def test_settings_of_trainings_are_checked_before_the_first_stage(stages, capsys, monkeypatch):
    def conflict(config):
        raise UserError("detector: settings contradict each other.")

    monkeypatch.setattr(sys.modules["pipelines.stages.train_detector"], "check_settings", conflict)
    assert main(["train"]) == 2 and not stages.ran
    assert "contradict" in capsys.readouterr().err
    assert main(["prepare"]) == 0 and main(["train-detector"]) == 0  # a single stage checks itself


def test_skipped_inputs_give_status_1_after_the_later_stages_have_run(stages):
    stages.install("stages.prepare", skip_one)
    assert main(["train"]) == 1
    assert [name for name, *_ in stages.ran][-1] == "export"


def test_what_an_earlier_run_skipped_does_not_count(stages):
    stages.install("stages.prepare", skip_one)
    assert main(["prepare"]) == 1
    assert main(["extract"]) == 0


def test_ctrl_c_ends_with_one_line_and_status_130(stages, capsys):
    def run(config):
        raise KeyboardInterrupt

    stages.install("stages.extract", run)
    assert main(["extract"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted: run the same command again to resume"


def test_a_bug_keeps_its_traceback_and_has_a_status_of_its_own(stages, capsys, tmp_path):
    def run(config):
        raise ZeroDivisionError

    stages.install("stages.extract", run)
    assert main(["extract"]) == 4
    error = capsys.readouterr().err
    assert error.startswith("Traceback") and "ZeroDivisionError" in error and not list(tmp_path.iterdir())


def test_a_failing_command_removes_what_it_left_empty_in_a_folder_that_was_there(stages, tmp_path):
    def run(config):
        (tmp_path / "run/state/deep").mkdir(parents=True)
        fail(config)

    (tmp_path / "run/clips").mkdir(parents=True)
    (tmp_path / "run/clips/one").write_text("a result")
    stages.install("stages.extract", run)
    assert main(["extract", "--set", "work_dir=run"]) == 2
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "clips", "config.json"]


def test_a_failure_without_a_file_names_the_run(stages, capsys):
    def run(config):
        raise OSError(errno.ENOSPC, "No space left on device")

    stages.install("stages.extract", run)
    assert main(["extract", "--set", "work_dir=runs/x"]) == 3
    assert "no space is left on the disk to write runs/x." in capsys.readouterr().err


def test_settings_that_cannot_be_written_leave_no_folder(stages, tmp_path, monkeypatch):
    def full(folder, config):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder.config))

    monkeypatch.setattr(RunFolder, "write_config", full)
    assert main(["extract", "--set", "work_dir=runs/of/x"]) == 3
    assert not stages.ran and not list(tmp_path.iterdir())


def test_a_second_command_keeps_out_of_a_folder_in_use_unless_it_only_reads(stages, capsys):
    same, other = ["--set", "work_dir=runs/x"], ["--set", "work_dir=runs/y"]
    second = []

    def run(config):
        second.append(main(["compare", *same]))
        assert "is using runs/x. Wait for it to finish" in capsys.readouterr().err
        second.append(main(["score", "a.mp4", "--model", "m", *same]))
        second.append(main(["report", "runs/z", *same]))
        second.append(main(["compare", *other]))
        return write_summary(config, "prepare", done="prepared", seconds=1.0)

    stages.install("stages.prepare", run)
    assert main(["prepare", *same]) == 0
    assert second == [2, 0, 0, 0]
    assert [name for name, *_ in stages.ran] == ["prepare", "score", "aggregate", "compare"]
    assert main(["compare", *same]) == 0


def test_a_failing_command_leaves_no_folder_behind(stages, tmp_path):
    stages.install("stages.extract", fail)
    assert main(["extract", "--set", "work_dir=runs/of/typo"]) == 2
    assert not list(tmp_path.iterdir())


def test_a_failing_command_keeps_a_folder_that_was_there_and_one_with_results(stages, tmp_path):
    def run(config):
        (tmp_path / "runs/new/clips").mkdir()
        (tmp_path / "runs/new/clips/one").write_text("a result")
        fail(config)

    stages.install("stages.extract", fail)
    (tmp_path / "runs/old").mkdir(parents=True)
    assert main(["extract", "--set", "work_dir=runs/old"]) == 2
    assert (tmp_path / "runs/old").is_dir()
    stages.install("stages.prepare", run)
    assert main(["prepare", "--set", "work_dir=runs/new"]) == 2
    assert (tmp_path / "runs/new/clips/one").is_file() and (tmp_path / "runs/new/config.json").is_file()


def test_a_failing_command_removes_empty_folders_but_not_links(stages, tmp_path):
    def run(config):
        (tmp_path / "run/state/deep").mkdir(parents=True)
        if link:
            (tmp_path / "run/nodes").symlink_to(tmp_path)
        fail(config)

    stages.install("stages.extract", run)
    link = False
    assert main(["extract", "--set", "work_dir=run"]) == 2 and not (tmp_path / "run").exists()
    link = True
    assert main(["extract", "--set", "work_dir=run"]) == 2 and (tmp_path / "run/nodes").is_symlink()


def test_tensorflow_is_loaded_only_for_what_needs_it(stages, monkeypatch):
    loaded = []
    monkeypatch.setattr(dispatch, "load_tensorflow_quietly", lambda announce: loaded.append(announce))
    for words, expected in (
        (["score", "a.mp4"], True),
        (["score", "a.mp4", "--server", "grpc://host:8500"], False),
        (["collect", "run"], False),
        (["prepare"], True),
    ):
        loaded.clear()
        assert main(words) == 0
        assert bool(loaded) is expected, words
