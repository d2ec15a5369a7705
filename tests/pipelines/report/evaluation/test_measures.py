"""Tests of pipelines.report.evaluation.measures against the plain evaluation, draw by draw."""

import numpy as np
import pytest

from pipelines.report.evaluation.measures import MAIN_METRICS, METRICS, classes_of, measure
from pipelines.report.evaluation.scored_videos import smoothed
from vad_keras.metrics import draw_videos, evaluate_videos

SETTINGS = {"samples": 40, "seed": 3, "threshold": 0.6}


def plain(videos, counts):
    """`evaluate_videos` of the videos written out."""
    return evaluate_videos([v for v, count in zip(videos, counts, strict=True) for _ in range(count)], 0.6)


def test_seeds_mean_and_spread_are_those_of_the_single_evaluations(make_videos):
    seeds = [make_videos(seed) for seed in range(3)]
    content = measure({"ours": seeds}, **SETTINGS)
    reports = [evaluate_videos(videos, 0.6) for videos in seeds]
    for name in METRICS:
        entry = content["systems"]["ours"]["metrics"][name]
        values = [report[name] for report in reports]
        assert entry["seeds"] == values
        assert entry["mean"] == pytest.approx(np.mean(values)) and entry["sd"] == pytest.approx(np.std(values, ddof=1))
    fight = content["systems"]["ours"]["classes"]["Fight"]
    assert fight["frame_auc"]["seeds"] == [report["classes"]["Fight"]["frame_auc"] for report in reports]
    assert classes_of(content) == ["Arson", "Fight"] and content["counts"]["num_abnormal_videos"] == 6


def test_the_interval_is_that_of_the_mean_over_seeds(make_videos):
    seeds = [make_videos(seed) for seed in range(2)]
    content = measure({"ours": seeds}, **SETTINGS)
    counts = draw_videos(12, 40, 3)
    for name in MAIN_METRICS:
        means = [np.mean([plain(videos, row)[name] for videos in seeds]) for row in counts]
        expected = np.percentile(means, [2.5, 97.5])
        np.testing.assert_allclose(content["systems"]["ours"]["metrics"][name]["interval_95"], expected, atol=1e-12)


def test_differences_are_paired_on_the_same_draws(make_videos):
    ours, rival = [make_videos(0, 2.0), make_videos(1, 2.0)], [make_videos(2, 0.5)]
    content = measure({"rival": rival, "ours": ours}, **SETTINGS)
    entry = content["differences"]["ours"]["frame_auc"]
    draws = [
        np.mean([plain(videos, row)["frame_auc"] for videos in ours]) - plain(rival[0], row)["frame_auc"]
        for row in draw_videos(12, 40, 3)
    ]
    np.testing.assert_allclose(entry["interval_95"], np.percentile(draws, [2.5, 97.5]), atol=1e-12)
    assert entry["difference"] > 0 and entry["significant"] is True
    assert list(content["differences"]) == ["ours"] and content["reference"] == "rival"


def test_a_difference_whose_interval_includes_0_is_not_significant(make_videos):
    alike = {"one": [make_videos(0)], "other": [make_videos(1)], "same": [make_videos(0)]}
    content = measure(alike, **SETTINGS, reference="one")
    for name in ("other", "same"):
        for metric, entry in content["differences"][name].items():
            low, high = entry["interval_95"]
            assert entry["significant"] is (not low <= 0 <= high), (name, metric)
    nothing = {"difference": 0, "interval_95": [0, 0], "significant": False}
    assert content["differences"]["same"]["frame_auc"] == nothing


def test_without_a_bootstrap_no_significance_is_stated(make_videos):
    settings = SETTINGS | {"samples": 0}
    content = measure({"one": [make_videos(0)], "other": [make_videos(1)]}, **settings, smoothing_sec=1.0)
    entry = content["differences"]["other"]["frame_auc"]
    assert entry["significant"] is None and np.isnan(entry["interval_95"]).all() and not np.isnan(entry["difference"])
    assert np.isnan(content["systems"]["one"]["metrics"]["frame_auc"]["sd"])


def test_the_smoothed_scores_are_measured_beside_the_raw_ones(make_videos):
    videos = make_videos()
    content = measure({"ours": [videos]}, **SETTINGS, smoothing_sec=0.7)
    entry = content["smoothing"]["systems"]["ours"]
    expected = evaluate_videos(smoothed(videos, 0.7), 0.6)["frame_auc"]
    assert entry["metrics"]["frame_auc"]["mean"] == expected
    raw_auc = content["systems"]["ours"]["metrics"]["frame_auc"]["mean"]
    assert raw_auc == evaluate_videos(videos, 0.6)["frame_auc"]
    assert entry["differences"]["frame_auc"]["difference"] == pytest.approx(expected - raw_auc)
    assert "smoothing" not in measure({"ours": [videos]}, **SETTINGS)


def test_the_metrics_of_a_video_are_means_over_the_seeds(make_videos):
    seeds = [make_videos(0), make_videos(1)]
    of_video = measure({"ours": seeds}, **SETTINGS)["systems"]["ours"]["videos"]
    assert of_video["v03"]["max_score"] == pytest.approx(np.mean([videos[3]["scores"].max() for videos in seeds]))
    assert np.isnan(of_video["v02"]["frame_auc"]) and len(of_video["v03"]["frame_auc_seeds"]) == 2


def test_an_unknown_reference_is_refused(make_videos):
    with pytest.raises(ValueError, match=r"one of the systems \['ours'\]\. Received: 'theirs'"):
        measure({"ours": [make_videos()]}, **SETTINGS, reference="theirs")


def test_an_unranked_system_is_measured_and_not_compared(make_videos):
    systems = {"ours": [make_videos(0)], "rival": [make_videos(1)], "idle": [make_videos(2)]}
    content = measure(systems, **SETTINGS, unranked=["idle"])
    assert set(content["systems"]) == set(systems) and set(content["differences"]) == {"rival"}
