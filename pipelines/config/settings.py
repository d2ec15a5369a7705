"""What a setting is: a field whose type carries its choices and limits, with a default, a unit and one line of help."""

import dataclasses
import typing
from dataclasses import dataclass
from typing import Annotated

from pipelines.config.values import Limits, at_least, between, choices_of

PositiveInt = Annotated[int, at_least(1)]
NonNegativeInt = Annotated[int, at_least(0)]
NonNegativeFloat = Annotated[float, at_least(0)]
Fraction = Annotated[float, between(0, 1)]
Seed = Annotated[int, between(0, 2**31 - 1)]


def setting(default, help, unit="", decides=True):
    """Declare a field of a section.

    Args:
        default: Its default value.
        help: One line that says what it is.
        unit: Unit of the number, such as ``"frames"``.
        decides: Whether it can change a trained weight or a score. Only what surely changes neither is marked False:
            trainings that differ in nothing else are the same, and an exported model does not mention it.
    """
    return dataclasses.field(default=default, metadata={"help": help, "unit": unit, "decides": decides})


@dataclass(frozen=True)
class Setting:
    """Everything that is known of a setting.

    Args:
        key: Dotted key, such as ``"detector.key_dim"``.
        type: Its type, with ``Literal`` for choices and ``Annotated`` for limits.
        default, help, unit, decides: As given to ``setting``.
    """

    key: str
    type: typing.Any
    default: typing.Any
    help: str
    unit: str
    decides: bool

    @property
    def section(self):
        """Name of its section; empty for a key at the top level."""
        return self.key.rpartition(".")[0]

    @property
    def name(self):
        """Its key without the section."""
        return self.key.rpartition(".")[2]

    @property
    def choices(self):
        """Values that it may take; empty when they are not enumerated."""
        return choices_of(self.type)

    @property
    def limits(self):
        """Limits of its value in words, such as ``"at least 1"``; empty when it has none."""
        kind = self.type
        if typing.get_origin(kind) is tuple:
            kind = typing.get_args(kind)[0]
        return next((str(rule) for rule in typing.get_args(kind)[1:] if isinstance(rule, Limits)), "")


def settings_of(section, prefix=""):
    """The settings of a section's class, as ``Setting``s in order.

    Args:
        section: Frozen dataclass; fields that are sections themselves are left out.
        prefix: Name of the section with a dot.
    """
    fields = [field for field in dataclasses.fields(section) if not dataclasses.is_dataclass(field.type)]
    return [Setting(prefix + field.name, field.type, field.default, **field.metadata) for field in fields]
