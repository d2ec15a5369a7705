"""Alarms of a video, and the tracker of events against a definition by brute force."""

import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.serving.alarms import AlarmRules, AlarmTracker, find_alarms, find_events


def spans(scores, threshold=0.5, times_sec=None):
    times_sec = np.arange(len(scores)) / 10 if times_sec is None else times_sec
    return [alarm[:4] for alarm in find_alarms(scores, times_sec, AlarmRules(threshold), 0.1)]


def changes(scores, times=None, finish=None, **rules):
    """`(time of the report, change, level, start, end)` of the tracker, one score per second."""
    tracker, found = AlarmTracker(AlarmRules(**{"threshold": 0.5} | rules), "door"), []
    times = range(len(scores)) if times is None else times
    for time, score in zip(times, scores, strict=True):
        found += [(time, change, event.level, event.start, event.end) for change, event in tracker.update(time, score)]
    if finish is not None:
        found += [(finish, change, one.level, one.start, one.end) for change, one in tracker.finish(finish)]
    return found


def test_alarms_are_the_stretches_at_or_above_the_threshold():
    scores = [0.5, 0.9, 0.1, 0.2, 0.6]
    np.testing.assert_allclose(spans(scores), [(0, 2, 0.0, 0.2), (4, 5, 0.4, 0.5)])
    assert [alarm.max_score for alarm in find_alarms(scores, np.arange(5), AlarmRules(0.5), 1.0)] == [0.9, 0.6]


def test_a_quiet_video_has_no_alarm_and_a_loud_one_a_single_one():
    assert spans([0.1] * 4) == []
    np.testing.assert_allclose(spans([0.8] * 4), [(0, 4, 0.0, 0.4)])


def test_the_end_follows_the_times_of_a_video_with_a_changing_frame_rate():
    assert spans([0.9, 0.9, 0.1], times_sec=[0.0, 0.5, 3.0]) == [(0, 2, 0.0, 3.0)]


def test_an_event_starts_at_the_threshold_and_ends_with_the_first_score_below():
    assert changes([0.4, 0.5, 0.4]) == [(1, "new", "alarm", 1, None), (2, "end", "alarm", 1, 2)]


def test_hysteresis_keeps_an_event_but_starts_none():
    assert changes([0.35, 0.5, 0.35, 0.25], hysteresis=0.2) == [
        (1, "new", "alarm", 1, None),
        (3, "end", "alarm", 1, 3),
    ]


def test_neighbours_closer_than_the_merge_gap_are_one_event():
    high = [0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9]  # pauses from 1 to 3 and from 4 to 7
    assert changes(high, merge_gap_sec=3, finish=8) == [
        (0, "new", "alarm", 0, None),
        (7, "end", "alarm", 0, 4),  # the pause has lasted 3 s, so what starts now is another event
        (7, "new", "alarm", 7, None),
        (8, "end", "alarm", 7, 8),
    ]


def test_an_event_counts_once_it_has_lasted_the_minimum_length():
    assert changes([0.9, 0.1, 0.9, 0.9, 0.9, 0.1], min_length_sec=2) == [
        (4, "new", "alarm", 2, None),
        (5, "end", "alarm", 2, 5),
    ]
    # A pause that is merged counts towards the length.
    assert changes([0.9, 0.1, 0.9, 0.1, 0.1, 0.1], min_length_sec=3, merge_gap_sec=2) == [
        (3, "new", "alarm", 0, None),
        (5, "end", "alarm", 0, 3),
    ]


def test_a_notice_becomes_an_alarm_and_stays_one_until_it_ends():
    assert changes([0.3, 0.6, 0.3, 0.1], notice_threshold=0.3) == [
        (0, "new", "notice", 0, None),
        (1, "update", "alarm", 0, None),
        (3, "end", "alarm", 0, 3),
    ]
    short = changes([0.3, 0.6, 0.3, 0.3, 0.1], notice_threshold=0.3, min_length_sec=2)
    assert [one[1:3] for one in short] == [("new", "notice"), ("end", "notice")], "one second of alarm is too short"


def test_cool_down_starts_what_is_still_high_when_it_is_over():
    assert changes([0.9, 0.1, 0.9, 0.9, 0.9, 0.1], cooldown_sec=3) == [
        (0, "new", "alarm", 0, None),
        (1, "end", "alarm", 0, 1),
        (4, "new", "alarm", 4, None),
        (5, "end", "alarm", 4, 5),
    ]


def test_the_cool_down_of_a_notice_lets_an_alarm_through():
    found = changes([0.3, 0.1, 0.3, 0.6, 0.1], notice_threshold=0.3, cooldown_sec=60)
    assert [one[:3] for one in found if one[1] != "end"] == [(0, "new", "notice"), (3, "new", "alarm")]


def test_a_lost_camera_ends_its_event_with_the_last_score():
    assert changes([0.9, 0.9, 0.9], times=[0, 1, 12]) == [
        (0, "new", "alarm", 0, None),
        (12, "end", "alarm", 0, 1),
        (12, "new", "alarm", 12, None),
    ]
    assert changes([0.9, math.nan, math.nan], times=[0, 10, 10.5])[1:] == [(10.5, "end", "alarm", 0, 0)]
    assert changes([0.9], finish=99)[1:] == [(99, "end", "alarm", 0, 0)]


def test_a_score_that_is_no_number_changes_nothing():
    assert changes([math.nan, 0.9, math.nan, math.inf, 0.9, 0.1]) == [
        (1, "new", "alarm", 1, None),
        (5, "end", "alarm", 1, 5),
    ]


def test_a_small_step_back_in_time_is_none_and_a_clock_set_back_ends_the_event():
    assert changes([0.9, 0.9, 0.1], times=[5, 4, 6])[1:] == [(6, "end", "alarm", 5, 6)]
    assert changes([0.9, 0.9, 0.9], times=[500, 501, 3], cooldown_sec=60)[1:] == [
        (3, "end", "alarm", 500, 501),
        (3, "new", "alarm", 3, None),
    ]
    with pytest.raises(ValueError, match=r"finite number of seconds. Received: nan"):
        changes([0.9], times=[math.nan])


def test_a_rising_peak_is_reported_once_a_second():
    tracker = AlarmTracker(AlarmRules(0.5), "door")
    found = [change for n in range(31) for change in tracker.update(n / 10, 0.5 + n / 100)]
    assert [change for change, _ in found] == ["new", "update", "update", "update"]
    assert tracker.open_event.peak_score == pytest.approx(0.8)
    ((change, event),) = tracker.finish(3.1)
    assert (change, event.peak_time, event.end, tracker.open_event) == ("end", 3.0, 3.1, None)


def offline(times, scores, rules, end):
    """The rules read literally, with the whole video at hand. Returns `(level, start, end, peak)` of each event."""
    frames = [(time, score) for time, score in zip(times, scores, strict=True) if math.isfinite(score)]

    def stretch_end(first, threshold):
        """Index after the stretch that starts with a frame, and when it ends."""
        for i in range(first + 1, len(frames)):
            if frames[i][0] - frames[i - 1][0] > rules.max_gap_sec:
                return i, frames[i - 1][0]
            if frames[i][1] < threshold - rules.hysteresis:
                return i, frames[i][0]
        return len(frames), end if end - frames[-1][0] <= rules.max_gap_sec else frames[-1][0]

    def merged(first, threshold, stop):
        """Index after the stretches that belong together, and the end of the last."""
        after, ends = stretch_end(first, threshold)
        for i in range(after, stop):
            if frames[i][0] - ends >= rules.merge_gap_sec:
                break
            if i >= after and frames[i][1] >= threshold:
                after, ends = stretch_end(i, threshold)
        return after, ends

    found, i, quiet = [], 0, (-math.inf, None)
    while i < len(frames):
        time, score = frames[i]
        entry = rules.lowest if time >= quiet[0] else rules.threshold if quiet[1] == "notice" else math.inf
        if score < entry:
            i += 1
            continue
        after, ends = merged(i, rules.lowest, len(frames))
        if ends - time >= rules.min_length_sec:
            level, j = "notice", i
            while j < after:
                if frames[j][1] >= rules.threshold:
                    j_after, j_ends = merged(j, rules.threshold, after)
                    if j_ends - frames[j][0] >= rules.min_length_sec:
                        level = "alarm"
                    j = j_after
                else:
                    j += 1
            if rules.notice_threshold is None:
                level = "alarm"
            found.append((level, time, ends, max(score for _, score in frames[i:after])))
            quiet = ends + rules.cooldown_sec, level
        i = after
    return found


STEPS, SCORES = st.sampled_from([1, 1, 1, 2, 9]), st.sampled_from([0, 1, 2, 3, 4, 5, math.nan])
FRAMES = st.lists(st.tuples(STEPS, SCORES), max_size=60)
RULES = st.builds(
    AlarmRules,
    threshold=st.sampled_from([3, 4]),
    notice_threshold=st.sampled_from([None, 2, 3]),
    hysteresis=st.sampled_from([0, 1, 2]),
    min_length_sec=st.sampled_from([0, 1, 3]),
    merge_gap_sec=st.sampled_from([0, 2, 4, 12]),
    cooldown_sec=st.sampled_from([0, 2, 8]),
    max_gap_sec=st.sampled_from([1, 5, math.inf]),
)


@settings(max_examples=400)
@given(FRAMES, RULES, st.sampled_from([0, 1, 7]))
def test_frame_by_frame_gives_the_events_of_the_whole_video(frames, rules, after):
    times = np.cumsum([step for step, _ in frames]).tolist()
    tracker, found, sizes = AlarmTracker(rules, "door"), [], set()
    for time, (_, score) in zip(times, frames, strict=True):
        found += tracker.update(time, score)
        sizes.add(len(pickle.dumps(tracker)) // 1000)
    found += tracker.finish(times[-1] + after) if times else []
    ended = [event for change, event in found if change == "end"]
    assert [(one.level, one.start, one.end, one.peak_score) for one in ended] == (
        offline(times, [score for _, score in frames], rules, times[-1] + after) if times else []
    )
    assert all(first.end <= second.start for first, second in itertools.pairwise(ended))
    assert sizes <= {0, 1}, "the tracker grows"
    life = {}
    for change, event in found:
        assert (change == "new") == (event.event_id not in life) and life.get(event.event_id) != "end"
        life[event.event_id] = change
    assert set(life.values()) <= {"end"}


@pytest.mark.parametrize("rules", [{}, {"hysteresis": 0.2}, {"merge_gap_sec": 90, "min_length_sec": 60}])
def test_alarms_of_a_video_are_the_events_of_the_same_rules(rules):
    scores = np.random.default_rng(0).random(500)
    times = np.arange(500) * 30.0  # far apart: no camera is lost in a video
    rules = AlarmRules(0.6, **rules)
    alarms = find_alarms(scores, times, rules, 30.0)
    events = find_events(scores, times, rules, 30.0)
    assert [(one.start, one.end, one.peak_score) for one in events] == [tuple(alarm[2:]) for alarm in alarms]
    assert find_events([], [], AlarmRules(0.6), 1.0) == []
