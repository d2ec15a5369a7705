"""Every public name has an example in its docstring; tests/test_docstrings.py runs them."""

import doctest

import pytest
from cases import described


@pytest.mark.parametrize("case", described("example"), ids=str)
def test_the_docstring_has_an_example(case):
    examples = doctest.DocTestParser().get_examples(case.descriptor.thing.__doc__)
    assert any(example.want for example in examples), "an example shows what comes out"
