"""Every public name has a descriptor, and every exemption a reason."""

import pytest
from descriptor import PROMISES
from descriptors import DESCRIPTORS

from vad_keras import layers, losses, metrics, models


@pytest.mark.parametrize("room", [layers, losses, metrics, models], ids=lambda room: room.__name__)
def test_every_public_name_has_a_descriptor(room):
    public = {getattr(room, name) for name in room.__all__}
    missing = sorted(thing.__name__ for thing in public - {descriptor.thing for descriptor in DESCRIPTORS})
    assert not missing, f"describe these in tests/conformance/descriptors.py: {missing}"


@pytest.mark.parametrize("descriptor", DESCRIPTORS, ids=lambda descriptor: descriptor.name)
def test_an_exemption_names_a_promise_and_a_reason(descriptor):
    assert set(descriptor.exempt) <= set(PROMISES)
    assert all(len(reason.split()) > 2 for reason in descriptor.exempt.values() if reason != "likewise")
