"""Tests of pipelines.config."""

import dataclasses
import json
from pathlib import Path

import pytest

import pipelines
from pipelines.config import (
    Config,
    UserError,
    all_settings,
    change_config,
    config_to_dict,
    deciding_settings,
    load_config,
)
from pipelines.config.sections import find_settings, value_of
from pipelines.config.toml import toml_value
from pipelines.config.values import convert

BUNDLED = Path(pipelines.__file__).parent / "configs"


def written(tmp_path, text, name="demo.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path=None, overrides=()):
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_no_file_gives_the_defaults():
    assert load_config() == Config()


def test_a_file_changes_only_what_it_names(tmp_path):
    path = written(
        tmp_path, 'work_dir = "runs/x"\n[detector]\nkey_dim = 32\ntemporal_localities = [1, 4]\ntolerance = 1\n'
    )
    config = load_config(path)
    assert config.work_dir == "runs/x"
    assert load_config(overrides=["data.root=some/where/"]).data_name == "where"
    assert config.detector == dataclasses.replace(
        Config().detector, key_dim=32, temporal_localities=(1, 4), tolerance=1.0
    )
    assert isinstance(config.detector.tolerance, float)
    assert config.extractor == Config().extractor


def test_an_override_wins_over_the_file_and_the_last_one_over_the_first(tmp_path):
    path = written(tmp_path, "seed = 1\n[detector]\nkey_dim = 32\n")
    config = load_config(path, ["detector.key_dim=8", "detector.key_dim=16", "seed=7"])
    assert (config.detector.key_dim, config.seed) == (16, 7)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("data.root=my videos", "my videos"),
        ("data.root='my videos'", "my videos"),
        ("data.root=2024", "2024"),
        ("data.root=true", "true"),
        ("data.root=a=b", "a=b"),
        ("data.root=", ""),
    ],
)
def test_a_bare_word_is_a_string_where_a_string_is_asked_for(override, value):
    assert load_config(overrides=[override]).data.root == value


def test_a_misspelt_key_is_answered_with_the_nearest_one_of_any_section(tmp_path):
    path = written(tmp_path, "[detector]\nlearning_rat = 1e-3\n")
    assert refusal(path) == (
        "unknown key `detector.learning_rat` in demo.toml. Did you mean `train_detector.learning_rate`?"
    )
    assert "Did you mean `detector.key_dim`?" in refusal(overrides=["detector.keydim=3"])
    assert "Did you mean `detector.key_dim`?" in refusal(overrides=["detectr.key_dim=3"])


@pytest.mark.parametrize(
    ("old", "value", "expected"),
    [
        ("evaluate.folds", "5", "`repeat.folds`"),
        ("evaluate.seeds", "3", "`repeat.seeds`"),
        ("evaluate.jobs", "2", "`repeat.jobs`"),
        ("evaluate.rivals", "[]", "`repeat.rivals`"),
        ("evaluate.backend", "'jax'", "`repeat.backend`"),
        ("evaluate.runs", "['runs/a']", "the command `vad report RUN ...`"),
        ("export.threshold", "0.5", "`alarms.threshold`"),
        ("evaluate.bootstrap_samples", "9", "gone: intervals take no random draws. Remove it"),
    ],
)
def test_an_old_key_is_answered_with_the_new_one(old, value, expected, tmp_path):
    section, _, key = old.partition(".")
    path = written(tmp_path, f"[{section}]\n{key} = {value}\n")
    assert refusal(path) == f"`{old}` in demo.toml is now {expected}."
    assert refusal(overrides=[f"{old}={value}"]) == f"`{old}` in --set is now {expected}."


def test_a_misspelt_section_is_answered_with_the_nearest_one(tmp_path):
    path = written(tmp_path, "[detectr]\nkey_dim = 3\n")
    assert refusal(path) == "unknown section `[detectr]` in demo.toml. Did you mean `[detector]`?"


def test_a_missing_file_is_answered_with_the_nearest_name(tmp_path):
    written(tmp_path, "", "ucf_crime.toml")
    message = refusal(tmp_path / "ucf_crim.toml")
    assert message.startswith("no configuration file at ") and message.endswith("ucf_crime.toml`?")


def test_broken_toml_names_the_file_and_the_line(tmp_path):
    message = refusal(written(tmp_path, "[data]\nroot = videos\n"))
    assert "demo.toml is not valid TOML" in message and "line 2" in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("detector.key_dim=0", "must be at least 1. Received: 0."),
        ("data.frames_per_sec=-1", "must be at least 0. Received: -1.0."),
        ("train_detector.learning_rate=nan", "must be at least 0. Received: nan."),
        ("data.jpeg_quality=101", "must be in 1..100. Received: 101."),
        ("detector.temporal_localities=[1, 0]", "must be at least 1. Received: 0."),
        ("extractor.backbone=resnet", "Received: 'resnet'. Did you mean 'resnet50'?"),
    ],
)
def test_a_value_out_of_range_names_the_range(override, expected):
    message = refusal(overrides=[override])
    assert message.startswith(f"`{override.partition('=')[0]}` in --set ") and message.endswith(expected)


def test_the_defaults_obey_their_own_types():
    for key, setting in all_settings().items():
        value = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        assert convert(setting.type, value, key) == setting.default


def test_no_number_goes_without_limits():
    numbers = [one for one in all_settings().values() if type(one.default) in (int, float)]
    assert len(numbers) > 40 and not [one.key for one in numbers if not one.limits]


def test_settings_are_found_by_key_and_by_section():
    assert [one.key for one in find_settings("detector.key_dim")] == ["detector.key_dim"]
    assert {one.section for one in find_settings("detector")} == {"detector"}
    assert value_of(Config(), "detector.key_dim") == 64 and value_of(Config(), "seed") == 0
    with pytest.raises(UserError, match=r"Did you mean `\[detector\]`"):
        find_settings("detectr")
    with pytest.raises(UserError, match=r"Did you mean `detector\.key_dim`"):
        find_settings("detector.keydim")


def other_value(setting):
    """A value that a setting may take and that is not its default."""
    if isinstance(setting.default, bool):
        return not setting.default
    if setting.choices:
        other = next(choice for choice in setting.choices if choice != setting.default)
        return [other] if isinstance(setting.default, tuple) else other
    if isinstance(setting.default, tuple):
        return next(value for value in (["x"], [3], [[[3.0]]]) if _is_allowed(setting, value, as_tuple))
    if isinstance(setting.default, str):
        return "elsewhere"
    larger = 2 * setting.default or 1
    return larger if _is_allowed(setting, larger) else type(setting.default)(setting.default / 2)


def as_tuple(value):
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


def _is_allowed(setting, value, expected=lambda value: value):
    try:
        return convert(setting.type, value, "") == expected(value)
    except UserError:
        return False


@pytest.mark.parametrize("setting", all_settings().values(), ids=lambda setting: setting.key)
def test_a_setting_decides_unless_it_is_marked(setting):
    value = other_value(setting)
    changed = change_config(Config(), [f"{setting.key}={toml_value(value)}"])
    assert changed != Config()
    assert (deciding_settings(changed) == deciding_settings(Config())) == (not setting.decides)


def test_files_of_an_earlier_version_keep_the_keys_that_may_have_decided():
    values = config_to_dict(Config()) | {"gone": 1, "old_section": {"key": 2}}
    values["detector"] = values["detector"] | {"dropped": 3}
    values["evaluate"] = values["evaluate"] | {"seeds": 5}
    deciding = deciding_settings(values)
    assert (deciding["gone"], deciding["old_section"], deciding["detector"]["dropped"]) == (1, {"key": 2}, 3)
    assert "evaluate" not in deciding and "work_dir" not in deciding
    assert deciding_settings(config_to_dict(Config())) == deciding_settings(Config())


def test_a_setting_that_a_file_of_an_earlier_version_lacks_has_its_default():
    values = json.loads(json.dumps(config_to_dict(change_config(Config(), ["detector.key_dim=3"]))))
    whole = deciding_settings(values)
    del values["features"]["prior_root"], values["detector"]["temporal_localities"], values["search"]
    assert deciding_settings(values) == whole and whole["detector"]["key_dim"] == 3


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_bundled_configuration_loads(path):
    assert load_config(path) != Config()
