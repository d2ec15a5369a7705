"""Tests of pipelines.report.evaluation.tables."""

import pytest

from pipelines.report.evaluation.measures import FURTHER_METRICS, MAIN_METRICS, METRICS, measure
from pipelines.report.evaluation.tables import (
    class_rows,
    decimals,
    difference_text,
    fact_rows,
    metric_rows,
    significance_texts,
    smoothing_rows,
    system_rows,
    value_text,
)

NAN = float("nan")


@pytest.fixture
def two(make_videos):
    """Two systems, one far better."""
    systems = {"ours": [make_videos(0, 6.0), make_videos(1, 6.0)], "rival": [make_videos(2, 0.0)]}
    return measure(systems, threshold=0.4, smoothing_sec=1.0)


def test_texts_by_hand():
    entry = {"seeds": [0.60, 0.64], "mean": 0.62, "interval_95": [0.5, 0.7]}
    assert value_text("frame_auc", entry) == "0.620 ± 0.028"
    assert value_text("frame_auc", entry, with_interval=True) == "0.620 ± 0.028 (0.500 to 0.700)"
    assert value_text("frame_auc", entry | {"interval_95": [NAN, NAN]}, with_interval=True) == "0.620 ± 0.028"
    small = {"difference": -0.017, "interval_95": [-0.044, 0.02], "significant": False}
    assert difference_text("frame_auc", small) == "−0.017 (−0.044 to 0.020) n.s."
    assert difference_text("frame_auc", small, break_line=True) == "−0.017\n(−0.044 to 0.020)\nn.s."
    large = {"difference": 12.34, "interval_95": [2.0, 20.0], "significant": True}
    assert difference_text("false_alarm_rate_percent", large) == "+12.3 (2.0 to 20.0)"
    unknown = {"difference": 0.1, "interval_95": [NAN, NAN], "significant": None}
    assert difference_text("frame_auc", unknown) == "+0.100"
    assert (decimals("false_alarm_rate_percent", 0.024), decimals("false_alarm_rate_percent", 10.9)) == (3, 1)


def test_one_system_has_a_row_for_every_metric_and_names_the_threshold(make_videos):
    content = measure({"ours": [make_videos()]}, threshold=0.4)
    rows, columns = metric_rows(content)
    assert [row["metric"] for row in rows if "FAR" not in row["metric"]] == [
        title for title in METRICS.values() if "FAR" not in title
    ]
    assert "FAR at 0.4 (%)" in [row["metric"] for row in rows] and columns["value"] == "value"
    assert all(" to " in row["interval"] for row in rows[:5])


def test_several_systems_have_a_row_each_and_the_oracle_one_of_its_own(two):
    rows, columns = system_rows(two, MAIN_METRICS, short=True)
    assert [row["system"] for row in rows] == ["ours", "rival", "video-label oracle"]
    assert "±" in rows[0]["frame_auc"] and "±" not in rows[2]["frame_auc"] and rows[2]["average_precision"] == "–"
    assert columns["frame_auc_abnormal_videos"] == "inside abnormal"
    assert len(system_rows(two, FURTHER_METRICS)[0]) == 2  # the oracle has only a frame AUC


def test_each_system_has_a_statement_about_significance(two, make_videos):
    (line,) = significance_texts(two)
    assert line.startswith("rival: significant: frame AUC −0.")
    alike = {"one": [make_videos(0)], "other": [make_videos(0)]}
    assert significance_texts(measure(alike, threshold=0.5)) == ["other: equal to one in every metric."]
    near = {"one": [make_videos(0)], "other": [make_videos(3)]}
    assert significance_texts(measure(near, threshold=0.5)) == ["other: no significant difference in any metric."]
    few = {name: [videos[:2] for videos in seeds] for name, seeds in near.items()}  # one video of each label
    assert significance_texts(measure(few, threshold=0.5)) == [
        "other: no interval, therefore no statement about significance."
    ]


def test_classes_smoothing_and_facts_have_their_rows(two):
    rows, columns = class_rows(two)
    assert [(row["kind"], row["system"]) for row in rows][:3] == [
        ("Arson", "ours"),
        ("Arson", "rival"),
        ("Fight", "ours"),
    ]
    assert rows[0]["count"] == 3 and columns["system"] == "system"
    rows, _ = smoothing_rows(two)
    assert len(rows) == 2 * len(MAIN_METRICS) and rows[0]["raw"] != rows[0]["smoothed"]
    assert fact_rows(two)[0] == []
    two["systems"]["rival"]["facts"] = {"parameters": 12, "paper": "0.75"}
    rows, columns = fact_rows(two)
    assert rows == [{"system": "ours"}, {"system": "rival", "parameters": 12, "paper": "0.75"}]
    assert list(columns) == ["system", "parameters", "paper"]
