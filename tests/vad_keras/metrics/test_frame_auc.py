"""Tests of vad_keras.metrics.frame_auc."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vad_keras.metrics import frame_auc


def test_value_by_hand():
    # of the four pairs the abnormal frame wins two, ties one and loses one
    assert frame_auc([0, 0, 1, 1], [0.2, 0.5, 0.5, 0.3]) == (1 + 0.5 + 1 + 0) / 4


@settings(max_examples=30, deadline=None)
@given(size=st.integers(2, 400), levels=st.integers(1, 50), seed=st.integers(0, 10_000))
def test_equals_scikit_learn(size, levels, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size)
    labels[:2] = 0, 1
    scores = random.integers(0, levels, size) / levels
    assert frame_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_monotone_change_of_the_scores_changes_nothing():
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 99), random.uniform(size=99)
    assert frame_auc(labels, scores) == frame_auc(labels, scores**3 + 1)
    assert frame_auc(labels, -scores) == pytest.approx(1 - frame_auc(labels, scores), abs=1e-12)


def test_one_class_gives_nan():
    assert np.isnan(frame_auc([1, 1], [0.1, 0.2]))
    assert np.isnan(frame_auc([], []))


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="1 labels and 2 scores"):
        frame_auc([0], [0.1, 0.2])
