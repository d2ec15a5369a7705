"""Tests of vad_keras.checks."""

import numpy as np
import pytest

from vad_keras import checks


@pytest.mark.parametrize("value", [0, -1, 2.5, 2.0, "4", None, True, float("nan"), [1]])
def test_an_integer_is_an_integer_of_at_least_the_minimum(value):
    checks.integers(1, units=1, key_dim=np.int64(3))
    with pytest.raises(ValueError, match=r"`units` must be an integer of at least 1\. Received: "):
        checks.integers(1, key_dim=3, units=value)


@pytest.mark.parametrize(
    ("interval", "good", "bad"),
    [
        ("[0, 1)", (0, 0.5, np.float32(0.25)), (1, -0.1, float("nan"), float("inf"), "0", None, False)),
        ("(0, 1]", (1e-9, 1), (0, 1.1)),
        ("[0, inf)", (0, 1e30), (float("inf"), -1e-9)),
        ("(-inf, inf)", (-3, 0, 7.5), (float("-inf"), "half")),
    ],
)
def test_a_number_lies_in_its_interval(interval, good, bad):
    for value in good:
        checks.numbers_in(interval, margin=value)
    for value in bad:
        with pytest.raises(ValueError) as raised:
            checks.numbers_in(interval, margin=value)
        assert str(raised.value) == f"`margin` must be a number in {interval}. Received: {value!r}."


def test_an_entry_of_a_list_is_named_by_its_position():
    checks.integer_lists(1, units=[4, 3])
    checks.number_lists("[0, 1]", 2, shares=(0, 1))
    with pytest.raises(ValueError, match=r"`units\[1\]` must be an integer of at least 1\. Received: 0\."):
        checks.integer_lists(1, units=(4, 0))
    with pytest.raises(ValueError, match=r"`shares` must be a tuple of 2 numbers in \[0, 1\]\. Received: \(1,\)\."):
        checks.number_lists("[0, 1]", 2, shares=(1,))
    with pytest.raises(ValueError, match=r"`units` must be a tuple of one or more integers of at least 1"):
        checks.integer_lists(1, units="43")


def test_a_seed_is_none_or_not_negative():
    checks.seed(None)
    checks.seed(0)
    with pytest.raises(ValueError, match=r"`seed` must be an integer of at least 0\. Received: -1\."):
        checks.seed(-1)


def test_a_choice_is_one_of_them():
    checks.choice(("max", "mean"), mode="max")
    with pytest.raises(ValueError, match=r"`mode` must be one of \('max', 'mean'\)\. Received: 'median'\. Take max\."):
        checks.choice(("max", "mean"), "Take max.", mode="median")


@pytest.mark.parametrize("strange", [255, -1, 0.5, float("nan")])
def test_labels_are_0_or_1(strange):
    assert checks.labels([0, 1, True]).shape == (3,)
    with pytest.raises(ValueError, match=rf"0 \(normal\) or 1 \(abnormal\)\. Received also: \[{strange}"):
        checks.labels(np.array([0, strange, 1]))


def test_there_is_one_label_per_video():
    checks.labels(np.zeros((3, 1)))
    for labels in (np.zeros((3, 5)), np.zeros((3, 1, 1)), 1):
        with pytest.raises(ValueError, match=r"one label per video, shape \(B,\)\. Received shape: \("):
            checks.labels(labels)
    with pytest.raises(ValueError, match="labels are missing"):
        checks.labels(None)


def test_channels_are_the_last_axis_and_known():
    assert checks.channels("nodes", (None, None, 14, 256)) == 256
    with pytest.raises(ValueError, match=r"channels of `x` must be known\. Received shape: \(None, 4, None\)"):
        checks.channels("x", (None, 4, None))
