"""Tests of pipelines.report.terminal.tables."""

import io
import statistics

import pytest
from rich.console import Console

from pipelines.report.terminal.tables import format_mean_sd, markdown_table, print_table

ROWS = [{"model": "ours", "auc": [0.61, 0.65, 0.66], "videos": 1542}, {"model": "a|b", "auc": 0.5}]
COLUMNS = {"model": "Model", "auc": "Frame AUC", "videos": "Videos"}


def test_mean_and_sample_standard_deviation_over_runs():
    values = [0.61, 0.65, 0.66]
    expected = f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"
    assert format_mean_sd(values, decimals=4) == expected


@pytest.mark.parametrize(
    ("values", "text"), [([0.5], "0.500"), ([], "–"), ([None, 0.5], "0.500"), (float("nan"), "–"), (None, "–")]
)
def test_one_run_has_no_deviation_and_none_has_no_mean(values, text):
    assert format_mean_sd(values) == text


def test_markdown_lines_up_and_escapes():
    assert markdown_table(ROWS, COLUMNS).splitlines() == [
        "| Model |     Frame AUC | Videos |",
        "| :---- | ------------: | -----: |",
        "| ours  | 0.640 ± 0.026 |  1,542 |",
        "| a\\|b  |         0.500 |      – |",
    ]


def test_columns_are_named_by_their_keys_when_no_heading_is_given():
    assert markdown_table(ROWS, ["model"]).splitlines()[0] == "| model |"


def test_the_terminal_shows_the_same_cells():
    console = Console(file=io.StringIO(), width=80, _environ={})
    print_table(ROWS, COLUMNS, title="Results [test]", console=console)
    text = console.file.getvalue()
    for cell in ("Results [test]", "Frame AUC", "0.640 ± 0.026", "1,542", "a|b", "–"):
        assert cell in text


def test_a_long_title_is_not_wrapped_to_the_width_of_a_narrow_table():
    console = Console(file=io.StringIO(), width=80, _environ={})
    print_table([{"n": 1}], ["n"], title="Dry run of runs/my_cameras: nothing is written.", console=console)
    assert console.file.getvalue().splitlines()[0] == "Dry run of runs/my_cameras: nothing is written."
