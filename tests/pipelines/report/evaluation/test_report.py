"""Tests of pipelines.report.evaluation.report."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pipelines.report.evaluation.measures import METRICS
from pipelines.report.evaluation.report import VIDEO_COLUMNS, write_report

ORIGIN = {"data": "videos", "split": "own", "seed": 0, "commit": "abc", "command": "vad evaluate", "config": {"a": 1}}
SETTINGS = {"threshold": 0.5}


def report(folder, systems, **options):
    console = Console(file=io.StringIO(), width=120)
    return write_report(folder, systems, "Five videos", ORIGIN, **SETTINGS, console=console, **options)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_metric_of_every_seed_and_the_provenance_are_in_the_file(tmp_path, make_videos):
    systems = {"ours": [make_videos(0), make_videos(1)], "rival": [make_videos(2)]}
    content = report(tmp_path, systems, facts={"rival": {"parameters": 12}})
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["origin"] == ORIGIN and stored["title"] == "Five videos"
    for name, seeds in systems.items():
        metrics = stored["systems"][name]["metrics"]
        assert set(metrics) == set(METRICS)
        assert all(len(entry["seeds"]) == len(seeds) and entry["mean"] is not None for entry in metrics.values())
    assert stored["systems"]["rival"]["metrics"]["frame_auc"]["sd"] is None  # not defined for one seed
    assert np.isnan(content["systems"]["rival"]["metrics"]["frame_auc"]["sd"])
    assert stored["systems"]["rival"]["facts"] == {"parameters": 12}
    assert stored["differences"]["rival"]["frame_auc"]["significant"] in (True, False)
    assert stored["videos"]["v03"]["frame_labels"][0][0] == 5


def test_the_table_of_videos_has_one_line_per_system_and_video(tmp_path, make_videos):
    seeds = [make_videos(0), make_videos(1)]
    report(tmp_path, {"ours": seeds, "rival": [make_videos(2)]}, images=False)
    rows = rows_of(tmp_path / "videos.csv")
    assert tuple(rows[0]) == VIDEO_COLUMNS and [row["system"] for row in rows] == ["ours"] * 12 + ["rival"] * 12
    row, videos = rows[3], [of_seed[3] for of_seed in seeds]
    assert (row["video"], row["label"], row["class"]) == ("v03", "1", "Fight")
    assert int(row["num_frames"]) == videos[0]["scores"].size
    assert int(row["num_abnormal_frames"]) == videos[0]["frame_labels"].sum()
    assert float(row["max_score"]) == pytest.approx(np.mean([video["scores"].max() for video in videos]), abs=1e-4)
    assert rows[2]["frame_auc"] == "" and 0 <= float(row["frame_auc"]) <= 1


def test_figures_are_plotted_and_shown_in_the_report(tmp_path, make_videos):
    systems = {"ours": [make_videos(0), make_videos(1)], "rival": [make_videos(2)]}
    Image.new("RGB", (30, 20), "red").save(tmp_path / "timelines.png")
    report(tmp_path, systems, more_figures=[("timelines.png", "Scores over time")])
    page = (tmp_path / "report.md").read_text()
    for name in ("curves.png", "classes.png"):
        assert np.asarray(Image.open(tmp_path / name).convert("RGB")).std() > 5
        assert f"]({name})" in page
    assert "![Scores over time](timelines.png)" in page
    html = (tmp_path / "report.html").read_text()
    assert html.count('<img src="data:image/webp;base64,') == 3 and 'alt="Scores over time"' in html


def test_figures_that_the_labels_do_not_allow_are_left_out_and_old_ones_removed(tmp_path, make_videos):
    report(tmp_path, {"ours": [make_videos()]})
    bare = [video | {"frame_labels": None, "class_name": ""} for video in make_videos()]
    report(tmp_path, {"ours": [bare]})
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "report.html", "report.md", "videos.csv"}
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["systems"]["ours"]["metrics"]["frame_auc"]["mean"] is None
    assert stored["systems"]["ours"]["metrics"]["video_auc"]["mean"] is not None


def test_the_order_of_the_videos_changes_no_byte(tmp_path, make_videos):
    report(tmp_path / "one", {"ours": [make_videos()]})
    report(tmp_path / "other", {"ours": [make_videos()[::-1]]})
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_facts_of_a_system_that_is_not_there_are_refused(tmp_path, make_videos):
    with pytest.raises(ValueError, match=r"of the systems \['ours'\]\. Received also: \['theirs'\]"):
        report(tmp_path, {"ours": [make_videos()]}, facts={"theirs": {"parameters": 1}})
