"""Tests of pipelines.config."""

import dataclasses
from pathlib import Path

import pytest

import pipelines
from pipelines.config import Config, UserError, config_to_dict, load_config
from pipelines.config.sections import CHOICES, LIMITS, key_types

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
    assert config.work_path == Path("runs/x")
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


def test_every_rule_is_about_a_key_that_exists_and_the_defaults_obey_it():
    assert set(CHOICES) <= set(key_types())
    assert set(LIMITS) <= {key.rpartition(".")[2] for key in key_types()} | set(key_types())
    for section, values in config_to_dict(Config()).items():
        for key, value in values.items() if isinstance(values, dict) else ():
            if f"{section}.{key}" in CHOICES:
                entries = value if isinstance(value, tuple | list) else (value,)
                assert set(entries) <= set(CHOICES[f"{section}.{key}"])
            elif isinstance(value, int | float) and key in LIMITS:
                assert LIMITS[key][0] <= value <= LIMITS[key][1], f"{section}.{key}"


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_bundled_configuration_loads(path):
    assert load_config(path) != Config()
