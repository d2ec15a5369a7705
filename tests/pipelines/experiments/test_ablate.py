"""Tests of pipelines.experiments.ablate; its trainings are tested with pipelines.experiments.repeats."""

import pytest

from pipelines.config import UserError, load_config
from pipelines.experiments import ablate


def test_the_asked_rows_are_trained_beside_the_full_model_with_the_papers_values(monkeypatch):
    given = {}

    def train(config, systems, command, folder, facts):
        given.update(systems=[system.name for system in systems], command=command, folder=folder, facts=facts)

    monkeypatch.setattr(ablate, "run_systems", train)
    ablate.run(load_config(overrides=['ablate.rows=["causal", "trn"]']))
    assert given["systems"] == ["anomaly_detector", "causal", "trn"]
    assert (given["command"], given["folder"].name) == ("ablate", "ablation")
    assert given["facts"]["trn"] == {"published (%)": "81.52 / 95.01"} and "causal" not in given["facts"]


def test_an_unknown_row_is_named_before_anything_is_read():
    with pytest.raises(UserError, match=r"unknown ablation `casual`\. Did you mean `causal`\?"):
        ablate.run(load_config(overrides=['ablate.rows=["casual"]']))
