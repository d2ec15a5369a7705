"""Tests of pipelines.cli.options."""

import pytest

from pipelines.cli.options import BUNDLED_CONFIGS, load_named, repeats_overrides
from pipelines.config import UserError, load_config


def test_a_bundled_configuration_is_found_by_its_name_with_or_without_suffix():
    expected = load_config(BUNDLED_CONFIGS / "demo.toml", ["seed=3"])
    assert load_named("demo", ["seed=3"]) == load_named("demo.toml", ["seed=3"]) == expected


def test_a_file_at_hand_is_taken_before_a_bundled_one_of_the_same_name(tmp_path, monkeypatch):
    (tmp_path / "demo.toml").write_text("seed = 9\n")
    monkeypatch.chdir(tmp_path)
    assert load_named("demo.toml", None) == load_config(overrides=["seed=9"])
    assert load_named(None, None) == load_config()


def test_an_unknown_name_is_an_error():
    with pytest.raises(UserError, match=r"no configuration file at ucsd_pd2\. Did you mean the bundled `ucsd_ped2`\?"):
        load_named("ucsd_pd2", None)
    with pytest.raises(UserError, match="no configuration file at nothing_like_it"):
        load_named("nothing_like_it", None)


def test_given_options_become_overrides():
    assert repeats_overrides(0, None, 2) == ["repeat.folds=0", "repeat.jobs=2"]
    assert repeats_overrides(None, None, None) == []
