"""Tests of vad_keras.metrics.video_auc."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vad_keras.metrics import video_auc


def test_value_by_hand():
    # maxima .3, .2 and .9: the abnormal videos win one of two pairs
    assert video_auc([0, 1, 1], [[0.1, 0.3], [0.2], [0.9, 0.0]]) == 0.5


def test_equals_scikit_learn_on_the_maxima():
    random = np.random.default_rng(0)
    scores = [random.uniform(size=random.integers(1, 20)) for _ in range(40)]
    labels = random.integers(0, 2, 40)
    assert video_auc(labels, scores) == pytest.approx(roc_auc_score(labels, [s.max() for s in scores]), abs=1e-12)


def test_order_of_the_frames_changes_nothing():
    assert video_auc([0, 1], [[0.1, 0.3], [0.2, 0.9]]) == video_auc([0, 1], [[0.3, 0.1], [0.9, 0.2]])


def test_errors_name_what_came():
    with pytest.raises(ValueError, match="Received: 2 and 1"):
        video_auc([0, 1], [[0.1]])
    with pytest.raises(ValueError, match=r"entries \[1\]"):
        video_auc([0, 1], [[0.1], []])
