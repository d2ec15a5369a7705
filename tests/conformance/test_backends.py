"""TensorFlow, JAX and PyTorch give equal numbers, eager and compiled: outputs, losses and gradients, for every choice.

One file, so that the tests run in one worker and each backend is started once.
"""

import pytest
from cases import choices, described
from harness import assert_equal_numbers


def part(numbers, kind):
    return {name: value for name, value in next(iter(numbers.values())).items() if name.startswith(kind)}


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("case", choices("backends"), ids=str)
def test_the_numbers_are_those_of_tensorflow(case, backend, numbers):
    found, expected = numbers(backend, case), numbers("tensorflow", case)
    assert_equal_numbers(part(found, "output"), part(expected, "output"))
    # sums of many terms that cancel
    assert_equal_numbers(part(found, "gradient"), part(expected, "gradient"), tolerance=5e-5)


@pytest.mark.parametrize("mode", ["compiled", "XLA"])
@pytest.mark.parametrize("case", described("compiled"), ids=str)
def test_compilation_changes_no_number(case, mode, numbers):
    found = numbers("tensorflow", case)
    assert_equal_numbers(found[mode], found["eager"], tolerance=2e-5)
