"""notebooks/03_mean_field_crf.ipynb runs on JAX, and its exact marginals are those of the oracle."""

import re

import numpy as np
import pytest

from tests.oracles.formulas import POTTS, enumerated_marginals


@pytest.fixture(scope="module")
def shown(run_on_jax):
    return run_on_jax("03_mean_field_crf")


def numbers(pattern, text):
    return [float(number) for number in re.search(pattern, text)[1].split()]


def test_it_runs_on_jax(shown):
    assert re.match(r"Keras [\d.]+ on jax\n", shown.text)


def test_its_exact_marginals_are_those_of_the_oracle(shown):
    log_odds = np.array([-2.0, -1.0, 2.5, 1.5, 0.0, -0.4, -1.5, -2.0])
    frame = np.arange(8) // 2
    weights = 0.6 * np.exp(-np.abs(frame[:, None] - frame)) * (1 - np.eye(8))
    expected = enumerated_marginals(np.stack([log_odds, -log_odds], axis=-1) / 2, weights, POTTS)[:, 1]
    np.testing.assert_allclose(numbers(r"exact marginals: \[([^]]+)\]", shown.text), expected, atol=6e-4)


def test_the_passes_lead_to_the_exact_marginals_and_the_error_is_of_second_order(shown):
    before, after = map(float, re.search(r"marginals: (\S+) before the first pass, (\S+) at", shown.text).groups())
    assert after < 0.5 * before
    assert 1.7 < numbers(r"2\^(\S+) times the error", shown.text)[0] < 2.3


def test_a_video_halts_later_at_a_smaller_tolerance_and_with_stronger_edges(shown):
    rows = re.findall(r"^x \S+ +((?:\d+ +){4})$", shown.text, re.M)
    counts = np.array([[int(count) for count in row.split()] for row in rows])
    assert counts.shape == (4, 4) and (counts[0] == 1).all() and counts[-1, -1] > 5
    assert (np.diff(counts, axis=0) >= 0).all() and (np.diff(counts, axis=1) >= 0).all()


def test_a_batch_equals_its_videos_one_by_one(shown):
    assert numbers(r"one by one: (\S+)", shown.text)[0] < 1e-6
    directed, mean = re.findall(r"largest error (\S+)", shown.text)
    assert float(mean) < float(directed)
