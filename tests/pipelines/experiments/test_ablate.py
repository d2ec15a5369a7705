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


def test_rows_that_need_a_prior_are_named_as_left_out(monkeypatch, capsys):
    monkeypatch.setattr(ablate, "run_systems", lambda config, systems, *_: [system.name for system in systems])
    assert "prior_alone" not in ablate.run(load_config())
    assert "which need a setting that this configuration lacks: prior_alone, prior_crf" in capsys.readouterr().out
    config = load_config(overrides=["features.root=features", "features.prior_root=priors"])
    assert "prior_alone" in ablate.run(config) and "prior_alone" not in capsys.readouterr().out
    with pytest.raises(UserError, match=r"the ablation `prior_alone` needs a prior\. Set"):
        ablate.run(load_config(overrides=['ablate.rows=["prior_alone"]']))
