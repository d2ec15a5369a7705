"""Tests of pipelines.experiments.compare; its trainings are tested with pipelines.experiments.repeats."""

import pytest

from pipelines.config import UserError, load_config
from pipelines.experiments import compare
from pipelines.experiments.systems import System, full_model


def test_published_metrics_are_one_column_and_missing_ones_are_dashes():
    config = load_config()
    systems = [full_model(config), System("a", "A", config, {"ucf_crime": 75.4}), System("b", "B", config)]
    facts = compare.published_facts(systems)
    assert facts == {
        "anomaly_detector": {"published (%)": "85.00 / 96.85"},
        "a": {"published (%)": "75.40 / –"},
    }


def test_an_unknown_rival_is_named_before_anything_is_read():
    with pytest.raises(UserError, match=r"unknown rival `rtmf`\. Did you mean `rtfm`\?"):
        compare.run(load_config(overrides=['compare.rivals=["rtmf"]']))
