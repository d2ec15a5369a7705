"""Tests of pipelines.experiments.systems."""

import numpy as np
import pytest

from pipelines.config import UserError, change_config, load_config
from pipelines.experiments.systems import (
    FOLDER,
    full_model,
    has_prior,
    left_out,
    read_rivals,
    read_systems,
    system_names,
)
from pipelines.stages.train_detector import build_detector
from vad_keras.models.baselines import BASELINES

CONFIG = load_config(overrides=["extractor.backbone=small", "data.image_size_px=64"])
WITH_PRIOR = change_config(
    CONFIG,
    [
        'extractor.prior_labels=["fight", "no fight"]',
        "detector.unary_from=prior",
        "detector.score_from=marginals",
        "detector.potts_weight=3.0",
        "detector.context_frames=256",
    ],
)
PRIOR_ROWS = ["prior_alone", "prior_crf", "features_alone", "prior_and_features", "prior_in_score"]


@pytest.mark.parametrize("kind", [path.stem for path in FOLDER.glob("*.toml")])
def test_every_listed_system_is_a_valid_change_of_a_configuration(kind):
    systems = read_systems(kind, WITH_PRIOR)
    assert [system.name for system in systems] == system_names(kind)
    assert len({system.name for system in systems}) == len({system.title for system in systems}) == len(systems)
    assert all(system.config.extractor.backbone == "small" for system in systems)


def test_every_baseline_has_a_recipe_and_takes_plain_features():
    systems = read_systems("rivals", CONFIG)
    assert {system.config.train_detector.model for system in systems} == set(BASELINES)
    for system in systems:
        extractor = system.config.extractor
        assert (extractor.gate_dim, extractor.scales, extractor.pooling) == (0, (1,), "average")
        assert not extractor.train_backbone and not system.config.train_extractor.epochs


def test_the_recipe_of_sultani_is_the_published_one():
    (system,) = read_systems("rivals", CONFIG, ["sultani"])
    options = system.config.train_detector
    assert (options.sampling, options.bag_frames, options.batch_size) == ("segment_mean", 32, 60)
    assert (options.optimizer, options.learning_rate) == ("adagrad", 1e-3)
    assert options.model_options == ("segments=32",)
    assert system.published == {"ucf_crime": 75.41}


def test_the_recipes_with_public_code_have_its_optimizer():
    recipes = {
        system.name: system.config.train_detector
        for system in read_systems("rivals", CONFIG, ["rtfm", "ur_dmu", "bn_wvad", "ar_net", "hl_net"])
    }
    decay = {"rtfm": 5e-3, "ur_dmu": 5e-5, "bn_wvad": 5e-5, "ar_net": 5e-4}
    for name, l2 in decay.items():
        assert (recipes[name].optimizer, recipes[name].weight_decay) == ("adam_l2", l2)
    assert {name: recipe.clip_norm for name, recipe in recipes.items() if recipe.clip_norm} == {"bn_wvad": 1.0}
    assert {name: recipe.drop_steps for name, recipe in recipes.items() if recipe.drop_steps} == {"hl_net": (310,)}
    for name in ("rtfm", "ur_dmu", "bn_wvad"):  # segments in training only
        assert recipes[name].sampling == "segment_mean"
        assert not any(option.startswith("segments") for option in recipes[name].model_options)


def test_rivals_take_the_mean_of_the_crops_of_feature_files():
    config = change_config(CONFIG, ["features.root=features"])
    for system in read_rivals(config):
        assert system.config.train_detector.model_options[0] == "patches=mean"
        build_detector(system.config)
    assert not any("patches=mean" in system.config.train_detector.model_options for system in read_rivals(CONFIG))


def test_some_rivals_may_have_fewer_seeds():
    config = change_config(CONFIG, ["repeat.seeds=5", 'compare.fewer_seeds=["rtfm=1", "ur_dmu=9"]'])
    seeds = {system.name: system.config.repeat.seeds for system in read_rivals(config, ["sultani", "rtfm", "ur_dmu"])}
    assert seeds == {"sultani": 5, "rtfm": 1, "ur_dmu": 5}
    with pytest.raises(UserError, match=r"unknown rival `rtmf`\. Did you mean `rtfm`\?"):
        read_rivals(change_config(CONFIG, ['compare.fewer_seeds=["rtmf=1"]']))
    for wrong in ("rtfm", "rtfm=0", "rtfm=x"):
        with pytest.raises(UserError, match=rf'must hold rivals and numbers.*Received: "{wrong}"'):
            read_rivals(change_config(CONFIG, [f'compare.fewer_seeds=["{wrong}"]']))


def test_a_recipe_is_cut_to_the_size_of_the_data_where_it_is_larger():
    config = change_config(CONFIG, ["compare.max_batch_size=64", "compare.max_bag_frames=100"])
    sizes = {
        system.name: (system.config.train_detector.batch_size, system.config.train_detector.bag_frames)
        for system in read_rivals(config, ["sultani", "ur_dmu"])
    }
    assert sizes == {"sultani": (60, 32), "ur_dmu": (64, 100)}
    assert [system.config for system in read_rivals(CONFIG)] == [s.config for s in read_systems("rivals", CONFIG)]


def test_the_last_rows_of_both_tables_of_the_paper_are_the_full_model_and_the_others_are_not():
    rows = {system.name: system for system in read_systems("ablations", CONFIG)}
    ours = full_model(CONFIG)
    assert rows["contrast"].config == rows["localities_8"].config == ours.config
    assert rows["contrast"].published == rows["localities_8"].published == ours.published
    same = {name for name, row in rows.items() if row.config == ours.config}
    assert same == {"contrast", "localities_8", "max_pooling"}
    assert not rows["trn"].config.extractor.gate_dim and rows["relation_gate"].config.extractor.gate_dim
    assert not rows["relation_gate"].config.detector.self_attention_crf
    assert not rows["no_gate"].config.extractor.gate_dim and rows["no_gate"].config.detector.self_attention_crf


def test_the_rows_of_the_prior_change_where_it_enters():
    detectors = {row.name: row.config.detector for row in read_systems("ablations", WITH_PRIOR, PRIOR_ROWS)}
    where = {name: (d.unary_from, d.prior_in_score, d.score_from) for name, d in detectors.items()}
    assert where == {
        "prior_alone": ("prior", False, "marginals"),
        "prior_crf": ("prior", False, "marginals"),
        "features_alone": ("nodes", False, "marginals"),
        "prior_and_features": ("both", False, "marginals"),
        "prior_in_score": ("nodes", True, "scorer"),
    }
    assert {name for name, d in detectors.items() if not d.self_attention_crf} == {"prior_alone"}
    assert {name for name, d in detectors.items() if not d.context_frames} == {"prior_alone", "prior_crf"}
    context, potts = read_systems("ablations", WITH_PRIOR, ["no_context", "potts_1"])
    assert context.config == change_config(WITH_PRIOR, ["detector.context_frames=0"])
    assert potts.config == change_config(WITH_PRIOR, ["detector.potts_weight=1.0"])
    for row in read_systems("ablations", WITH_PRIOR):
        build_detector(row.config)


def test_the_score_of_the_prior_alone_is_the_prior_of_a_node_whatever_the_nodes_are():
    (row,) = read_systems("ablations", change_config(WITH_PRIOR, ["detector.residual=false"]), ["prior_alone"])
    detector, random = build_detector(row.config), np.random.default_rng(0)
    prior = random.normal(size=(1, 6, 2)).astype("float32")
    for _ in range(2):
        nodes = random.normal(size=(1, 6, 2, 4)).astype("float32")
        scores = np.asarray(detector({"nodes": nodes, "prior": prior})["anomaly_score"])
        np.testing.assert_allclose(scores, 1 / (1 + np.exp(-prior.max(axis=2))), rtol=1e-5)


def test_rows_that_need_what_a_configuration_lacks_are_left_out_and_by_name_refused():
    lacking = [*PRIOR_ROWS, "no_context", "potts_1"]
    assert left_out("ablations", CONFIG) == lacking and left_out("ablations", WITH_PRIOR) == []
    names = [row.name for row in read_systems("ablations", CONFIG)]
    assert names == [name for name in system_names("ablations") if name not in lacking]
    for name, way_out in (("prior_crf", r"a prior\. Set `features\.prior_root`"), ("no_context", "context")):
        with pytest.raises(UserError, match=f"the ablation `{name}` needs {way_out}"):
            read_systems("ablations", CONFIG, ["trn", name])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], False),
        (['extractor.prior_labels=["fight"]'], True),
        (['extractor.prior_labels=["fight"]', "features.root=features"], False),
        (["features.root=features", "features.prior_root=priors"], True),
    ],
)
def test_features_have_a_prior_of_files_and_videos_one_of_the_extractor(overrides, expected):
    assert has_prior(load_config(overrides=overrides)) == expected


def test_video_labels_do_not_teach_a_score_that_is_the_prior():
    learning = {row.name: row.learns for row in read_systems("ablations", WITH_PRIOR)}
    assert {name for name, learns in learning.items() if not learns} == {"prior_alone", "prior_crf", "no_context"}
    assert all(rival.learns for rival in read_systems("rivals", WITH_PRIOR)) and full_model(WITH_PRIOR).learns


def test_systems_come_in_the_order_they_are_asked_for_and_an_unknown_one_is_named():
    assert [system.name for system in read_systems("ablations", CONFIG, ["trn", "causal"])] == ["trn", "causal"]
    with pytest.raises(UserError, match=r"unknown rival `sultany`\. Did you mean `sultani`\?"):
        read_systems("rivals", CONFIG, ["sultany"])


def test_the_system_of_another_model_is_not_called_the_full_model():
    system = full_model(change_config(CONFIG, ["train_detector.model=sultani"]))
    assert system.title == "sultani" and not system.published
