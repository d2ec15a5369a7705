"""The runs that the promises make of the descriptors: each as described, and with an argument changed."""

from dataclasses import dataclass

from descriptor import Descriptor
from descriptors import DESCRIPTORS

from vad_keras.models.baselines import BASELINES

SHARED_BY_BASELINES = ("patches", "normalize", "pairing")  # one model stands for all: the code is the same


@dataclass(frozen=True)
class Case:
    """A descriptor with the options and inputs of one run."""

    descriptor: Descriptor
    label: str
    options: dict
    inputs: dict

    def __str__(self):
        return f"{self.descriptor.name}-{self.label}"


def changed(descriptor, argument, value):
    """The case in which one argument has another value."""
    inputs = descriptor.inputs | descriptor.other_inputs.get(argument, {})
    options = descriptor.options | descriptor.other_options.get(argument, {}) | {argument: value}
    return Case(descriptor, f"{argument}={value}", options, inputs)


def described(promise):
    """A case for each descriptor that a promise applies to."""
    return [
        Case(descriptor, "described", descriptor.options, descriptor.inputs)
        for descriptor in DESCRIPTORS
        if promise not in descriptor.exempt
    ]


def choices(promise):
    """These and, for each of them, every choice (a text or a truth value) changed: it runs another branch."""
    found, baselines = described(promise), list(BASELINES.values())
    for case in list(found):
        left_out = ("backbone", "dtype", "name")
        if case.descriptor.thing in baselines and case.descriptor.thing is not BASELINES["sultani"]:
            left_out += SHARED_BY_BASELINES
        found += [
            changed(case.descriptor, argument, value)
            for argument, value in case.descriptor.changes.items()
            if isinstance(value, (str, bool)) and argument not in left_out
        ]
    return found
