"""Tests of pipelines.report.evaluation.events."""

import numpy as np
import pytest

from pipelines.report.evaluation.events import EVENT_METRICS, RATES, measure_events
from vad_keras.metrics import evaluate_events


def test_the_metrics_are_those_of_each_seed(make_videos):
    seeds = [make_videos(seed, 3.0) for seed in range(3)]
    content = measure_events({"ours": seeds})
    reports = [evaluate_events(videos, RATES) for videos in seeds]
    assert set(EVENT_METRICS) == set(reports[0]) - {"missing", "num_events", "camera_days"}
    entry = content["systems"]["ours"]["latency_aware_ap"]
    values = [report["latency_aware_ap"] for report in reports]
    assert entry["seeds"] == values and entry["missing"] == ""
    assert entry["mean"] == pytest.approx(np.mean(values)) and entry["sd"] == pytest.approx(np.std(values, ddof=1))
    assert content["num_events"] == 6 and content["camera_days"] == reports[0]["camera_days"]


def test_a_seed_without_a_value_keeps_its_reason_and_leaves_the_mean_to_the_others(make_videos):
    found, blind = make_videos(0, 9.0), [video | {"scores": 1.0 - video["frame_labels"]} for video in make_videos()]
    entry = measure_events({"ours": [found, blind]})["systems"]["ours"]["time_to_detection_sec_no_false_alarm"]
    assert entry["missing"] == "no event is found" and np.isnan(entry["seeds"][1])
    assert entry["mean"] == entry["seeds"][0] and np.isnan(entry["sd"])
