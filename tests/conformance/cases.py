"""The runs that the promises make of the descriptors: each as described, and with arguments changed."""

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
    return all_changed(descriptor, {argument: value})


def all_changed(descriptor, values):
    """The case in which these arguments have other values."""
    inputs, options = dict(descriptor.inputs), dict(descriptor.options)
    for argument in values:
        inputs |= descriptor.other_inputs.get(argument, {})
        options |= descriptor.other_options.get(argument, {})
    label = ",".join(f"{argument}={value}" for argument, value in values.items())
    return Case(descriptor, label, options | values, inputs)


def described(promise):
    """A case for each descriptor that a promise applies to."""
    return [
        Case(descriptor, "described", descriptor.options, descriptor.inputs)
        for descriptor in DESCRIPTORS
        if promise not in descriptor.exempt
    ]


def choices(promise):
    """These and, for each of them, a case with every choice (a text or a truth value) changed: it runs other branches.

    A choice that leaves out the code of others (``Descriptor.leaves_out``) has a case of its own.
    """
    found, baselines = described(promise), list(BASELINES.values())
    for case in list(found):
        ignored = ("backbone", "dtype", "name")
        if case.descriptor.thing in baselines and case.descriptor.thing is not BASELINES["sultani"]:
            ignored += SHARED_BY_BASELINES
        values = {
            argument: value
            for argument, value in case.descriptor.changes.items()
            if isinstance(value, (str, bool)) and argument not in ignored
        }
        apart = [{argument: values.pop(argument)} for argument in case.descriptor.leaves_out]
        found += [all_changed(case.descriptor, together) for together in (values, *apart) if together]
    return found
