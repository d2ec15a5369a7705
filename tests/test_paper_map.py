"""`vad_keras/PAPER.md` names nothing that is not there, and prints no figure that its test does not hold."""

import ast
import functools
import inspect
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAPER = (REPOSITORY / "vad_keras" / "PAPER.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
# `layers.CliqueSelfAttention` or, with what it takes, `layers.CliqueSelfAttention(key_dim, mode="max")`
NAME = re.compile(r"`((?:layers|losses|metrics|models|cliques)\.\w+)(?:\(([^`]*)\))?`")
FIGURE = re.compile(r"\*\*([\d.]+)\*\*")


def rows(heading):
    """Rows of the table under a heading, each a list of its cells."""
    part = PAPER.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


EQUATIONS, READINGS = rows("Equations"), rows("Readings")


@functools.cache
def functions_of(path):
    """Source of every test function of a file by its name."""
    source = (REPOSITORY / path).read_text(encoding="utf-8")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {function.name: ast.get_source_segment(source, function) for function in functions}


def literals_of(function):
    """Every number of a function as it is written, and every string."""
    constants = [node for node in ast.walk(ast.parse(function)) if isinstance(node, ast.Constant)]
    return {node.value if isinstance(node.value, str) else ast.get_source_segment(function, node) for node in constants}


@pytest.mark.parametrize(("path", "name"), sorted(set(TEST.findall(PAPER))), ids=lambda part: part.split("/")[-1])
def test_every_named_test_exists(path, name):
    assert (REPOSITORY / path).is_file(), f"{path} is not there"
    assert name in functions_of(path), f"{path} has no {name}. It has {sorted(functions_of(path))}"


@pytest.mark.parametrize(("name", "arguments"), sorted(set(NAME.findall(PAPER))), ids=str)
def test_every_named_class_or_function_exists_and_takes_the_named_arguments(name, arguments):
    import vad_keras.cliques
    import vad_keras.layers
    import vad_keras.losses
    import vad_keras.metrics
    import vad_keras.models

    module, _, attribute = name.partition(".")
    found = getattr(getattr(vad_keras, module), attribute, None)
    assert found is not None, f"vad_keras.{name} is not there"
    taken = inspect.signature(found).parameters
    if not arguments:
        return
    for argument in ast.parse(f"f({arguments})", mode="eval").body.args:  # names alone: key_dim
        assert argument.id in taken, f"vad_keras.{name} takes no `{argument.id}`. It takes {list(taken)}"
    for argument in ast.parse(f"f({arguments})", mode="eval").body.keywords:  # with a value: mode="max"
        assert argument.arg in taken, f"vad_keras.{name} takes no `{argument.arg}`. It takes {list(taken)}"


def test_every_row_of_the_equations_names_code_and_test():
    assert len(EQUATIONS) >= 15
    for row in EQUATIONS:
        assert len(row) == 3, row
        assert NAME.search(row[1]) and TEST.search(row[2]), row


@pytest.mark.parametrize("row", READINGS, ids=lambda row: row[0])
def test_every_reading_has_a_figure_that_stands_in_its_test(row):
    assert len(row) == 5, row
    figures, tests = FIGURE.findall(row[3]), TEST.findall(row[4])
    assert figures and tests, f"{row[0]}: a reading has a **figure** and the test that measures it"
    held = set().union(*(literals_of(functions_of(path)[name]) for path, name in tests))
    assert not set(figures) - held, f"{row[0]} prints {sorted(set(figures) - held)}, of which its tests know nothing"


@pytest.mark.parametrize("equation", range(1, 11))
def test_every_equation_has_its_row(equation):
    assert [row for row in EQUATIONS if re.search(rf"\bEq\. {equation}\b", row[0])], f"Eq. {equation} has no row"


def test_every_measurement_of_a_reading_is_on_the_page():
    files = sorted((REPOSITORY / "tests" / "oracles").glob("test_readings_*.py"))
    measured = {name for file in files for name in functions_of(file) if name.startswith("test_")}
    assert measured
    missing = measured - {name for _, name in TEST.findall(PAPER)}
    assert not missing, f"PAPER.md says nothing of {sorted(missing)}"
