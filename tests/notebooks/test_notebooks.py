"""What holds for every notebook: it is committed without outputs, is short, defines nothing and runs anywhere."""

import re

import nbformat
import pytest

from tests.notebooks.conftest import NOTEBOOKS, REPOSITORY

NAMES = [
    "01_data",
    "02_clique_attention",
    "03_mean_field_crf",
    "04_train_with_fit",
    "05_serve",
    "06_own_videos",
]
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
every_notebook = pytest.mark.parametrize("name", NAMES)


def cells_of(name, kind):
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    return [cell for cell in cells if cell.cell_type == kind]


def lines_of(name):
    return [line for cell in cells_of(name, "code") for line in cell.source.splitlines()]


def test_these_are_all_and_each_has_its_test():
    assert [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))] == NAMES
    assert all((REPOSITORY / "tests" / "notebooks" / f"test_{name}.py").is_file() for name in NAMES)


@every_notebook
def test_it_is_valid_and_committed_without_outputs(name):
    nbformat.validate(nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4))
    assert not any(cell.outputs or cell.execution_count for cell in cells_of(name, "code"))


@every_notebook
def test_it_is_short(name):
    assert 5 < len(cells_of(name, "code")) < 15


@every_notebook
def test_it_defines_nothing(name):
    assert not [line for line in lines_of(name) if re.match(r"\s*(async def|def|class) ", line)]


@every_notebook
def test_it_runs_without_the_repository_or_a_shell(name):
    elsewhere = re.compile(r"""\.\./|\(["']~?/\w|^\s*[!%]""")
    assert not [line for line in lines_of(name) if elsewhere.search(line)]


@every_notebook
def test_its_links_lead_to_files(name):
    targets = [target for cell in cells_of(name, "markdown") for target in LINK.findall(cell.source)]
    assert not [target for target in targets if "://" not in target and not (NOTEBOOKS / target).exists()]
