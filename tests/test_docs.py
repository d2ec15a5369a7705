"""The pages under docs/ hold: what they tell to write and to run is written and run, in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("pipelines", "vad_keras", "tests", "pyproject.toml")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# (\S+\.py)\n")
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
REPORTED = re.compile(r"\]\((docs/results/\w+/comparison/report\.md)\)[^|]*((?:\|.*\n)+)")
MEAN_AND_SD = re.compile(r"\d[\d.]* ± \d[\d.]*")
FLOOR = re.compile(r"\| floor: constant per video *\| ([\d.]+)")


def blocks(page):
    return BLOCK.findall((REPOSITORY / page).read_text(encoding="utf-8"))


@pytest.fixture
def checkout(tmp_path):
    """A copy of the repository, in which `vad` and `python` are those of the copy."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in COPIED:
        source = REPOSITORY / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, root / name, ignore=ignored) if source.is_dir() else shutil.copy(source, root / name)
    commands = {"vad": "-m pipelines", "python": ""}
    (tmp_path / "bin").mkdir()
    for name, arguments in commands.items():
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        path.chmod(0o755)
    return root


def run(command, checkout):
    path = f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(checkout), "COLUMNS": "120"}
    result = subprocess.run(
        ["bash", "-euc", command],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}{result.stderr[-3000:]}"
    return result.stdout


def test_every_step_to_a_dataset_of_ones_own_works(checkout):
    output, kinds = "", []
    for kind, content in blocks("docs/add_your_own_dataset.md"):
        kinds.append(kind)
        if kind == "python":
            (checkout / FILE.match(content)[1]).write_text(content, encoding="utf-8")
        elif kind == "bash":
            output = run(content, checkout)
        else:
            printed = [" ".join(line.split()) for line in output.splitlines()]
            absent = [line for line in content.splitlines() if not any(found.startswith(line) for found in printed)]
            assert not absent, f"{absent} was not printed:\n{output}"
    assert (kinds.count("bash"), kinds.count("python"), kinds.count("text")) == (8, 2, 3)
    written = [FILE.match(content)[1] for kind, content in blocks("docs/add_your_own_dataset.md") if kind == "python"]
    run(f"python -m ruff check {' '.join(written)}", checkout)


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/add_your_own_dataset.md", "docs/results/README.md"]
)
def test_every_link_to_a_file_leads_somewhere(page):
    targets = [target for target in LINK.findall((REPOSITORY / page).read_text()) if "://" not in target]
    assert not [target for target in targets if not ((REPOSITORY / page).parent / target).exists()]


def test_the_figures_of_the_readme_are_those_of_the_reports_it_links_to():
    tables = REPORTED.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert len(tables) == 3
    for page, table in tables:
        report = (REPOSITORY / page).read_text(encoding="utf-8")
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        assert [row[0] for row in rows[2:]] == ["full model", "Sultani et al."]
        for name, *figures, floor in rows[2:]:
            reported = next(line for line in report.splitlines() if line.startswith(f"| {name}"))
            assert figures == MEAN_AND_SD.findall(reported), f"{page}: {name}"
            assert floor == FLOOR.search(report)[1]
