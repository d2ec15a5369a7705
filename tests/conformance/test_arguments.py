"""Every argument changes something: a weight's shape, a name, an output, a loss or an output in training."""

import functools
import inspect
import itertools

import keras
import numpy as np
import pytest
from cases import changed, described
from harness import assert_equal_numbers, make, outputs, to_numpy

CASES = described("arguments")
STARTS = ("potts_weight", "initial_weight")  # arguments that a weight starts from
CHANGES = [(case, argument) for case in CASES for argument in case.descriptor.changes]


def observations(case):
    """What can be seen of an object, the cheap things first."""
    keras.utils.set_random_seed(0)
    thing = make(case)
    yield {f"shape {n}": np.array(w.shape) for n, w in enumerate(getattr(thing, "trainable_variables", []))}
    if isinstance(thing, (keras.losses.Loss, keras.metrics.Metric)):
        yield {thing.name: np.zeros(0)}
    if isinstance(thing, keras.metrics.Metric):  # the AUC of Keras counts in float32 whatever its dtype is
        yield {thing.dtype: np.zeros(0)}
    yield to_numpy(outputs(case, thing))
    if not isinstance(thing, keras.layers.Layer):
        return
    keras.utils.set_random_seed(0)
    thing = make(case)
    for _ in range(case.descriptor.training_calls):
        found = to_numpy(outputs(case, thing, training=True))
    yield found
    yield to_numpy({f"penalty {number}": penalty for number, penalty in enumerate(thing.losses)})
    changes = case.descriptor.changes
    if set(changes) & set(STARTS) or any(map(callable, changes.values())):  # a file of weights
        keras.utils.set_random_seed(0)
        yield {str(n): np.array(w) for n, w in enumerate(make(case, fix=lambda thing: None).weights)}


@functools.cache
def of_the_description(name):
    return list(observations(next(case for case in CASES if case.descriptor.name == name)))


def differ(found, expected):
    try:
        assert_equal_numbers(found, expected, tolerance=1e-4)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_argument_is_changed_by_the_descriptor(case):
    thing = case.descriptor.thing
    if inspect.isclass(thing):
        arguments = inspect.signature(thing).parameters if "__init__" in vars(thing) else {}
    else:
        arguments = inspect.signature(thing).parameters
    given = {"kwargs", *case.inputs} | ({"outputs"} if case.descriptor.call else set())
    assert set(arguments) - given == set(case.descriptor.changes)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_differs_without_a_change(case):
    for found, expected in zip(observations(case), of_the_description(case.descriptor.name), strict=True):
        assert not differ(found, expected)


@pytest.mark.parametrize(
    ("case", "argument"), CHANGES, ids=[f"{case.descriptor.name}-{argument}" for case, argument in CHANGES]
)
def test_the_argument_changes_something(case, argument, tmp_path):
    value = case.descriptor.changes[argument]
    found = observations(changed(case.descriptor, argument, value(tmp_path) if callable(value) else value))
    assert any(itertools.starmap(differ, zip(found, of_the_description(case.descriptor.name), strict=False)))
