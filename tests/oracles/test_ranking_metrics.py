"""Ranking metrics against scikit-learn, on whatever labels and scores hypothesis finds: ties, extremes, tiny sets."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vad_keras.metrics import average_precision, evaluate_videos, frame_auc, recall_at_fpr, video_auc

score = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0]),  # ties
    st.floats(0, 1),
    st.floats(-1e300, 1e300, allow_nan=False),  # no metric here may assume probabilities
    st.sampled_from([1 / 3, np.nextafter(1 / 3, 1)]),  # neighbours that differ in the last bit
)
video = st.lists(st.tuples(st.integers(0, 1), score), min_size=1, max_size=30)
videos_of_both_classes = st.lists(video, min_size=1, max_size=5).filter(
    lambda videos: {label for frames in videos for label, _ in frames} == {0, 1}
)
thorough = settings(max_examples=150, deadline=None, derandomize=True)


def columns(videos):
    """Labels and scores as lists of arrays, one a video, and joined."""
    labels = [np.array([label for label, _ in frames]) for frames in videos]
    scores = [np.array([score for _, score in frames]) for frames in videos]
    return labels, scores, np.concatenate(labels), np.concatenate(scores)


@thorough
@given(videos_of_both_classes)
@example([[(0, 0.5), (1, 0.5)]])
def test_frame_auc_and_average_precision_equal_scikit_learn(videos):
    labels, scores, all_labels, all_scores = columns(videos)
    assert frame_auc(labels, scores) == pytest.approx(roc_auc_score(all_labels, all_scores), abs=1e-12)
    expected = average_precision_score(all_labels, all_scores)
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)


@thorough
@given(videos_of_both_classes, st.one_of(st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]), st.floats(0, 1)))
def test_recall_at_a_false_positive_rate_equals_scikit_learns_curve(videos, fpr):
    labels, scores, all_labels, all_scores = columns(videos)
    false_rate, true_rate, _ = roc_curve(all_labels, all_scores, drop_intermediate=False)
    assert recall_at_fpr(labels, scores, fpr) == pytest.approx(true_rate[false_rate <= fpr].max(), abs=1e-12)


@thorough
@given(st.lists(video, min_size=2, max_size=6), st.data())
def test_video_auc_equals_scikit_learn_on_the_highest_scores(videos, data):
    of_videos = data.draw(st.lists(st.integers(0, 1), min_size=len(videos), max_size=len(videos)))
    assume(set(of_videos) == {0, 1})
    _, scores, _, _ = columns(videos)
    expected = roc_auc_score(of_videos, [frames.max() for frames in scores])
    assert video_auc(of_videos, scores) == pytest.approx(expected, abs=1e-12)


@thorough
@given(videos_of_both_classes)
def test_the_report_pools_as_scikit_learn_does(videos):
    labels, scores, all_labels, all_scores = columns(videos)
    of_videos = [int(frames.any()) for frames in labels]
    report = evaluate_videos(
        [
            {"scores": s, "label": y, "frame_labels": frames}
            for s, y, frames in zip(scores, of_videos, labels, strict=True)
        ]
    )
    assert report["frame_auc"] == pytest.approx(roc_auc_score(all_labels, all_scores), abs=1e-12)
    abnormal = [number for number, label in enumerate(of_videos) if label]
    inside_labels = np.concatenate([labels[number] for number in abnormal])
    if inside_labels.all():
        assert np.isnan(report["frame_auc_abnormal_videos"])
    else:
        inside = roc_auc_score(inside_labels, np.concatenate([scores[number] for number in abnormal]))
        assert report["frame_auc_abnormal_videos"] == pytest.approx(inside, abs=1e-12)
