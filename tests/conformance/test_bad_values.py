"""Every number that a public name takes is checked: an error names the argument. A zero is refused, or it works."""

import inspect
import numbers

import numpy as np
import pytest
from cases import changed
from descriptors import DESCRIPTORS
from harness import make, outputs, to_numpy


def is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_numbers(value):
    return isinstance(value, tuple) and bool(value) and all(is_number(item) for item in value)


def usual_value(descriptor, name):
    """A value of the argument that is known to be good; one that shows its type."""
    default = inspect.signature(descriptor.thing).parameters[name].default
    for value in (descriptor.options.get(name), default, descriptor.changes.get(name)):
        if is_number(value) or is_numbers(value):
            return value
    return None


def bad_values(usual):
    """Values of wrong type and size for an argument of this type."""
    if isinstance(usual, tuple):
        return [(), 3, "34", *((*usual[:-1], bad) for bad in bad_values(usual[-1]))]
    bad = ["4", None, -1, float("nan"), float("inf"), [1], True]
    return [*bad, 2.5] if isinstance(usual, int) else bad


ARGUMENTS = [
    (descriptor, name)
    for descriptor in DESCRIPTORS
    for name in inspect.signature(descriptor.thing).parameters
    if name not in descriptor.inputs and name != "kwargs" and usual_value(descriptor, name) is not None
]
MAY_BE_NEGATIVE = ("threshold", "initial_weight")
MAY_BE_FRACTIONS = ("k", "alpha")
MAY_BE_NONE = ("seed", "image_size")


def use(descriptor, name, value):
    case = changed(descriptor, name, value)
    thing = make(case)
    return to_numpy(outputs(case, thing)) if inspect.isclass(descriptor.thing) else outputs(case, thing)


def is_allowed(name, value):
    return (
        (name in MAY_BE_NEGATIVE and value == -1)
        or (name in MAY_BE_NONE and value is None)
        or (name in MAY_BE_FRACTIONS and value == 2.5 and name != "k")
    )


@pytest.mark.parametrize(("descriptor", "name"), ARGUMENTS, ids=[f"{d.name}-{name}" for d, name in ARGUMENTS])
def test_a_bad_value_is_refused_by_the_name_of_its_argument(descriptor, name):
    for value in bad_values(usual_value(descriptor, name)):
        if not is_allowed(name, value):
            with pytest.raises(ValueError, match=rf"`{name}(\[\d\])?` must ") as raised:
                use(descriptor, name, value)
            received = value[-1] if isinstance(value, tuple) and value else value
            assert repr(received) in str(raised.value) or str(received) in str(raised.value)


@pytest.mark.parametrize(("descriptor", "name"), ARGUMENTS, ids=[f"{d.name}-{name}" for d, name in ARGUMENTS])
def test_a_zero_is_refused_or_works(descriptor, name):
    usual = usual_value(descriptor, name)
    zero = (*usual[:-1], 0) if isinstance(usual, tuple) else 0
    try:
        found = use(descriptor, name, zero)
    except ValueError as error:
        assert f"`{name}" in str(error)
        return
    values = found.values() if isinstance(found, dict) else [found]
    assert all(np.isfinite(value).all() for value in values if isinstance(value, np.ndarray))


def test_an_unknown_loss_option_is_named():
    from vad_keras.models import AnomalyDetector

    with pytest.raises(ValueError, match=r"unknown key 'margn' in `loss_options`\. Did you mean 'margin'\?"):
        AnomalyDetector(loss_options={"margn": 1.0})
    with pytest.raises(ValueError, match=r"`contrast_weight` must be a number in \[0, inf\)\. Received: nan"):
        AnomalyDetector(loss_options={"contrast_weight": float("nan")})
