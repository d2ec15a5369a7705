"""Tests of vad_keras.metrics.recall_at_fpr."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from vad_keras.metrics import recall_at_fpr

LABELS = [1, 0, 1, 0, 1, 0, 0]
SCORES = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]


def test_value_by_hand():
    assert recall_at_fpr(LABELS, SCORES, 0.0) == pytest.approx(1 / 3)
    assert recall_at_fpr(LABELS, SCORES, 0.25) == pytest.approx(2 / 3)
    assert recall_at_fpr(LABELS, SCORES, 0.49) == pytest.approx(2 / 3)
    assert recall_at_fpr(LABELS, SCORES, 0.5) == 1


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(2, 300),
    levels=st.integers(1, 50),
    fpr=st.sampled_from([0, 0.01, 0.05, 0.1, 0.5, 1]),
    seed=st.integers(0, 10_000),
)
def test_equals_scikit_learn(size, levels, fpr, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size)
    labels[:2] = 0, 1
    scores = random.integers(0, levels, size) / levels
    false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert recall_at_fpr(labels, scores, fpr) == pytest.approx(true_rate[false_rate <= fpr].max(), abs=1e-12)


def test_more_false_alarms_never_find_less():
    found = [recall_at_fpr(LABELS, SCORES, fpr) for fpr in np.linspace(0, 1, 21)]
    assert found == sorted(found)


def test_one_class_gives_nan():
    assert np.isnan(recall_at_fpr([1, 1], [0.1, 0.2], 0.1))


def test_percent_instead_of_a_share_is_refused():
    with pytest.raises(ValueError, match=r"`fpr` must be a number in \[0, 1\]\. Received: 5"):
        recall_at_fpr(LABELS, SCORES, 5)
