"""Tests of pipelines.report.evaluation.measures against the plain evaluation, video by video."""

import numpy as np
import pytest

from pipelines.report.evaluation.measures import MAIN_METRICS, METRICS, classes_of, measure
from pipelines.report.evaluation.scored_videos import smoothed
from vad_keras.metrics import evaluate_videos, interval_of_jackknife

SETTINGS = {"threshold": 0.6}


def without_each(videos, name):
    """A metric of `evaluate_videos` without each of the videos."""
    return np.array([evaluate_videos(videos[:i] + videos[i + 1 :], 0.6)[name] for i in range(len(videos))])


def interval_of(value, left_out, limits=None):
    found = interval_of_jackknife(value, left_out, limits)
    return [found["low"], found["high"]]


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
    for name in MAIN_METRICS:
        entry = content["systems"]["ours"]["metrics"][name]
        left_out = np.mean([without_each(videos, name) for videos in seeds], axis=0)
        limits = (0, 100) if name == "false_alarm_rate_percent" else (0, 1)
        expected = interval_of(entry["mean"], left_out, limits)
        np.testing.assert_allclose(entry["interval_95"], expected, rtol=1e-9)
        assert limits[0] < expected[0] < entry["mean"] < expected[1] < limits[1]


def test_differences_are_paired_by_video(make_videos):
    ours, rival = [make_videos(0, 2.0), make_videos(1, 2.0)], [make_videos(2, 0.5)]
    content = measure({"rival": rival, "ours": ours}, **SETTINGS)
    entry = content["differences"]["ours"]["frame_auc"]
    left_out = np.mean([without_each(videos, "frame_auc") for videos in ours], axis=0)
    expected = interval_of(entry["difference"], left_out - without_each(rival[0], "frame_auc"))
    np.testing.assert_allclose(entry["interval_95"], expected, rtol=1e-9)
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


def test_where_a_single_video_decides_no_significance_is_stated(make_videos):
    one, other = make_videos(0)[:3], make_videos(1)[:3]  # one of them abnormal
    content = measure({"one": [one], "other": [other]}, **SETTINGS, smoothing_sec=1.0)
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
