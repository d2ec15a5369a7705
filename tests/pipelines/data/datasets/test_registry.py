import importlib

import pytest

from pipelines.config import UserError, choices
from pipelines.data.datasets import DATASETS, dataset_module
from pipelines.data.listing.dataset import About


def test_the_files_are_the_choices_of_the_configuration():
    for name in DATASETS:
        module = dataset_module(name)
        assert module is importlib.import_module(f"pipelines.data.datasets.{name}")
        assert isinstance(module.ABOUT, About) and callable(module.load)
    assert set(DATASETS) == set(choices("data.dataset"))


def test_an_unknown_dataset_is_answered_with_the_nearest_name():
    with pytest.raises(UserError, match=r"one of folder, .*Received: `ucf_crimes`\. Did you mean `ucf_crime`\?"):
        dataset_module("ucf_crimes")
    with pytest.raises(UserError, match=r"Received: `zzz`\.$"):
        dataset_module("zzz")


def test_missing_videos_are_counted_with_the_commands_that_help(tmp_path, load):
    (tmp_path / "labels.csv").write_text("file,label\na.mp4,0\nb.mp4,1\nc.mp4,1\n")
    with pytest.raises(UserError, match=r"None of the 3 videos was found: check `data\.root`\. `vad datasets check"):
        load("folder", tmp_path)
    (tmp_path / "b.mp4").touch()
    message = (
        r"a\.mp4 \(line 2 of labels\.csv\) is not under .*\. Download it or remove the line "
        r"\(2 of 3 videos are missing\)\. "
        rf"`vad datasets check folder --root {tmp_path}` lists what is missing; `--set data\.allow_missing=true` skips"
    )
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path)
    assert [bool(video.missing) for video in load("folder", tmp_path, "data.allow_missing=true")] == [True, False, True]
