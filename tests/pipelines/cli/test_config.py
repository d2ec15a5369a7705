"""Tests of pipelines.cli.config, through the command."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.cli.options import BUNDLED_CONFIGS
from pipelines.config import all_settings, load_config
from tests.videos import write_video


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def my_videos(here):
    for name, (width, height, rate) in {"a": (64, 48, 10), "b": (32, 32, 25)}.items():
        path = here / "my_videos" / "day 1" / f"{name}.mp4"
        write_video(path, num_frames=50, fps=rate, size=(width, height))
    return here / "my_videos"


@pytest.mark.parametrize("width", [80, 120])
def test_every_setting_is_printed_and_fits_the_terminal(width, here, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    names = [setting.name for setting in all_settings().values()]
    assert [line.split()[0] for line in lines if line.split(" ")[0] in names] == names
    assert lines[-1] == "All values are the defaults."


def test_what_differs_from_the_default_is_marked_and_tells_its_default(here, capsys):
    assert main(["config", "data", "--config", "ucf_crime_subset", "--set", "data.clip_frames=4"]) == 0
    text = capsys.readouterr().out
    lines = {line.split()[0]: line for line in text.splitlines() if line and line[0].isalpha()}
    assert " * " in lines["clip_frames"] and "4 frames" in lines["clip_frames"] and " * " in lines["root"]
    assert "Default: 8 frames" in " ".join(text.split())
    assert " * " not in lines["image_size_px"] and "224 px" in lines["image_size_px"]
    assert "* changed. All other values are the defaults." in text and "[detector]" not in text


def test_one_setting_is_printed_by_its_key(here, capsys):
    assert main(["config", "detector.key_dim"]) == 0
    text = capsys.readouterr().out
    assert "key_dim " in text and "Size of queries and keys" in text and "value_dim" not in text


def test_an_unknown_name_is_answered_with_the_nearest(here, capsys):
    assert main(["config", "detectr"]) == 2
    assert "Did you mean `[detector]`?" in capsys.readouterr().err
    assert main(["config", "detector.keydim"]) == 2
    assert "Did you mean `detector.key_dim`?" in capsys.readouterr().err


def test_toml_on_standard_output_loads_back(here, capsys):
    assert main(["config", "--toml", "--config", "demo", "--set", "seed=7"]) == 0
    Path("copy.toml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert load_config("copy.toml") == load_config(BUNDLED_CONFIGS / "demo.toml", ["seed=7"])


def test_settings_are_printed_without_any_framework():
    code = (
        "import sys; from pipelines.cli import main; main(['config']); "
        "print([name for name in ('tensorflow', 'keras', 'av', 'numpy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout.rstrip().endswith("[]"), result.stdout.rstrip().splitlines()[-1]


def test_init_looks_at_a_folder_and_names_what_is_next(my_videos, capsys):
    (my_videos / "broken.mp4").write_bytes(b"nothing")
    assert main(["config", "init", "my_videos"]) == 0
    text = capsys.readouterr().out
    assert "3 videos, 32×32 to 64×48, 10 to 25 frames/s, 2 to 5 s" in text
    assert "1 cannot be read and will be skipped: broken.mp4" in text
    assert "Write my_videos/labels.csv first" in text and text.endswith("Next: vad train --config my_videos.toml\n")
    config = load_config("my_videos.toml")
    assert (config.data.root, config.work_dir, config.extractor.weights) == ("my_videos", "runs/my_videos", "none")


def test_init_counts_the_labels_and_takes_weights(my_videos, capsys):
    (my_videos / "labels.csv").write_text("file,label,subset\nday 1/a.mp4,0,train\nday 1/b.mp4,1,test\n")
    Path("resnet50.weights.h5").touch()
    arguments = ["my_videos", "--weights", "resnet50.weights.h5", "--output", "other.toml"]
    assert main(["config", "init", *arguments]) == 0
    text = capsys.readouterr().out
    assert "labels.csv: 1 normal and 0 abnormal training videos, 0 normal and 1 abnormal test videos" in text
    assert "Write" not in text and "no test videos" not in text
    config = load_config("other.toml")
    assert (config.extractor.backbone, config.extractor.weights) == ("resnet50", "resnet50.weights.h5")
    assert config.train_detector.batch_size == 2


def test_init_says_when_no_video_is_for_testing(my_videos, capsys):
    (my_videos / "labels.csv").write_text("file,label\nday 1/a.mp4,0\nday 1/b.mp4,1\n")
    assert main(["config", "init", "my_videos"]) == 0
    assert "no test videos. To evaluate, mark some with `test` in a column `subset`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["my_videos"], "my_videos.toml exists. Remove it, or name another file: --output FILE"),
        (["nowhere"], "there is no folder nowhere."),
        (["empty"], "no video in empty. Known suffixes: "),
        (["my_videos", "--output", "x.toml", "--weights", "none.h5"], "there is no weights file at none.h5."),
    ],
)
def test_init_never_overwrites_and_names_what_is_wrong(arguments, message, my_videos, capsys):
    Path("my_videos.toml").write_text("mine")
    Path("empty").mkdir()
    assert main(["config", "init", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert Path("my_videos.toml").read_text() == "mine" and not Path("x.toml").exists()
