"""Tests of vad_keras.metrics.events, by hand and against a plain count of runs at every threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vad_keras.metrics import evaluate_events

HOUR = 3600


def video(scores, labels=None, fps=1.0):
    label = int(labels is not None and any(labels))
    return {"scores": scores, "label": label, "frame_labels": labels, "fps": fps}


def hours(count, alarms=()):
    """A normal video of one frame per hour whose frames of ``alarms`` reach 0.9."""
    return video([0.9 if hour in alarms else 0.1 for hour in range(count)], fps=1 / HOUR)


# ten frames, an event of four: it rises one frame late; .6 before it is a false alarm, the .7 touches the event
EVENT = video([0.1, 0.6, 0.1, 0.7, 0.2, 0.8, 0.8, 0.3, 0.1, 0.1], [0, 0, 0, 0, 1, 1, 1, 1, 0, 0], fps=2.0)


def alarms_at(videos, threshold):
    """Oracle: the false alarms at a threshold, run by run."""
    count = 0
    for one in videos:
        labels = one["frame_labels"] if one["frame_labels"] is not None else [0] * len(one["scores"])
        run = []
        for score, label in [*zip(one["scores"], labels, strict=True), (-np.inf, 0)]:
            if score >= threshold:
                run.append(label)
            elif run:
                count, run = count + (not any(run)), []
    return count


def events_of(videos):
    """Oracle: ``(scores, fps)`` of each event."""
    for one in videos:
        event = []
        for score, label in [*zip(one["scores"], one["frame_labels"] or [0] * len(one["scores"]), strict=True), (0, 0)]:
            if label:
                event.append(score)
            elif event:
                yield event, one["fps"]
                event = []


def threshold_at(videos, allowed):
    """Oracle: lower the threshold, score by score, until there are too many false alarms."""
    threshold = np.inf
    for score in sorted({score for one in videos for score in one["scores"]}, reverse=True):
        if alarms_at(videos, score) > allowed:
            break
        threshold = score
    return threshold


def test_an_event_by_hand():
    found = evaluate_events([EVENT], rates=(1,))
    # with .8: no false alarm; with .7 the alarm of frame 3 is one, since .2 of frame 4 parts it from the event
    assert found["event_recall_no_false_alarm"] == 1.0
    assert found["time_to_detection_sec_no_false_alarm"] == 0.5  # one frame at 2 per second
    assert found["num_events"] == 1 and found["camera_days"] == pytest.approx(5 / 86_400)
    # thresholds .8 .7 .6 .3 .2: credit of the event .75 until .2, then 1; at .2 it is found from its first frame on
    precision_at_8, precision_at_2 = 2 / 2, 4 / 6
    assert found["latency_aware_ap"] == pytest.approx(0.75 * precision_at_8 + 0.25 * precision_at_2)


def test_the_rate_allows_whole_false_alarms_of_the_test_videos():
    videos = [hours(48, alarms=(3, 20, 21, 40)), video([0.2, 0.9], [0, 1], fps=1 / HOUR)]  # three false alarms
    found = evaluate_events(videos, rates=(0.4, 1, 1.5))
    assert found["missing"]["event_recall_at_0.4_per_day"].startswith("0.4 per day are less than one false alarm in")
    assert np.isnan(found["event_recall_at_0.4_per_day"])
    # at .9 there are three in 50 hours: too many for 1 a day (2 allowed), allowed by 1.5 a day (3 allowed)
    points = ("no_false_alarm", "at_1_per_day", "at_1.5_per_day")
    assert [found[f"event_recall_{point}"] for point in points] == [0, 0, 1]
    assert found["missing"]["time_to_detection_sec_at_1_per_day"] == "no event is found"
    assert found["time_to_detection_sec_at_1.5_per_day"] == 0.0


def test_a_lower_threshold_that_merges_alarms_does_not_count_as_fewer():
    videos = [hours(26, alarms=(3, 20)), video([0.1, 0.05], [0, 1], fps=1 / HOUR)]
    # at .9 two false alarms; at .1 two as well, one long run and a frame; .05 would find the event
    assert evaluate_events(videos, rates=(1,))["event_recall_at_1_per_day"] == 0.0


score = st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8])
frames = st.lists(st.tuples(st.integers(0, 1), score), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), frames), min_size=1, max_size=5))
def test_every_point_equals_the_plain_count(content):
    videos = [
        video([s for _, s in of_video], [y * label for y, _ in of_video], fps=1 / HOUR) for label, of_video in content
    ]
    found, events = evaluate_events(videos, rates=(6, 24)), list(events_of(videos))
    if not events:
        return
    days = sum(len(one["scores"]) for one in videos) / 24
    points = {"no_false_alarm": 0, "at_6_per_day": int(6 * days), "at_24_per_day": int(24 * days + 1e-9)}
    for point, allowed in points.items():
        if point != "no_false_alarm" and allowed < 1:
            assert np.isnan(found[f"event_recall_{point}"]) and f"event_recall_{point}" in found["missing"]
            continue
        threshold = threshold_at(videos, allowed)
        first = [next((n for n, s in enumerate(event) if s >= threshold), None) for event, _ in events]
        delays = [frame * HOUR for frame in first if frame is not None]
        assert found[f"event_recall_{point}"] == pytest.approx(len(delays) / len(events))
        expected = np.median(delays) if delays else np.nan
        assert found[f"time_to_detection_sec_{point}"] == pytest.approx(expected, nan_ok=True)
    area, last = 0.0, 0.0
    for threshold in sorted({s for one in videos for s in one["scores"]}, reverse=True):
        flat = [(y, s >= threshold) for one in videos for y, s in zip(one["frame_labels"], one["scores"], strict=True)]
        precision = sum(y for y, above in flat if above) / sum(above for _, above in flat)
        first = [next((n for n, s in enumerate(event) if s >= threshold), len(event)) for event, _ in events]
        recall = np.mean([1 - n / len(event) for n, (event, _) in zip(first, events, strict=True)])
        area, last = area + (recall - last) * precision, recall
    assert found["latency_aware_ap"] == pytest.approx(area)


def test_a_constant_score_has_the_share_of_abnormal_frames_as_latency_aware_ap():
    assert evaluate_events([video([0.5] * 8, [0, 0, 1, 1, 0, 0, 0, 0])])["latency_aware_ap"] == pytest.approx(2 / 8)


def test_what_cannot_be_computed_has_a_reason():
    found = evaluate_events([video([0.1, 0.2])])
    assert found["missing"]["event_recall_no_false_alarm"] == "no test video has both frame labels and an event"
    assert found["missing"]["latency_aware_ap"] == "no test video has both frame labels and an event"
    assert found["missing"]["map_at_iou_mean"] == "no abnormal video has both a class and frame labels"
    found = evaluate_events([EVENT | {"fps": None}])
    assert found["event_recall_no_false_alarm"] == 1.0
    assert found["missing"]["event_recall_at_6_per_day"] == "the frame rate of a video is unknown"
    assert found["missing"]["time_to_detection_sec_no_false_alarm"] == "the frame rate of a video is unknown"
    for name, value in found.items():
        assert name in ("missing", "camera_days") or (name in found["missing"]) == np.isnan(value), name


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match=r"`rates\[1\]` must"):
        evaluate_events([EVENT], rates=(1, 0))
    with pytest.raises(ValueError, match="`scores` must be finite"):
        evaluate_events([EVENT | {"scores": [np.nan] * 10}])
