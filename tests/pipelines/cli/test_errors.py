"""Tests of pipelines.cli.errors, through the command."""

import pytest

from pipelines.cli import main
from pipelines.cli.errors import print_error


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
