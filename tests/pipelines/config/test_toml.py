"""Tests of pipelines.config.toml."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines
from pipelines.config import Config, all_settings, change_config, load_config
from pipelines.config.toml import about, to_toml, toml_value

BUNDLED = sorted((Path(pipelines.__file__).parent / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", [None, *BUNDLED], ids=lambda path: path.stem if path else "defaults")
def test_a_written_configuration_loads_back(path, tmp_path):
    config, copy = load_config(path), tmp_path / "copy.toml"
    copy.write_text(to_toml(config), encoding="utf-8")
    assert load_config(copy) == config


@given(st.one_of(st.text(), st.booleans(), st.integers(0, 2**40), st.floats(0, 1e30), st.lists(st.text())))
def test_every_value_is_read_back(value):
    assert tomllib.loads(f"key = {toml_value(value)}") == {"key": value}


def test_a_string_with_quotes_and_a_comment_sign_loads_back(tmp_path):
    config = change_config(Config(), ["data.root='a \"b\" # \\ c'"])
    (tmp_path / "copy.toml").write_text(to_toml(config), encoding="utf-8")
    assert load_config(tmp_path / "copy.toml") == config


def test_each_setting_stands_under_its_help_choices_and_default():
    text = to_toml(change_config(Config(), ["extractor.pooling=average", "data.clip_frames=4"]))
    assert (
        "# How a patch is pooled from the feature map. One of max, average. Default: \"max\"\npooling = \"average\"\n"
        in text
    )
    assert "At least 1. Default: 8 frames\nclip_frames = 4\n" in text


def test_chosen_keys_comments_and_a_header():
    text = to_toml(Config(), keys=["seed", "data.root"], comment=lambda setting: f"about {setting.name}", header="Mine")
    lines = ["# Mine", "# about seed", "seed = 0", "", "[data]", "# about root", 'root = "videos"', ""]
    assert [line.partition("  #")[0] for line in text.split("\n")] == lines


def test_every_setting_has_one_line_of_help():
    for setting in all_settings().values():
        assert setting.help and "\n" not in setting.help and not setting.help.endswith("."), setting.key
        assert len(setting.help) <= 90, setting.key
        assert about(setting).startswith(setting.help)
