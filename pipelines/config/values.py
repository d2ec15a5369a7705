"""Values of a configuration: read from TOML, converted to their declared type and checked."""

import difflib
import math
import tomllib
import typing
from dataclasses import dataclass
from typing import Annotated, Literal

# Keys of earlier versions and what they are now.
RENAMED = {f"evaluate.{key}": f"`repeat.{key}`" for key in ("folds", "seeds", "jobs", "rivals", "backend")}
RENAMED |= {"evaluate.bootstrap_samples": "gone: intervals take no random draws. Remove it"}
RENAMED |= {"export.threshold": "`alarms.threshold`", "evaluate.runs": "the command `vad report RUN ...`"}


class UserError(Exception):
    """A user error: fix and rerun. The command prints its text without a traceback and exits with 2."""


@dataclass(frozen=True)
class Limits:
    """Smallest and largest value of a number, as part of its type: ``Annotated[int, at_least(1)]``."""

    low: float
    high: float = math.inf

    def __str__(self):
        return f"at least {self.low}" if self.high == math.inf else f"in {self.low}..{self.high}"

    def check(self, value, where):
        """Return the value; infinity and NaN are refused too.

        Raises:
            UserError: It lies outside the limits.
        """
        if not (self.low <= value <= self.high and math.isfinite(value)):
            raise UserError(f"{where} must be {self}. Received: {value!r}.")
        return value


def at_least(low):
    """Limits of a number that has no largest value."""
    return Limits(low)


def between(low, high):
    """Limits of a number, both included."""
    return Limits(low, high)


def read_toml(path):
    """Return the tables of a TOML file; the error for a missing file names the nearest one."""
    if not path.is_file():
        nearby = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, nearby, n=1, cutoff=0.75)
        hint = f"Did you mean `{path.parent / close[0]}`?" if close else "Check the path given to --config."
        raise UserError(f"no configuration file at {path}. {hint}")
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid TOML: {error}. Strings need quotes there.") from None


def parse_toml(text):
    """Return the tables of a TOML text; whatever is wrong with it is a ``ValueError``."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None


def parse_override(override, types):
    """Split ``section.key=value`` into the dotted key and the value, read as TOML; a bare word is a string."""
    dotted, equals, text = (part.strip() for part in override.partition("="))
    if not equals or not dotted:
        raise UserError(f"`--set {override}` is not `section.key=value`, such as `--set data.root=videos`.")
    if _is_text(types.get(dotted)) and text[:1] not in ("'", '"'):
        return dotted, text
    try:
        parsed = parse_toml(f"value = {text}")
    except ValueError:
        return dotted, text
    return dotted, parsed["value"] if len(parsed) == 1 else text


def unknown_key(dotted, source, types):
    """Return the error for an unknown key: it names the nearest key of any section, or the keys of the section."""
    if dotted in RENAMED:
        return UserError(f"`{dotted}` in {source} is now {RENAMED[dotted]}.")
    section, _, key = dotted.rpartition(".")
    sections = {name.partition(".")[0] for name in types if "." in name}
    text = f"unknown key `{dotted}` in {source}."
    if dotted in sections:
        return UserError(f"`{dotted}` in {source} is a section. {_takes(dotted, types)}")

    def likeness(name):
        return _ratio(key, name.rpartition(".")[2]), _ratio(dotted, name)

    best = max(types, key=likeness)
    if likeness(best)[0] >= 0.6:
        return UserError(f"{text} Did you mean `{best}`?")
    if section in sections:
        return UserError(f"{text} {_takes(section, types)}")
    return UserError(f"{text} Sections are: {', '.join(sorted(sections))}.")


def unknown_section(section, source, types):
    """Return the error for an unknown table: it names the nearest one, or all of them."""
    sections = sorted({name.partition(".")[0] for name in types if "." in name})
    close = difflib.get_close_matches(section, sections, n=1)
    hint = f"Did you mean `[{close[0]}]`?" if close else f"Sections are: {', '.join(sections)}."
    return UserError(f"unknown section `[{section}]` in {source}. {hint}")


def convert(kind, value, where):
    """Return ``value`` as its declared type, checked.

    A TOML array becomes a tuple, and an integer a float where a float is declared.

    Args:
        kind: ``bool``, ``int``, ``float`` or ``str``, a ``Literal`` of strings, ``Annotated`` with ``Limits``, or a
            tuple of one of these, such as ``tuple[int, ...]``.
        value: As ``tomllib`` reads it.
        where: Key and source, for errors.

    Raises:
        UserError: The value has another type, is not one of the choices or lies outside the limits.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if not isinstance(value, list):
            example = '["a.mp4", "folder"]' if _is_text(arguments[0]) else "[1, 2, 4]"
            raise UserError(f"{where} takes an array such as {example}. Received: {value!r}.")
        return tuple(convert(arguments[0], entry, where) for entry in value)
    if origin is Annotated:
        return arguments[1].check(convert(arguments[0], value, where), where)
    if origin is Literal:
        return _check_choice(convert(str, value, where), arguments, where)
    if type(value) is int and abs(value) >= 1 << 63:
        raise UserError(f"{where} takes a number of at most 64 bits. Received: one of {value.bit_length()} bits.")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        name = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}[kind]
        raise UserError(f"{where} takes {name}. Received: {value!r}.")
    return value


def choices_of(kind):
    """Return the values that a type enumerates, of a tuple those of its entries; empty when it enumerates none.

    Example:
    >>> choices_of(Literal["max", "average"]), choices_of(tuple[Literal["a"], ...]), choices_of(int)
    (('max', 'average'), ('a',), ())
    """
    if typing.get_origin(kind) is tuple:
        return choices_of(typing.get_args(kind)[0])
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def _check_choice(value, choices, where):
    if value not in choices:
        close = difflib.get_close_matches(value, choices, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UserError(f"{where} must be one of {', '.join(map(repr, choices))}. Received: {value!r}.{hint}")
    return value


def _is_text(kind):
    return kind is str or typing.get_origin(kind) is Literal


def _ratio(one, other):
    return difflib.SequenceMatcher(None, one, other).ratio()


def _takes(section, types):
    keys = [name.partition(".")[2] for name in types if name.startswith(section + ".")]
    return f"`{section}` takes: {', '.join(keys)}."
