"""Tests of pipelines.config.sections_data: its choices are those of the code, and which settings decide."""

from pipelines.config import choices, load_config
from pipelines.config.sections import find_settings
from pipelines.data.datasets import DATASETS, dataset_module
from pipelines.data.features.layouts import AUTO, AXES


def test_every_dataset_that_may_be_chosen_has_a_module():
    assert sorted(choices("data.dataset")) == sorted(DATASETS)
    for name in DATASETS:
        assert dataset_module(name).load and dataset_module(name).ABOUT


def test_the_layouts_are_those_of_the_reader():
    assert choices("features.layout") == (AUTO, *AXES)


def test_only_places_and_speed_decide_no_result():
    aside = {setting.name for setting in find_settings("data") if not setting.decides}
    assert aside == {"root", "annotations", "allow_missing", "videos_per_shard", "workers", "stall_timeout_sec"}
    assert all(setting.decides for setting in [*find_settings("features"), *find_settings("synthetic")])


def test_the_defaults_are_the_folder_of_the_readme():
    assert (load_config().data.dataset, load_config().data.default_subset) == ("folder", "train")
