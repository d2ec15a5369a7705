"""Tests of pipelines.report.evaluation.event_tables."""

import numpy as np

from pipelines.report.evaluation.event_tables import event_counts, event_tables, location_table, missing_reasons
from pipelines.report.evaluation.events import EVENT_METRICS, measure_events
from pipelines.report.evaluation.location import measure_location


def content_of(systems):
    return {"events": measure_events(systems), "location": measure_location(systems)}


def test_one_system_has_a_row_for_each_metric_and_a_reason_for_each_dash(make_videos):
    content = content_of({"ours": [make_videos()]})
    ((rows, _),) = event_tables(content)
    assert [row["metric"] for row in rows] == list(EVENT_METRICS.values())
    missing = [row["metric"] for row in rows if row["value"] == "–"]
    (line,) = missing_reasons(content)[:1]
    assert "event recall at 1 false alarm per camera-day" in missing
    assert line.startswith("event recall at 1 false alarm per camera-day, ") and "less than one false alarm in" in line
    assert all(any(title in reason for reason in missing_reasons(content)) for title in missing)
    assert "nan" not in str(rows)


def test_several_systems_have_a_row_each_and_their_reasons_name_them(make_videos):
    content = content_of({"a": [make_videos(0), make_videos(1)], "b": [make_videos(2)]})
    tables = event_tables(content)
    assert [[row["system"] for row in rows] for rows, _ in tables] == [["a", "b"]] * 3
    assert sum(len(columns) - 1 for _, columns in tables) == len(EVENT_METRICS)
    assert "±" in tables[2][0][0]["latency_aware_ap"]
    assert any(" (a): " in line for line in missing_reasons(content))


def test_the_counts_name_events_and_hours(make_videos):
    videos = make_videos()
    hours = sum(len(video["scores"]) for video in videos) / 10 / 3600
    assert event_counts(content_of({"a": [videos]})).startswith(f"6 events in {60 * hours:.3g} minutes (")
    slow = [video | {"fps": 0.01} for video in videos]
    assert event_counts(content_of({"a": [slow]})).startswith(f"6 events in {1000 * hours:.3g} hours (")
    unknown = [video | {"fps": None} for video in videos]
    assert event_counts(content_of({"a": [unknown]})) == "6 events."


def test_places_have_a_row_for_each_map_and_one_for_chance(make_videos):
    videos = make_videos()
    assert location_table(content_of({"a": [videos]}))[0] == []
    place = {
        "patches": np.array([[0, 1]]),
        "patch_score": np.array([[0.9, 0.1]]),
        "event_pixels": np.array([[2, 0]]),
        "cell_pixels": np.array([4, 4]),
    }
    videos[1]["location"] = place
    rows, columns = location_table(content_of({"a": [videos]}))
    assert [row["map"] for row in rows] == ["patch score", "chance"] and "system" not in columns
    assert (rows[0]["pointing_game"], rows[1]["pointing_game"], rows[1]["pixel_auc"]) == ("1.000", "0.500", "0.500")
    rows, _ = location_table(content_of({"a": [videos], "b": [videos]}))
    assert [(row["system"], row["map"]) for row in rows[1:]] == [("b", "patch score"), ("", "chance")]
