"""Tests of pipelines.demo."""

import contextlib
import dataclasses
import io
import json
from pathlib import Path

import pytest

from pipelines import demo
from pipelines.cli.app import TRAIN
from pipelines.cli.dispatch import TRAININGS
from pipelines.cli.options import BUNDLED_CONFIGS
from pipelines.cli.plan import print_plan
from pipelines.config import load_config
from pipelines.run.folder import RunFolder
from pipelines.stages import train_detector

# The demonstration on a few tiny videos: seconds instead of minutes, and a model that knows next to nothing.
TINY = (
    "data.image_size_px=32",
    "data.workers=1",
    "synthetic.train_videos=6",
    "synthetic.test_videos=2",
    "synthetic.duration_sec=4",
    "synthetic.width_px=64",
    "synthetic.height_px=48",
    "extractor.gate_dim=4",
    "extractor.relation_units=8",
    "train_extractor.epochs=1",
    "train_extractor.snippets_per_video=2",
    "detector.key_dim=4",
    "detector.value_dim=8",
    "train_detector.epochs=1",
    "train_detector.batch_size=4",
    "score.top_frames=2",
)


def tiny_demo(folder):
    """`Config` of the demonstration in `folder`."""
    places = [f"work_dir={folder / 'demo'}", f"data.root={folder / 'videos'}", f"export.root={folder / 'savedmodels'}"]
    return load_config(BUNDLED_CONFIGS / "demo.toml", [*places, *TINY])


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The finished demonstration: its configuration, the folder it returned, and the lines it printed."""
    config = tiny_demo(tmp_path_factory.mktemp("demo"))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        scores = demo.run(config)
    return config, scores, printed.getvalue().splitlines()


def test_one_abnormal_and_one_normal_test_video_are_scored(shown):
    _, scores, _ = shown
    paths = sorted(path for path in scores.glob("*.json") if path.name != "alarms.json")
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    assert [Path(result["video"]).stem for result in results] == ["fight_001", "normal_000"]
    assert all(len(result["scores"]) == 32 for result in results)


def test_every_result_it_names_exists(shown):
    _, _, lines = shown
    named = [Path(line.split()[-1]) for line in lines[lines.index("Results") + 1 : lines.index("Next")]]
    assert len(named) == 7
    assert all(path.exists() for path in named), named


def test_it_ends_with_three_next_commands(shown):
    config, _, lines = shown
    steps = lines[lines.index("Next") + 1 :]
    assert len(steps) == 4 and "labels.csv" in steps[3]
    assert f"vad tensorboard {config.work_dir}" in steps[0]
    assert RunFolder.of(config).logs.is_dir()
    assert steps[1].split("--model ")[1] == f"{config.export.root}/demo"


def test_a_dry_run_of_the_finished_run_has_nothing_to_do_and_writes_nothing(shown, capsys):
    config, _, _ = shown
    run = RunFolder.of(config)
    folders = run.path, Path(config.data.root), Path(config.export.root)
    before = {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*")}
    print_plan([f"stages.{stage}" for stage in TRAIN], config, TRAININGS)
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    would = {stage: text.strip() for stage, text in filter(lambda line: len(line) == 2, lines) if stage in TRAIN}
    assert would.pop("evaluate").startswith("score 2 test videos")
    assert list(would) == [stage for stage in TRAIN if stage != "evaluate"]
    assert set(would.values()) == {"do nothing: finished"}
    assert {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*")} == before


def test_a_dry_run_with_other_settings_trains_again(shown):
    config, _, _ = shown
    other = dataclasses.replace(config, train_detector=dataclasses.replace(config.train_detector, epochs=3))
    assert train_detector.plan(config) == ""
    assert train_detector.plan(other).startswith("train on 6 videos, at most 3 epochs; write")


def test_a_second_run_trains_nothing_again(shown):
    config, scores, _ = shown
    run = RunFolder.of(config)
    before = {path: path.stat().st_mtime_ns for path in [run.extractor, run.detector, *scores.glob("*_0*.csv")]}
    with contextlib.redirect_stdout(io.StringIO()):
        demo.run(config)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [path.name for path in (Path(config.export.root) / "demo").iterdir()] == ["1"]
