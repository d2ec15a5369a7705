"""Tests of pipelines.config.values."""

import re
from typing import Annotated, Literal

import pytest

from pipelines.config import load_config
from pipelines.config.values import UserError, at_least, between, choices_of, convert, parse_override, unknown_key

TYPES = {"seed": int, "data.root": str, "data.sizes": tuple[int, ...], "train.learning_rate": float}


@pytest.mark.parametrize(
    ("override", "parsed"),
    [
        ("seed = 3", ("seed", 3)),
        ("data.sizes=[1, 2]", ("data.sizes", [1, 2])),
        ("train.learning_rate=1e-3", ("train.learning_rate", 0.001)),
        ("seed=word", ("seed", "word")),
        ('data.root="quoted # text"', ("data.root", "quoted # text")),
    ],
)
def test_an_override_is_read_as_toml(override, parsed):
    assert parse_override(override, TYPES) == parsed


def test_an_override_cannot_smuggle_in_a_second_line():
    assert parse_override("seed=1\nother=2", TYPES) == ("seed", "1\nother=2")


@pytest.mark.parametrize("override", ["seed", "=3"])
def test_an_override_without_key_or_value_says_how_one_is_written(override):
    with pytest.raises(UserError, match=r"is not `section\.key=value`, such as"):
        parse_override(override, TYPES)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, True, "takes an integer. Received: True."),
        (int, 1.0, "takes an integer. Received: 1.0."),
        (bool, 1, "takes true or false. Received: 1."),
        (float, "x", "takes a number. Received: 'x'."),
        (str, 1, "takes a string. Received: 1."),
        (tuple[int, ...], 3, "takes an array such as [1, 2, 4]. Received: 3."),
        (tuple[str, ...], "a", 'takes an array such as ["a.mp4", "folder"]. Received: \'a\'.'),
        (tuple[int, ...], [1, "a"], "takes an integer. Received: 'a'."),
    ],
)
def test_a_wrong_type_names_the_right_one(kind, value, expected):
    with pytest.raises(UserError) as caught:
        convert(kind, value, "`x` in --set")
    assert str(caught.value) == f"`x` in --set {expected}"


def test_an_integer_serves_as_a_number_and_an_array_becomes_a_tuple():
    assert convert(float, 2, "") == 2.0 and type(convert(float, 2, "")) is float
    assert convert(tuple[int, ...], [1, 2], "") == (1, 2)


def test_infinity_is_no_value():
    with pytest.raises(UserError, match=r"must be at least 0\. Received: inf"):
        convert(Annotated[float, at_least(0)], float("inf"), "`x`")


@pytest.mark.parametrize(("value", "text"), [(-1, "in 0..5"), (6, "in 0..5")])
def test_limits_belong_to_the_type_of_a_number_and_of_the_entries_of_an_array(value, text):
    share = Annotated[int, between(0, 5)]
    assert convert(share, 5, "") == 5 and convert(tuple[share, ...], [0, 5], "") == (0, 5)
    for kind, given in ((share, value), (tuple[share, ...], [1, value])):
        with pytest.raises(UserError, match=rf"^`x` must be {re.escape(text)}\. Received: {value}\.$"):
            convert(kind, given, "`x`")


def test_choices_belong_to_the_type_too():
    kind = Literal["layer", "unit"]
    assert convert(kind, "unit", "") == "unit" and choices_of(tuple[kind, ...]) == ("layer", "unit")
    with pytest.raises(UserError) as caught:
        convert(kind, "units", "`x`")
    assert str(caught.value) == "`x` must be one of 'layer', 'unit'. Received: 'units'. Did you mean 'unit'?"
    with pytest.raises(UserError, match=r"takes a string\. Received: 3\."):
        convert(kind, 3, "`x`")


def test_a_key_like_no_other_gets_the_list_of_its_section():
    assert str(unknown_key("data.zzz", "f.toml", TYPES)) == (
        "unknown key `data.zzz` in f.toml. `data` takes: root, sizes."
    )
    assert str(unknown_key("qqq.zzz", "f.toml", TYPES)).endswith("Sections are: data, train.")
    assert str(unknown_key("data", "f.toml", TYPES)) == "`data` in f.toml is a section. `data` takes: root, sizes."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 5000, "not valid TOML: its brackets are nested too deeply"),
        ("seed = " + "9" * 5000, "not valid TOML: Exceeds the limit"),
        ("seed = 0x" + "f" * 5000, "`seed` in a.toml takes a number of at most 64 bits. Received: one of 20000 bits."),
        ("seed = 3000000000", "`seed` in a.toml must be in 0..2147483647"),
        ("[data]\nframes_per_sec = " + "9" * 400, "`data.frames_per_sec` in a.toml takes a number of at most 64 bits"),
    ],
)
def test_what_python_cannot_read_or_convert_is_an_error_of_the_file(tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UserError, match=re.escape(message)):
        load_config(tmp_path / "a.toml")
