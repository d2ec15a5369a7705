"""Tests of pipelines.cli.datasets, through the command."""

import subprocess
import sys

import pytest
from PIL import Image

from pipelines.cli import main
from pipelines.cli.app import TRAIN
from pipelines.cli.datasets import training_stages
from pipelines.config import load_config
from pipelines.data.datasets import DATASETS, dataset_module


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "file,label\n" + "".join(f"{name}.mp4,{i % 2}\n" for i, name in enumerate("abcdefgh"))
    )
    for name in "abcdefgh":
        Image.new("L", (16, 16)).save(tmp_path / f"{name}.mp4", "JPEG")  # a video of one frame
    return tmp_path


def test_each_dataset_is_listed_with_what_it_needs(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["datasets"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    words = " ".join(text.split())
    for name in DATASETS:
        about = dataset_module(name).ABOUT
        assert all(part in words for part in (name, about.title, about.videos, about.lists, about.source))
    assert "http" not in text and "measured by frame AP" in words


def test_a_complete_folder_ends_with_0(folder, capsys):
    assert main(["datasets", "check", "folder", "--root", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "no video is listed twice" in text and text.rstrip().endswith("complete")


def test_what_cannot_be_read_is_named_and_ends_with_1(folder, capsys):
    (folder / "c.mp4").write_bytes(b"no video")
    assert main(["datasets", "check", "folder", "--root", str(folder)]) == 1
    text = capsys.readouterr().out
    assert "✗ 1 video unreadable, skipped by vad prepare:" in text and "c.mp4: not a video, or cut off" in text
    assert "✗ 7 of 8 videos opened" in text and "not complete" in text


def test_videos_of_one_label_end_with_1(folder, capsys):
    (folder / "labels.csv").write_text("file,label\na.mp4,0\nb.mp4,0\n")
    assert main(["datasets", "check", "folder", "--root", str(folder)]) == 1
    assert "✗ training needs normal and abnormal videos. Received: 2 normal and 0 abnormal" in capsys.readouterr().out


@pytest.mark.parametrize("rows", ["a.mp4,0\nb.mp4,1\n", "a.mp4,0\nb.mp4,0\nc.mp4,0\n", "a.mp4,1\nb.mp4,1\nc.mp4,1\n"])
def test_what_cannot_be_trained_on_is_refused_before_anything_is_written(folder, rows, capsys, tmp_path):
    (folder / "labels.csv").write_text("file,label\n" + rows)
    assert main(["train", "--set", f"data.root={folder}", "--set", f"work_dir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: training needs normal and abnormal videos. Received: ") and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("subset", ["train", "test"])
def test_a_training_without_test_videos_leaves_the_evaluation_out(folder, subset, capsys):
    (folder / "labels.csv").write_text(f"file,label,subset\na.mp4,0,\nb.mp4,1,\nc.mp4,1,{subset}\n")
    options = ["train_extractor.validation_fraction=0", "train_detector.validation_fraction=0"]
    config = load_config(overrides=[f"data.root={folder}", *options])
    assert ("evaluate" in training_stages(config, TRAIN)) == (subset == "test")
    assert ("no test videos: vad evaluate is left out" in capsys.readouterr().err) == (subset == "train")


def test_what_is_missing_is_counted_and_named_and_ends_with_1(folder, capsys):
    for name in "abcdefg":
        (folder / f"{name}.mp4").unlink()
    assert main(["datasets", "check", "folder", "--root", str(folder)]) == 1
    text = capsys.readouterr().out
    assert f"7 videos missing under {folder}:" in text
    assert "e.mp4 (line 6 of labels.csv)" in text and "f.mp4" not in text and "and 2 more (--all lists them)" in text
    assert main(["datasets", "check", "folder", "--root", str(folder), "--all"]) == 1
    assert "g.mp4 (line 8 of labels.csv)" in capsys.readouterr().out


def test_official_counts_are_set_beside_those_found(tmp_path, shared_data, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lists = str(shared_data / "annotations" / "ucf_crime")
    assert main(["datasets", "check", "ucf_crime", "--root", str(tmp_path), "--annotations", lists]) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["train", "1,610", "0", "1,610"] in lines and ["Vandalism", "45", "0", "45"] in lines
    assert ["✗", "1,900", "videos", "missing", "under", f"{tmp_path}:"] in lines
    assert lines[-1][:4] == ["not", "complete:", "1,900", "videos"]


def test_a_list_that_is_missing_is_named_and_ends_with_1(tmp_path, capsys):
    assert main(["datasets", "check", "shanghaitech", "--root", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "✗ SH_Train.txt  not found" in text and "✗ SH_Test.txt  not found" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check", "ucf_crim", "--root", "."], "Received: `ucf_crim`. Did you mean `ucf_crime`?"),
        (["check", "ucf_crime"], "--root"),
        (["check", "ucf_crime", "--root", "no where"], "`data.root` is not a folder: no where."),
        (["check", "synthetic", "--root", "."], "nothing to check"),
        (["chek"], "no such command 'chek'. Did you mean 'check'? See `vad datasets --help`."),
    ],
)
def test_a_mistake_is_one_line_and_ends_with_2(arguments, expected, capsys):
    assert main(["datasets", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and expected in error and error.count("\n") == 1


def test_a_list_that_cannot_be_understood_ends_with_2(folder, capsys):
    (folder / "labels.csv").write_text("file,label\na.mp4,perhaps\n")
    assert main(["datasets", "check", "folder", "--root", str(folder)]) == 2
    assert "labels.csv, line 2: `label` must be" in capsys.readouterr().err


def test_the_list_loads_no_tensorflow():
    code = "import sys; from pipelines.cli import main; main(['datasets']); print('tensorflow' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout.rstrip().endswith("False")
