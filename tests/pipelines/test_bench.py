"""Tests of pipelines.bench."""

import json

import numpy as np
import pytest

from pipelines import bench
from pipelines.cli.options import BUNDLED_CONFIGS
from pipelines.config import change_config, load_config
from pipelines.run.folder import RunFolder
from pipelines.run.workers import in_own_process

TINY = (
    "data.image_size_px=32",
    "data.workers=1",
    "synthetic.duration_sec=3",
    "synthetic.width_px=64",
    "synthetic.height_px=48",
    "extractor.gate_dim=4",
    "extractor.relation_units=8",
    "detector.key_dim=4",
    "detector.value_dim=8",
    "train_detector.batch_size=4",
    "train_detector.bag_frames=4",
    'bench.backbones=["small"]',
    "bench.repeats=1",
    "bench.batches=1",
    "bench.feature_dim=8",
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """`Config` of a finished measurement on videos of 75 frames."""
    folder = tmp_path_factory.mktemp("bench")
    places = [f"work_dir={folder}", f"data.root={folder / 'videos'}", f"export.root={folder / 'savedmodels'}"]
    config, started = load_config(BUNDLED_CONFIGS / "bench.toml", [*places, *TINY]), []

    def in_this_process(function, *arguments, tensorflow):  # five times quicker than to load TensorFlow in each
        started.append(arguments[0])
        return function(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "in_own_process", in_this_process)
        assert bench.run(config) == folder / "bench.md"
    assert len(started) == 6, "the export and each part have a process of their own"
    return config


def test_every_part_has_its_row_with_a_result_and_its_memory(measured):
    lines = RunFolder.of(measured).bench.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    assert rows[0] == list(bench.COLUMNS.values())
    assert [row[0] for row in rows[2:]] == ["decode", "prepare", "extract, small", "train the detector", "score"]
    for part, work, result, memory in rows[2:]:
        assert work and result[0].isdigit(), part
        assert 20 < int(memory.replace(",", "")) < 20_000, part


def test_the_extraction_is_compared_with_the_backbone_alone(measured):
    text = RunFolder.of(measured).bench.read_text(encoding="utf-8")
    assert " of the backbone alone (" in text


def test_a_video_network_is_measured_beside_what_its_overlap_allows(measured, monkeypatch):
    monkeypatch.setattr("pipelines.data.window_maps.WINDOW_FRAMES", 20)
    row = bench.measure_extract(measured, "mc3_18")
    assert row["work"].startswith("30 frames")  # two windows of 20 frames, of which 10 overlap
    assert row["result"].endswith(", at most 0.75 by the overlap of windows")


def test_the_machine_is_named(measured):
    first = RunFolder.of(measured).bench.read_text(encoding="utf-8").splitlines()[0]
    assert "core" in first and "Python 3." in first


def test_the_summary_says_how_many_parts_were_measured(measured):
    summary = json.loads((RunFolder.of(measured).summaries / "bench.json").read_text(encoding="utf-8"))
    assert summary["done"] == "5 parts"


def test_single_parts_can_be_measured_and_the_extraction_makes_its_clips(measured, tmp_path, monkeypatch):
    started = []
    row = dict.fromkeys(bench.COLUMNS, 0)
    monkeypatch.setattr(bench, "_measured", lambda function, *_: started.append(function) or row)
    monkeypatch.setattr(bench, "in_own_process", lambda function, *arguments, tensorflow: function(*arguments))
    options = change_config(measured, [f"work_dir={tmp_path}"])
    bench.run(change_config(options, ['bench.parts=["extract", "decode"]']))
    assert started == [bench.make_clips, bench.measure_decode, bench.measure_extract]
    started.clear()
    bench.run(change_config(options, ['bench.parts=["score"]']))
    assert started == [bench.export_untrained, bench.measure_score]


def take_memory(config):
    """A part that fills 200 MB."""
    return {"part": "memory", "filled": int(np.ones(200_000_000, np.uint8).sum())}


def test_the_memory_of_a_part_is_its_own(measured):
    row = in_own_process(bench._measured, take_memory, measured, tensorflow=False)
    assert row["filled"] == 200_000_000
    assert 200 < row["memory"] < 600
