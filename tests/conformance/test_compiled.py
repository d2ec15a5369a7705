"""Eager, compiled and under XLA the outputs and gradients are equal; test_backends.py holds JAX, compiled, to them."""

import pytest
from cases import described
from harness import assert_equal_numbers


@pytest.mark.parametrize("mode", ["compiled", "XLA"])
@pytest.mark.parametrize("case", described("compiled"), ids=str)
def test_compilation_changes_no_number(case, mode, numbers):
    found = numbers("tensorflow", case)
    assert_equal_numbers(found[mode], found["eager"], tolerance=2e-5)
