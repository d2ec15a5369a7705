"""Tests of pipelines.config.settings."""

import dataclasses
from typing import Annotated, Literal

from pipelines.config.settings import PositiveInt, Setting, setting, settings_of
from pipelines.config.values import between


@dataclasses.dataclass(frozen=True)
class Section:
    size: PositiveInt = setting(3, "Size of it", "frames")
    kind: Literal["a", "b"] = setting("a", "Kind of it", decides=False)
    kinds: tuple[Literal["a", "b"], ...] = setting((), "Kinds")
    shares: tuple[Annotated[float, between(0, 1)], ...] = setting((0.5,), "Shares")
    inner: Setting = dataclasses.field(default=None)


def test_a_field_tells_its_type_default_unit_help_and_mark():
    size, kind, *_ = settings_of(Section, "section.")
    assert size == Setting("section.size", PositiveInt, 3, "Size of it", "frames", True)
    assert (size.section, size.name, size.choices, size.limits) == ("section", "size", (), "at least 1")
    assert (kind.choices, kind.limits, kind.decides) == (("a", "b"), "", False)
    assert Section().size == 3 and Section(size=4).size == 4


def test_choices_and_limits_of_an_array_are_those_of_its_entries():
    kinds, shares = settings_of(Section)[2:]
    assert (kinds.section, kinds.choices, kinds.limits) == ("", ("a", "b"), "")
    assert (shares.choices, shares.limits) == ((), "in 0..1")
