"""Tests of vad_keras.metrics.report."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vad_keras.metrics import evaluate_videos

VIDEOS = [
    {"scores": [0.1, 0.6, 0.2], "label": 0},
    {"scores": [0.0, 0.5, 0.9, 0.8], "label": 1, "frame_labels": [0, 0, 1, 1], "class_name": "Arson"},
    {"scores": [0.4, 0.3], "label": 1, "frame_labels": [0, 1], "class_name": "Fight"},
]


def many_videos(seed=0, number=30):
    random = np.random.default_rng(seed)
    videos = []
    for i in range(number):
        frame_labels = np.zeros(random.integers(5, 40), int)
        if i % 2:
            frame_labels[2 : 2 + len(frame_labels) // 2] = 1
        scores = np.clip(random.normal(0.4 + 0.2 * frame_labels, 0.2), 0, 1).round(2)
        name = ("Arson", "Fight", "Abuse")[i % 3] if i % 2 else "Normal"
        videos.append({"scores": scores, "label": i % 2, "frame_labels": frame_labels, "class_name": name})
    return videos


def test_every_figure_by_hand():
    report = evaluate_videos(VIDEOS)
    # normal frames .1 .6 .2 | 0 .5 | .4 against abnormal .9 .8 | .3: six and six and three wins of eighteen
    assert report["frame_auc"] == pytest.approx(15 / 18)
    assert report["frame_auc_abnormal_videos"] == pytest.approx((3 + 3 + 1) / 9)
    assert report["frame_auc_mean_over_videos"] == pytest.approx((1 + 0) / 2)
    assert report["false_alarm_rate_percent"] == pytest.approx(100 / 3)
    assert report["recall_at_fpr_1_percent"] == pytest.approx(2 / 3)
    assert report["video_auc"] == 0.5  # .9 wins against .6, .4 does not
    # the perfect guess: 3 of 6 normal frames lie in normal videos and lose, the other 3 tie
    assert report["frame_auc_constant_per_video"] == pytest.approx(0.75)
    assert report["classes"]["Fight"] == pytest.approx(
        {"frame_auc": 2 / 4, "frame_auc_abnormal_videos": 0.0, "num_videos": 1}
    )
    assert (report["num_videos"], report["num_abnormal_videos"]) == (3, 2)
    assert (report["num_frames"], report["num_abnormal_frames"]) == (9, 3)


def test_pooled_figures_equal_scikit_learn():
    videos = many_videos()
    report = evaluate_videos(videos)
    labels = np.concatenate([video["frame_labels"] for video in videos])
    scores = np.concatenate([video["scores"] for video in videos])
    assert report["frame_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert report["average_precision"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    for percent in (1, 5, 10):
        expected = true_rate[false_rate <= percent / 100].max()
        assert report[f"recall_at_fpr_{percent}_percent"] == pytest.approx(expected, abs=1e-12)
    inside = [roc_auc_score(video["frame_labels"], video["scores"]) for video in videos if video["label"]]
    assert report["frame_auc_mean_over_videos"] == pytest.approx(np.mean(inside), abs=1e-12)
    guess = np.concatenate([np.full(len(video["scores"]), video["label"]) for video in videos])
    assert report["frame_auc_constant_per_video"] == pytest.approx(roc_auc_score(labels, guess), abs=1e-12)
    assert sorted(report["classes"]) == ["Abuse", "Arson", "Fight"]


def test_order_of_the_videos_changes_nothing():
    videos = many_videos()
    report, reversed_report = evaluate_videos(videos), evaluate_videos(videos[::-1])
    classes, reversed_classes = report.pop("classes"), reversed_report.pop("classes")
    assert reversed_report == pytest.approx(report, abs=1e-12)
    for name in classes:
        assert reversed_classes[name] == pytest.approx(classes[name], abs=1e-12)


def test_abnormal_video_without_frame_labels_counts_as_a_video_only():
    more = [*VIDEOS, {"scores": [1.0], "label": 1, "frame_labels": None}]
    report, before = evaluate_videos(more), evaluate_videos(VIDEOS)
    assert report["frame_auc"] == before["frame_auc"]
    assert report["video_auc"] == pytest.approx(2 / 3)
    assert report["num_videos_without_frame_labels"] == 1


def test_wholly_abnormal_video_has_no_area_of_its_own():
    more = [*VIDEOS, {"scores": [0.7, 0.8], "label": 1, "frame_labels": [1, 1]}]
    assert evaluate_videos(more)["frame_auc_mean_over_videos"] == pytest.approx(0.5)


def test_only_normal_videos_leave_the_areas_undefined():
    report = evaluate_videos(VIDEOS[:1])
    assert np.isnan(report["frame_auc"])
    assert np.isnan(report["video_auc"])
    assert report["false_alarm_rate_percent"] == pytest.approx(100 / 3)


def test_threshold_moves_the_false_alarms():
    assert evaluate_videos(VIDEOS, threshold=0.7)["false_alarm_rate_percent"] == 0


def test_bad_video_is_named():
    with pytest.raises(ValueError, match=r"video number 1 must have .*label None"):
        evaluate_videos([VIDEOS[0], {"scores": [0.1]}])
    with pytest.raises(ValueError, match=r"video Arson011 must have a score for each.*2 scores, 3 frame"):
        evaluate_videos([{"video_id": "Arson011", "scores": [0.1, 0.2], "label": 1, "frame_labels": [0, 1, 1]}])
