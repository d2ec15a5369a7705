"""Tests of pipelines.cli.inputs."""

import os
import subprocess
import sys

import pytest

from pipelines.cli.inputs import CHECKS, check_inputs
from pipelines.config import UserError, load_config

WRONG = {
    ("score", "nowhere.mp4"): "nowhere.mp4 does not exist. Check the path given to `vad score`.",
    ("score", "a.mp4", "--model", "nowhere"): "the model folder nowhere does not exist.",
    ("score", "a.mp4"): "has exported no model.",
    ("score", "nowhere.mp4", "--server", "grpc://localhost:1"): "nowhere.mp4 does not exist.",
    ("report", "nowhere"): "no run at nowhere: there is no such folder.",
    ("prepare", "--set", "data.root=nowhere"): "`data.root` is not a folder: nowhere.",
    ("import-features",): "`features.root` is empty.",
    ("train-extractor",): "clips/videos.json does not exist.",
    ("extract",): "clips/videos.json does not exist.",
    ("train-detector",): "nodes/videos.json does not exist.",
    ("evaluate",): "nodes/videos.json does not exist.",
    ("export",): "extractor.keras does not exist. Run `vad train-extractor` first, or `vad train` for all stages.",
    ("watch",): "nothing to watch: name a source",
    ("watch", "nowhere.mp4"): "nowhere.mp4 does not exist. A source is a file, a folder, a device",
    ("watch", "a.mp4", "--model", "nowhere"): "the model folder nowhere does not exist.",
    ("watch", "--cameras", "nowhere.toml"): "nowhere.toml",
    ("calibrate",): "no scores: name videos, folders, or JSON files",
    ("calibrate", "nowhere"): "nowhere does not exist. Check the path given to `vad calibrate`.",
    ("collect", "nowhere"): "nowhere/live holds no events.",
    ("train", "--set", "data.root=nowhere"): "`data.root` is not a folder: nowhere.",
}
SCRIPT = """
import sys
from pipelines.cli import main
for words in {words!r}:
    status = main(list(words))
    print(status, [name for name in ("tensorflow", "keras", "av") if name in sys.modules], file=sys.stderr)
"""


def test_a_wrong_input_is_answered_before_a_framework_is_loaded_and_leaves_no_folder(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "300"}
    command = [sys.executable, "-c", SCRIPT.format(words=list(WRONG))]
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stderr
    lines = shown.splitlines()
    assert lines[1::2] == ["2 []"] * len(WRONG), shown
    for line, (words, expected) in zip(lines[::2], WRONG.items(), strict=True):
        assert line.startswith("error: ") and expected in line, (words, line)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_models_are_checked_after_the_nodes_and_clips(tmp_path):
    config = load_config(overrides=[f"work_dir={tmp_path}", "features.root=features"])
    with pytest.raises(UserError, match=r"detector\.keras does not exist"):
        check_inputs("stages.export", config)  # features have no extractor
    assert check_inputs("stages.unknown", config) is None


def test_a_server_needs_no_model_here(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    changes = [f"work_dir={tmp_path}", "score.server=grpc://localhost:1", f'score.inputs=["{tmp_path}/a.mp4"]']
    check_inputs("stages.score", load_config(overrides=changes))
    with pytest.raises(UserError, match="has exported no model"):
        check_inputs("stages.score", load_config(overrides=[*changes, "score.server=''"]))


def test_every_stage_is_checked():
    import pipelines.stages

    folder = pipelines.stages.__path__[0]
    stages = {f"stages.{name[:-3]}" for name in os.listdir(folder) if name.endswith(".py") and name != "__init__.py"}
    assert stages - set(CHECKS) == {"stages.collect"}  # which loads no framework
