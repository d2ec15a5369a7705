"""Tests of pipelines.report.terminal.summary."""

import io
import json
import os
from types import SimpleNamespace

from rich.console import Console

from pipelines.report.terminal.summary import (
    print_closing_table,
    print_summary,
    read_summaries,
    summary_stamps,
    write_summary,
)


def recorded():
    return Console(file=io.StringIO(), width=100, _environ={})


def test_what_was_skipped_and_why_is_printed_and_stored(tmp_path):
    console = recorded()
    config = SimpleNamespace(work_dir=str(tmp_path))
    skipped = [("bad [1].mp4", "no video stream")]
    path = write_summary(config, "prepare", "73 videos", skipped, tmp_path / "clips", 65.2, console)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "stage": "prepare",
        "done": "73 videos",
        "skipped": [{"input": "bad [1].mp4", "reason": "no video stream"}],
        "output": (tmp_path / "clips").as_posix(),
        "seconds": 65.2,
    }
    text = console.file.getvalue()
    assert "73 videos" in text and "1 min 05 s" in text and "skipped 1:" in text
    assert "bad [1].mp4: no video stream" in text


def test_an_output_that_does_not_fit_the_line_gets_its_own():
    summary = {"stage": "prepare", "done": "73 videos", "skipped": [], "seconds": None, "output": "a" * 60}
    consoles = [Console(file=io.StringIO(), width=width, _environ={}) for width in (80, 120)]
    for console in consoles:
        print_summary(summary, console)
    assert [console.file.getvalue().count("\n") for console in consoles] == [2, 1]


def test_a_long_list_of_skipped_inputs_is_cut_on_the_terminal_only(tmp_path):
    console = recorded()
    config = SimpleNamespace(work_dir=str(tmp_path))
    path = write_summary(config, "prepare", "0 videos", [(f"{i}.mp4", "empty") for i in range(25)], console=console)
    assert "and 15 more" in console.file.getvalue()
    assert len(json.loads(path.read_text())["skipped"]) == 25


def test_only_the_summaries_of_this_run_are_read_oldest_first(tmp_path):
    config = SimpleNamespace(work_dir=str(tmp_path))
    for stage in ("extract", "export"):
        write_summary(config, stage, "done before", console=recorded())
    before = summary_stamps(config)
    for second, stage in enumerate(["prepare", "export"]):
        path = write_summary(config, stage, "done", console=recorded())
        os.utime(path, (100 + second, 100 + second))  # the clock of a network drive may be far behind
    assert [summary["stage"] for summary in read_summaries(config, before)] == ["prepare", "export"]
    assert len(read_summaries(config)) == 3
    assert read_summaries(SimpleNamespace(work_dir=str(tmp_path / "none"))) == []


def test_the_closing_table_has_one_row_a_stage(tmp_path):
    console = recorded()
    config = SimpleNamespace(work_dir=str(tmp_path))
    write_summary(config, "prepare", "73 videos", [("a", "b")], seconds=3, console=recorded())
    write_summary(config, "extract", "72 videos", console=recorded())
    print_closing_table(read_summaries(config), console)
    lines = [line.split() for line in console.file.getvalue().splitlines() if "videos" in line]
    assert lines == [["prepare", "73", "videos", "1", "3.0", "s"], ["extract", "72", "videos", "0"]]


def test_a_name_that_is_no_text_is_shown_as_an_escape(tmp_path):
    config, skipped = SimpleNamespace(work_dir=str(tmp_path)), [("caf\udce9\x1b.mp4", "bad\nvery bad")]
    path = write_summary(config, "score", "1 video", skipped, console=recorded())
    (entry,) = json.loads(path.read_text(encoding="utf-8"))["skipped"]
    assert entry == {"input": r"caf\udce9\x1b.mp4", "reason": r"bad\nvery bad"}
