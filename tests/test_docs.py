"""The pages under docs/ are correct: their commands run in a copy of the repository, their numbers are reported."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from pipelines.cli.app import app
from pipelines.config import UserError, load_config
from pipelines.live.cameras import read_cameras
from pipelines.report.evaluation.measures import METRICS
from pipelines.report.evaluation.tables import value_text

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("pipelines", "vad_keras", "tests", "pyproject.toml")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
ANY_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# (\S+\.py)\n")
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
TABLE = re.compile(r"(?:^\|.*\n)+", re.M)
REPORT = re.compile(r"\]\(([\w/]+)/report\.md\)")
COLUMNS = {title: key for key, title in METRICS.items()}
COLUMNS |= {"FAR at 0.5 (%)": "false_alarm_rate_percent"}
SIGNIFICANT = {"significantly better": 1, "significantly worse": -1}
RESULTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs" / "results").glob("*.md"))]
RUN_ELSEWHERE = {
    "README.md": "its Python block: below",
    "docs/add_your_own_dataset.md": "all of its blocks: below",
    "docs/serving.md": "its Python blocks need a server: test_video_scores.py sends the same",
    "savedmodels/README.md": "its Python block needs a server: test_grpc.py sends the same",
}
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]


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
    assert (kinds.count("bash"), kinds.count("python"), kinds.count("text")) == (9, 2, 4)
    written = [FILE.match(content)[1] for kind, content in blocks("docs/add_your_own_dataset.md") if kind == "python"]
    run(f"python -m ruff check {' '.join(written)}", checkout)


def code_blocks(*kinds):
    """Every block of these kinds on a page that people read, as parameters of a test."""
    paths = [*PAGES, REPOSITORY / "savedmodels" / "README.md", REPOSITORY / "benchmarks" / "README.md"]
    for path in paths:
        page = path.relative_to(REPOSITORY).as_posix()
        for number, (kind, content) in enumerate(ANY_BLOCK.findall(path.read_text(encoding="utf-8"))):
            if kind in kinds:
                yield pytest.param(page, content, id=f"{page}:{number}")


def test_every_block_is_of_a_kind_that_is_tested():
    kinds = {kind for path in PAGES for kind, _ in ANY_BLOCK.findall(path.read_text(encoding="utf-8"))}
    assert kinds <= {"", "bash", "json", "python", "text", "toml", "yaml"}


@pytest.mark.parametrize(("page", "content"), code_blocks("python"))
def test_every_python_block_runs(page, content):
    if page in RUN_ELSEWHERE:
        compile(content, page, "exec")
        return
    exec(content, {})


@pytest.mark.parametrize(("page", "content"), code_blocks("toml"))
def test_every_configuration_is_read(page, content, tmp_path):
    (tmp_path / "block.toml").write_text(content, encoding="utf-8")
    read = read_cameras if content.startswith("[[cameras]]") else load_config
    read(tmp_path / "block.toml")


@pytest.mark.parametrize(("page", "content"), code_blocks("yaml"))
def test_every_yaml_block_is_yaml(page, content):
    assert yaml.safe_load(content)


@pytest.mark.parametrize(("page", "content"), code_blocks("json"))
def test_every_json_block_is_json(page, content):
    decoder, text = json.JSONDecoder(), content.strip()
    while text:  # one message after the other
        text = text[decoder.raw_decode(text)[1] :].strip()


@pytest.mark.parametrize(("page", "content"), code_blocks("", "bash"))
def test_every_command_is_one(page, content):
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M)
    for line in content.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s(?:&&|\|)\s", line):
            if part.startswith("vad "):
                parse(shlex.split(part, comments=True)[1:])
            if part.startswith("make ") and "=" not in part.split()[1]:
                assert part.split()[1] in targets, f"{page}: {part}"


def parse(words):
    """Read the words of a command line as `vad` would, without running it; its settings are read, too."""
    command, context, name = typer.main.get_command(app), None, "vad"
    while True:
        try:
            context = command.make_context(name, list(words), parent=context)
        except typer.Exit:  # --help and --version end here
            return
        if not hasattr(command, "commands"):
            break
        words = [*context._protected_args, *context.args]
        if not words:
            return
        name, command, words = command.resolve_command(context, words)
    load_config(overrides=context.params.get("overrides") or [])


def test_a_command_that_is_none_is_found():
    for words in (["traim"], ["score", "--outptu", "x"], ["train", "--set", "detector.key_dimm=3"], ["clean"]):
        with pytest.raises((typer.TyperException, UserError)):
            parse(words)


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 110


def test_the_python_example_of_the_readme_finds_its_event():
    (code,) = (content for kind, content in blocks("README.md") if kind == "python")
    names = {}
    exec(code, names)
    scores, abnormal = names["scores"], names["labels"] == 1
    assert scores.shape == (32, 64)
    assert scores[abnormal, 20:30].mean() > 0.6 > 0.4 > scores[abnormal, :20].mean()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_to_a_file_leads_somewhere(page):
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    # those of reference/ are made with the site, see tests/test_docs_site.py
    written = [target for target in targets if not target.startswith("reference/")]
    assert not [target for target in written if not (page.parent / target).exists()]


def tables(page):
    """Rows of each table of a page as `{heading: cell}`, with the metrics of the report that each row is from.

    A row is from the report that it links to or else from the last one that the page links to before the table.
    """
    text = page.read_text(encoding="utf-8")
    for match in TABLE.finditer(text):
        head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in match[0].splitlines()]
        rows = [dict(zip(head, cells, strict=True)) for cells in lines]
        before = REPORT.findall(text[: match.start()])
        reports = [(REPORT.findall("".join(row.values())) or before or [None])[-1] for row in rows]
        paths = [report and page.parent / report / "metrics.json" for report in reports]
        yield [
            (row, json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else None)
            for row, path in zip(rows, paths, strict=True)
        ]


def system_of(name, content):
    """The system of a report that a page calls `name`: its whole title, the end of its title or a part of it."""
    exact = [title for title in content["systems"] if title == name or title.endswith((f": {name}", f", {name}"))]
    found = exact or [title for title in content["systems"] if name in title]
    assert found, f"{name!r} is none of {list(content['systems'])}"
    return found[0]


def test_every_metric_on_a_page_is_in_the_report_it_links_to():
    checked = 0
    for page in RESULTS:
        for row, content in (pair for table in tables(page) for pair in table):
            for heading, cell in row.items():
                if heading not in COLUMNS:
                    assert "±" not in cell, f"{page.name}: {cell} stands under {heading!r}, which names no metric"
                    continue
                entry = content["systems"][system_of(row["system"], content)]["metrics"][COLUMNS[heading]]
                assert cell == value_text(COLUMNS[heading], entry), f"{page.name}: {row['system']}, {heading}"
                checked += 1
    assert checked > 150


def test_every_significant_difference_on_a_page_is_in_the_report_it_links_to():
    checked = 0
    for row, content in (pair for page in RESULTS for table in tables(page) for pair in table):
        for heading in SIGNIFICANT.keys() & row.keys():
            named = {system_of(name, content) for name in row[heading].split("; ") if name != "none"}
            assert named == differing(content, SIGNIFICANT[heading]), f"{row}: {heading}"
            checked += 1
    assert checked == 12


def differing(content, sign):
    """Systems that differ significantly from the full model in one of two metrics, in this direction."""
    return {
        name
        for name, entries in content["differences"].items()
        for entry in (entries["frame_auc"], entries["frame_auc_abnormal_videos"])
        if entry["significant"] and entry["difference"] * sign > 0
    }
