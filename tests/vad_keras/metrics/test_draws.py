"""Tests of vad_keras.metrics.draws: each draw against `evaluate_videos` on the videos written out."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vad_keras.metrics import bootstrap_videos, draw_videos, evaluate_draws, evaluate_videos

VIDEOS = [
    {"scores": [0.1, 0.6, 0.2], "label": 0},
    {"scores": [0.0, 0.5, 0.9, 0.8], "label": 1, "frame_labels": [0, 0, 1, 1], "class_name": "Arson"},
    {"scores": [0.4, 0.3], "label": 1, "frame_labels": [0, 1], "class_name": "Fight"},
]

frame = st.tuples(st.integers(0, 1), st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1), st.floats(-1e9, 1e9)))
frames = st.lists(frame, min_size=1, max_size=12)


@st.composite
def some_videos(draw):
    """Videos of all kinds: normal with and without frame labels, abnormal with, without and of several classes."""
    videos = []
    for number, content in enumerate(draw(st.lists(frames, min_size=1, max_size=6))):
        label = draw(st.integers(0, 1))
        frame_labels = [frame_label * label for frame_label, _ in content] if draw(st.booleans()) else None
        class_name = draw(st.sampled_from(["", "Arson", "Fight"]))
        scores = [score for _, score in content]
        videos.append({"video_id": f"v{number}", "scores": scores, "label": label, "class_name": class_name})
        videos[-1]["frame_labels"] = frame_labels
    return videos


def written_out(videos, counts):
    return [video for video, count in zip(videos, counts, strict=True) for _ in range(count)]


def assert_as_evaluated(drawn, number, videos, threshold):
    """Every figure of one draw equals that of the same videos, each written as often as it was drawn."""
    expected = evaluate_videos(videos, threshold)
    classes = expected.pop("classes")
    names = [name for name in expected if not name.startswith("num_")]
    assert set(drawn) == {*names, "classes"}
    for name in names:
        assert drawn[name][number] == pytest.approx(expected[name], abs=1e-12, nan_ok=True), name
    for kind, figures in drawn["classes"].items():
        for name, values in figures.items():
            value = classes[kind][name] if kind in classes else np.nan
            assert values[number] == pytest.approx(value, abs=1e-12, nan_ok=True), (kind, name)


def test_every_figure_of_one_draw_by_hand():
    found = evaluate_draws(VIDEOS, [[0, 1, 2]])
    # Arson once and Fight twice. Normal frames 0 .5 .4 .4 against abnormal .9 .8 (four wins each) and .3 .3 (one each)
    assert found["frame_auc"][0] == pytest.approx(10 / 16)
    assert found["frame_auc_abnormal_videos"][0] == pytest.approx(10 / 16)
    assert found["frame_auc_mean_over_videos"][0] == pytest.approx((1 + 0 + 0) / 3)
    # two right of two, then two more among seven
    assert found["average_precision"][0] == pytest.approx(2 / 4 * 1 + 2 / 4 * 4 / 7)
    assert found["recall_at_fpr_10_percent"][0] == pytest.approx(2 / 4)
    assert np.isnan(found["false_alarm_rate_percent"][0]) and np.isnan(found["video_auc"][0])
    assert found["classes"]["Fight"]["frame_auc_abnormal_videos"][0] == 0.0


@settings(max_examples=150)
@given(some_videos(), st.data())
def test_a_draw_equals_the_evaluation_of_its_videos_written_out(videos, data):
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(videos), max_size=len(videos)).filter(any))
    threshold = data.draw(st.sampled_from([0.5, 0.1, 1.0]))
    assert_as_evaluated(evaluate_draws(videos, [counts], threshold), 0, written_out(videos, counts), threshold)


def many_videos(number=40, low=30, high=90):
    random = np.random.default_rng(0)
    videos = []
    for i in range(number):
        frame_labels = np.zeros(random.integers(low, high), int)
        if i % 2:
            frame_labels[2 : 2 + len(frame_labels) // 2] = 1
        scores = np.clip(random.normal(0.4 + 0.2 * frame_labels, 0.2), 0, 1).round(2)
        videos.append({"scores": scores, "label": i % 2, "frame_labels": frame_labels, "class_name": "AB"[i % 4 // 2]})
    return videos


def test_the_draws_of_a_bootstrap_equal_the_plain_bootstrap(monkeypatch):
    monkeypatch.setattr("vad_keras.metrics.draws.BLOCK_NUMBERS", 5000)  # several blocks, the last one short
    videos = many_videos()
    counts = draw_videos(len(videos), samples=30, seed=3)
    drawn = evaluate_draws(videos, counts)
    for number, row in enumerate(counts):
        assert_as_evaluated(drawn, number, written_out(videos, row), 0.5)
    plain = bootstrap_videos(videos, lambda draw: evaluate_videos(draw)["average_precision"], samples=30, seed=3)
    low, high = np.percentile(drawn["average_precision"], [2.5, 97.5])
    assert (low, high) == pytest.approx((plain["low"], plain["high"]), abs=1e-12)


def test_a_thousand_draws_cost_less_than_a_hundred_plain_ones():
    videos = many_videos(number=60, low=500, high=900)
    counts = draw_videos(len(videos), samples=1000)
    start = time.process_time()
    evaluate_draws(videos, counts)
    fast = time.process_time() - start
    start = time.process_time()
    for row in counts[:100]:
        evaluate_videos(written_out(videos, row))
    assert fast < time.process_time() - start


def test_counts_that_do_not_belong_to_the_videos_are_refused():
    with pytest.raises(ValueError, match=r"integers of shape \(samples, 3\).*Received: int64 of shape \(1, 2\)"):
        evaluate_draws(VIDEOS, [[1, 1]])
    with pytest.raises(ValueError, match=r"Received: float64 of shape \(1, 3\)\. Take them from `draw_videos\(3\)`"):
        evaluate_draws(VIDEOS, [[0.5, 1, 1]])
    with pytest.raises(ValueError, match="`scores` must be finite"):
        evaluate_draws([{"scores": [np.nan], "label": 1}], [[1]])
