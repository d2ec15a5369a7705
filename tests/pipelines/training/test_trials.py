"""Tests of pipelines.training.trials: what TensorBoard's page HPARAMS reads."""

import math

import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata
from tensorboard.util.tensor_util import make_ndarray

from pipelines.config import load_config
from pipelines.training.trials import settings_of, write_trials


def read_back(folder):
    events = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    found = {}
    for run in events.Runs():
        content = events.PluginRunToTagToContent(metadata.PLUGIN_NAME)[run][metadata.SESSION_START_INFO_TAG]
        settings = metadata.parse_session_start_info_plugin_data(content).hparams
        tags = [tag for tag in events.Runs()[run]["tensors"] if not tag.startswith("_")]
        values = {tag: float(make_ndarray(events.Tensors(run, tag)[0].tensor_proto)) for tag in tags}
        found[run] = {key: getattr(value, value.WhichOneof("kind")) for key, value in settings.items()}, values
    return found


def test_settings_and_metrics_of_every_trial_are_read_back(tmp_path):
    configs = [load_config(overrides=[f"detector.key_dim={size}", f"seed={size}"]) for size in (8, 16)]
    metrics = [{"frame_auc": 0.7, "video_auc": 0.9, "figure": 1.0}, {"frame_auc": 0.8, "video_auc": math.nan}]
    write_trials(tmp_path, {"old": (configs[0], metrics[0])})
    write_trials(tmp_path, {"a": (configs[0], metrics[0]), "b": (configs[1], metrics[1])})
    found = read_back(tmp_path)
    assert sorted(found) == ["a", "b"], "the trials of an earlier report are gone"
    assert [found[name][0]["detector.key_dim"] for name in "ab"] == [8, 16]
    assert found["b"][0]["seed"] == 16 and found["a"][0]["detector.temporal_localities"] == "[1, 2, 4, 6, 8]"
    assert found["a"][1] == pytest.approx({"frame_auc": 0.7, "video_auc": 0.9})
    assert found["b"][1] == pytest.approx({"frame_auc": 0.8})


def test_no_path_is_a_setting():
    values = settings_of(load_config())
    assert not [key for key in values if "work_dir" in key or "root" in key]
    assert all(isinstance(value, bool | int | float | str) for value in values.values())
