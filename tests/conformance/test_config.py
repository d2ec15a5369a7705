"""The configuration, written as JSON, makes an equal object and holds every argument."""

import json

import keras
import pytest
from cases import changed, described

CASES = [
    case
    for plain in described("config")
    for case in (plain, *(changed(plain.descriptor, *change) for change in plain.descriptor.changes.items()))
    if not any(callable(value) for value in case.options.values())  # a file, which a saved object must not need again
]


def as_json(thing):
    return json.loads(json.dumps(keras.saving.serialize_keras_object(thing)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_configuration_makes_an_equal_object(case):
    thing = case.descriptor.thing(**case.options)
    twin = keras.saving.deserialize_keras_object(as_json(thing))
    assert type(twin) is case.descriptor.thing
    assert as_json(twin) == as_json(thing)
    config = thing.get_config()
    assert {name: config[name] for name in case.options} == case.options
