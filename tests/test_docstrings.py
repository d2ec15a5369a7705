"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import pipelines
import vad_keras


def modules():
    found = [
        info.name
        for package in (vad_keras, pipelines)
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
    return [name for name in found if not name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_the_examples_hold(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert not result.failed, f"{result.failed} of {result.attempted} examples in {name} differ, see above"
