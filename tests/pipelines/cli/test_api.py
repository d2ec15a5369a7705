"""Tests of pipelines.cli.api: the functions for programs and notebooks."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import pipelines
from pipelines.cli import EXIT_INTERRUPTED, EXIT_SKIPPED
from pipelines.cli import app as commands
from pipelines.cli.api import TrainedRun
from pipelines.config import UserError, load_config
from pipelines.report.evaluation.report import write_report
from pipelines.report.plots.canvas import new_figure, save_figure
from pipelines.run.folder import RunFolder
from tests.videos import write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a video of each label."""
    folder = tmp_path_factory.mktemp("own") / "door <1>"
    for name in ("a", "b"):
        write_video(folder / f"{name}.mp4", num_frames=12)
    (folder / "labels.csv").write_text("file,label\na.mp4,0\nb.mp4,1\n")
    return folder


@pytest.fixture
def evaluated(tmp_path):
    """A run whose evaluation is written."""
    run = RunFolder(tmp_path / "runs" / "<own>")
    frames = np.arange(6)
    videos = [
        {"video_id": name, "label": label, "class_name": "", "fps": 10.0, "frame_labels": label * (frames > 3)}
        | {"scores": np.where(frames > 3, 0.1 + 0.8 * label, 0.2)}
        for name, label in (("a,1", 0), ("b", 1))
    ]
    write_report(run.evaluation, {"anomaly_detector": [videos]}, "Own", {"seed": 0}, threshold=0.5, images=False)
    save_figure(new_figure(1, 1), run.evaluation / "curves.png")
    return TrainedRun(load_config(overrides=[f"work_dir={run.path}"]))


def test_the_functions_are_names_of_the_package_and_load_nothing_before_their_use():
    heavy = "numpy", "av", "keras"
    code = f"import sys, pipelines; print(dir(pipelines)); print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    names, loaded = result.stdout.splitlines()
    assert "'score', 'score_videos', 'train'" in names and loaded == "[]"
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        pipelines.scores  # noqa: B018


def test_training_on_a_folder_takes_the_steps_of_the_commands(folder, tmp_path, monkeypatch):
    ran = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "run", lambda modules, config, **_: ran.append((modules, config)) or EXIT_SKIPPED)
    monkeypatch.setattr(commands.cli_datasets, "training_stages", lambda config, stages: stages)
    run = pipelines.train(folder, settings=["train_detector.epochs=3"])
    ((modules, config),) = ran
    assert modules == [f"stages.{stage}" for stage in commands.TRAIN]
    assert config.data.root == str(folder) and config.train_detector.epochs == 3
    assert run.config == config and not run.complete
    written = tmp_path / "door <1>.toml"
    before = written.stat().st_mtime_ns
    assert pipelines.train(folder).folder == run.folder and written.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="either a folder of videos or a configuration"):
        pipelines.train(folder, config="demo")
    monkeypatch.setattr(commands, "run", lambda *_, **__: EXIT_INTERRUPTED)
    with pytest.raises(KeyboardInterrupt):
        pipelines.train(folder)


def test_a_run_shows_its_metrics_videos_and_curves(evaluated):
    assert evaluated.metrics["frame_auc"] == 1.0
    text = evaluated._repr_html_()
    assert "&lt;own&gt;" in text and "<own>" not in text
    assert "<td>frame AUC</td><td>1.000</td>" in text and text.count("data:image/png") == 1
    assert isinstance(evaluated.plot(), Image.Image)
    pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    frame = evaluated.to_frame()
    assert list(frame["video"]) == ["a,1", "b"] and list(frame["max_score"]) == [0.2, 0.9]
    assert frame["frame_auc"].isna().tolist() == [True, False]


def test_a_run_without_test_videos_has_no_metrics(tmp_path):
    run = TrainedRun(load_config(overrides=[f"work_dir={tmp_path}"]))
    assert run.metrics == {} and "<table></table>" in run._repr_html_() and run.plot() is None
    with pytest.raises(UserError, match=r"has no test videos\. Mark some in the column `subset`"):
        run.to_frame()


def test_the_model_of_a_run_scores_a_video(exported, folder):
    run = RunFolder.of(exported.config)
    video = pipelines.score(folder / "a.mp4", model=run.path)
    assert len(video.scores) == 12
    np.testing.assert_array_equal(video.scores, pipelines.score(folder / "a.mp4", model=exported.folder).scores)
    np.testing.assert_array_equal(video.scores, TrainedRun(exported.config).score(folder / "a.mp4").scores)


def test_videos_and_folders_get_the_page_and_the_alarms_of_the_command(exported, folder, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    videos = TrainedRun(exported.config).score_videos(tmp_path, folder / "a.mp4")
    assert videos.folder == RunFolder.of(exported.config).scores
    assert not videos.complete and "broken.mp4" in videos.page.read_text()
    (alarm,) = videos.alarms
    assert alarm["video"].endswith("a.mp4") and alarm["end_frame"] == 12
    text = videos._repr_html_()
    assert "sandbox=" in text and "&lt;td" in text and "<td" not in text  # the page is an attribute of the frame
    with pytest.raises(UserError, match="nowhere does not exist"):
        pipelines.score_videos(tmp_path / "nowhere", model=exported.folder)
    pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    assert list(videos.to_frame()["max_score"]) == [alarm["max_score"]]


def test_scores_are_a_table_and_a_picture(exported, folder, tmp_path):
    video = pipelines.score(folder / "a.mp4", model=exported.folder, threshold=0.0)
    text = video._repr_html_()
    assert "12 frames" in text and "<td>0.0 to 1.2 s</td>" in text and "data:image/png" in text
    assert video.plot().axes
    pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    video.to_frame().to_csv(tmp_path / "scores.csv", index=False)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == video.scores.tolist()
    assert rows[1].keys() == {"time_sec", "score"} and float(rows[1]["time_sec"]) == pytest.approx(0.1)


def test_a_table_without_pandas_names_the_remedy(exported, folder, monkeypatch):
    video = pipelines.score(folder / "a.mp4", model=exported.folder)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"`to_frame` needs pandas\. Install it: pip install pandas"):
        video.to_frame()
