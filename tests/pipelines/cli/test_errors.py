"""Tests of pipelines.cli.errors, through the command."""

import errno
import os
import subprocess
import sys

import pytest

from pipelines.cli import main
from pipelines.cli.errors import print_error, report_error
from pipelines.run.failures import MachineError


def test_an_error_is_one_line_and_brackets_are_kept(capsys):
    print_error("no videos under [videos]. " + "x" * 200)
    assert capsys.readouterr().err == f"error: no videos under [videos]. {'x' * 200}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "no such command 'trian'. Did you mean 'train'? See `vad --help`."),
        (["train", "--confg", "x"], "no such option --confg. Did you mean --config? See `vad train --help`."),
        (["repeat", "--folds", "-1"], "greater than or equal to 0. See `vad repeat --help`."),
        (["report"], "missing argument 'RUN'. See `vad report --help`."),
        (["prepare", "--set", "detector.keydim=1"], "Did you mean `detector.key_dim`?"),
        (["prepare", "--config", "nowhere.toml"], "no configuration file at nowhere.toml."),
        (["compare", "rtmf"], "unknown rival `rtmf`. Did you mean `rtfm`?"),
        (["ablate", "cuasal"], "unknown ablation `cuasal`. Did you mean `causal`?"),
        (["evaluate", "--folds", "5"], "`vad evaluate --folds` is now `vad repeat --folds N`."),
        (["evaluate", "--seeds", "5"], "`vad evaluate --seeds` is now `vad repeat --seeds N`."),
        (["evaluate", "--jobs", "2"], "`vad evaluate --jobs` is now `vad repeat --jobs N`."),
        (["evaluate", "--runs", "a", "b"], "`vad evaluate --runs` is now `vad report RUN ...`."),
    ],
)
def test_a_mistake_is_answered_in_one_line_and_leaves_nothing_behind(arguments, expected, stages, capsys, tmp_path):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and expected in error and error.count("\n") == 1
    assert not stages.ran and not list(tmp_path.iterdir())


def test_a_failure_of_the_machine_is_one_line_with_a_status_of_its_own(stages, capsys):
    failures = {
        OSError(errno.ENOSPC, "No space left on device", "runs/x"): "no space is left on the disk to write runs/x.",
        OSError(errno.EROFS, "Read-only file system", "runs/x"): "runs/x cannot be used: the file system is read-only.",
        FileNotFoundError(errno.ENOENT, "gone", "labels.csv"): "labels.csv does not exist (any more). Put it back",
        MemoryError(): "out of memory. Close other programs or lower a setting",
        MachineError("a worker process was killed."): "a worker process was killed.",
    }
    for failure, expected in failures.items():

        def run(config, failure=failure):
            raise failure

        stages.install("stages.prepare", run)
        assert main(["train"]) == 3
        error = capsys.readouterr().err
        assert error.startswith(f"error: {expected}") and error.count("\n") == 1
    assert len(stages.ran) == len(failures)


def test_the_help_lists_every_exit_status(capsys):
    main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for status in ("0 done;", "1 done, but inputs were", "2 user error", "3 the machine failed", "4 bug", "130 int"):
        assert status in text


def test_an_output_that_nobody_reads_is_no_skipped_input(capsys):
    assert report_error(SystemExit(1)) == 3  # as Rich ends a program whose pipe was closed
    assert "the output was closed" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_an_output_that_cannot_be_written_has_the_status_of_the_machine():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "pipelines", "--help"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert result.returncode == 3 and "no space is left" in result.stderr
