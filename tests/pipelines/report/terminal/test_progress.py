"""Tests of pipelines.report.terminal.progress."""

import io

import pytest
from rich.console import Console

from pipelines.report.terminal import progress
from pipelines.report.terminal.progress import track


def recorded(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, _environ={})


@pytest.mark.parametrize("terminal", [True, False])
def test_every_item_comes_out_once_and_in_order(terminal):
    assert list(track(range(5), "Counting", console=recorded(terminal))) == [0, 1, 2, 3, 4]


def test_a_terminal_sees_a_bar_with_count_and_rate():
    console = recorded(terminal=True)
    list(track(range(3), "Preparing", unit="videos", console=console))
    text = console.file.getvalue()
    assert "Preparing" in text and "3/3" in text and "videos/s" in text


def test_a_log_file_gets_plain_lines_with_rate_and_time_left(monkeypatch):
    monkeypatch.setattr(progress, "LOG_INTERVAL_SEC", 0.0)
    console = recorded(terminal=False)
    list(track(iter("abc"), "Preparing", total=3, console=console))
    lines = console.file.getvalue().splitlines()
    assert lines[0].startswith("Preparing: 1 of 3 videos, ") and lines[0].endswith(" left")
    assert lines[-1].startswith("Preparing: 3 videos in ")
    assert "\x1b" not in console.file.getvalue()
    list(track(iter("a"), "Scoring door.mp4", unit="snippets", console=console))
    assert "Scoring door.mp4: 1 snippet, " in console.file.getvalue()


def test_an_error_in_the_loop_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        for item in track([0], "Dividing", console=recorded(terminal=True)):
            1 / item
