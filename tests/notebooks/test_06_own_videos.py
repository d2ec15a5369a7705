"""notebooks/06_own_videos.ipynb goes from a folder and a list to scores, alarms and a page."""

import json
import re

import pytest


@pytest.fixture(scope="module")
def shown(run_on_tensorflow):
    return run_on_tensorflow("06_own_videos")


def test_it_trains_on_the_folder_and_shows_the_metrics_of_the_run(shown):
    assert (shown.folder / "my_videos.toml").read_text()[:400] in shown.text
    report = json.loads((shown.folder / "runs" / "my_videos" / "evaluation" / "metrics.json").read_text())
    auc = report["systems"]["anomaly_detector"]["metrics"]["frame_auc"]["mean"]
    assert f"<td>frame AUC</td><td>{auc:.3f}</td>" in shown.html


def test_a_new_video_has_its_scores_and_timeline(shown):
    assert re.search(r"<p>38 frames, highest score \d\.\d+, threshold 0\.5</p>", shown.html)
    assert "data:image/png" in shown.html


def test_the_page_of_all_videos_is_shown_and_on_the_disk(shown):
    page = (shown.folder / "my_scores" / "report.html").read_text()
    assert "normal_000" in page and "fight_001" in page
    assert "sandbox=" in shown.html and "my_scores/report.html: open it" in shown.html
