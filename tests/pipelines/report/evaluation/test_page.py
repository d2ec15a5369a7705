"""Tests of pipelines.report.evaluation.page."""

import io
import re
from html import unescape

import pytest
from rich.console import Console

from pipelines.report.evaluation.measures import measure
from pipelines.report.evaluation.page import html_page, markdown_page, print_report

ORIGIN = {
    "data": "videos",
    "split": "own",
    "seed": [0, 1],
    "commit": "abc",
    "command": "vad evaluate",
    "config": {"a": 1},
}


def content_of(systems, **changes):
    settings = {"threshold": 0.5, "smoothing_sec": 1.0} | changes
    return {"title": "Five videos", "origin": ORIGIN} | measure(systems, **settings)


def printed(content, width):
    text = io.StringIO()
    print_report(content, Console(file=text, width=width))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [120, 80])
def test_the_terminal_table_fits(make_videos, width):
    names = ("full model", "Sultani et al.", "anomaly_detector, temporal_localities=[1, 2], contrast_weight=0.0")
    systems = {name: [make_videos(10 * n + seed) for seed in (0, 1)] for n, name in enumerate(names)}
    content = content_of(systems)
    content["systems"]["full model"]["facts"] = {"parameters": 1234567, "training (s)": 3.5}
    lines = printed(content, width)
    assert max(map(len, lines)) <= width and not any("…" in line for line in lines)
    joined = " ".join(lines)
    for text in ("n.s.", "Difference to full model", "1,234,567", "Five videos: 3 systems"):
        assert text in joined, text
    if width == 120:
        assert any(line.split()[:2] == ["full", "model"] and line.count("±") == 5 for line in lines)


def test_one_system_prints_all_metrics(make_videos):
    lines = printed(content_of({"ours": [make_videos()]}), 80)
    assert lines[0].strip() == "Five videos: ours"
    assert any("recall at 5 % FPR" in line for line in lines)
    assert not any("Difference" in line for line in lines)


def test_the_page_has_every_section_and_its_provenance(make_videos):
    page = markdown_page(content_of({"a": [make_videos(0)], "b": [make_videos(1)]}), [("curves.png", "curves")])
    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "Metrics",
        "Difference to a",
        "Events",
        "Metrics per class",
        "With and without smoothing",
        "Definitions",
        "Provenance",
    ]
    for fact in (
        "abc",
        "vad evaluate",
        "own",
        "12 test videos, 6 of them abnormal",
        "jackknife",
        "not corrected for the number of comparisons",
        "n.s.: not significant, the 95 % interval includes 0",
        "![curves](curves.png)",
    ):
        assert fact in page, fact
    assert "'a': 1" not in page  # the configuration is in metrics.json


def test_a_page_of_one_system_without_classes_or_smoothing_leaves_their_sections_out(make_videos):
    page = markdown_page(content_of({"a": [make_videos(classes=("",))]}, smoothing_sec=0))
    absent = ("## Difference", "## Metrics per", "## With and", "corrected", "n.s.")
    assert not any(text in page for text in absent)
    unknown = {"video_id": "x", "label": 1, "scores": [0.5], "fps": 1.0}
    page = markdown_page(content_of({"a": [[*make_videos(), unknown]]}))
    assert "Abnormal videos without frame labels: 1; they count in the video AUC only." in page


def test_the_html_page_shows_the_texts_and_tables_of_the_markdown_page_escaped(make_videos, tmp_path):
    systems = {"full <b>model</b>": [make_videos(0), make_videos(1)], 'rival "x" & y': [make_videos(2)]}
    content = content_of(systems) | {"title": "<script>alert(1)</script>"}
    html, markdown = html_page(content, tmp_path), markdown_page(content)
    assert "<b>model" not in html and "<script>alert" not in html
    cells = [cell.strip() for line in markdown.splitlines() if line.startswith("| ") for cell in line.split("|")[1:-1]]
    shown = {unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", html)}
    assert len(cells) > 100 and {cell for cell in cells if not set(cell) <= set(":-")} <= shown
    headings = re.findall(r"^## (.+)$", markdown, re.M)
    assert [unescape(heading) for heading in re.findall(r"<h2>(.+?)</h2>", html)] == headings
