"""What an install brings: the core needs two packages, and every extra has code that imports it."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MODULES = {"pillow": "PIL", "scikit-learn": "sklearn", "tensorflow-serving-api": "tensorflow_serving"}
MODULES |= {"grpcio": "grpc", "protobuf": "google", "pyyaml": "yaml"}
MODULES |= {"prometheus-client": "prometheus_client", "sse-starlette": "sse_starlette"}
OPTIONAL = {"pandas"}  # `to_frame` names it where it is missing
INSTALLED = ("pipelines", "serving", "live", "mqtt")  # by `make install`
RUN_AS_COMMANDS = {  # and therefore imported nowhere
    "import-linter": "make lint",
    "ipykernel": "make notebooks",
    "mkdocs-material": "make docs",
    "mkdocstrings-python": "make docs",
    "mypy": "make lint",
    "nbconvert": "make docs",
    "pytest-xdist": "make test, `-n 2`",
    "ruff": "make lint",
}


def name_of(requirement):
    return re.match(r"[\w-]+", requirement)[0]


def imported():
    """First names of all modules that the code imports or asks pytest for."""
    names = set()
    for folder in ("vad_keras", "pipelines", "benchmarks", "tests"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names.add(node.module.partition(".")[0])
                elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip":
                    names.add(node.args[0].value.partition(".")[0])
    return names


def test_the_core_needs_keras_and_numpy_alone():
    assert [name_of(requirement) for requirement in PROJECT["dependencies"]] == ["keras", "numpy"]


def test_every_package_of_an_extra_is_imported_or_run():
    names, idle = imported(), []
    for extra, requirements in EXTRAS.items():
        for package in map(name_of, requirements):
            if package not in RUN_AS_COMMANDS and package != PROJECT["name"]:
                idle += [] if MODULES.get(package, package) in names else [f"{extra}: {package}"]
    assert not idle, f"no line of code imports these: {idle}"


def test_what_the_pipelines_import_is_in_the_extra():
    needed = {name for path in (REPOSITORY / "pipelines").rglob("*.py") for name in third_party_of(path)}
    declared = [*PROJECT["dependencies"], *(one for extra in INSTALLED for one in EXTRAS[extra])]
    assert needed - OPTIONAL <= {MODULES.get(name_of(requirement), name_of(requirement)) for requirement in declared}


def third_party_of(path):
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names |= {node.module for node in tree if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names} - {"pipelines", "vad_keras"} - sys.stdlib_module_names


def test_every_locked_file_pins_what_the_extras_name():
    """A package that is added to an extra and not locked would not be installed by make."""
    locked = {path.stem: path.read_text(encoding="utf-8") for path in (REPOSITORY / "requirements").glob("*.txt")}
    for file, extras in {"main": INSTALLED, "dev": ("dev", "docs", *INSTALLED)}.items():
        names = [name_of(requirement) for extra in extras for requirement in EXTRAS[extra]]
        for name in {*map(name_of, PROJECT["dependencies"]), *names} - {PROJECT["name"]}:
            assert re.search(rf"(?m)^{name}(\[\w+\])?==", locked[file]), f"{name} is not in {file}.txt: run `make lock`"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=120, check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_both_packages_with_their_data_and_nothing_else(wheel):
    names = set(wheel.namelist())
    command = ["git", "ls-files", "vad_keras", "pipelines"]
    tracked = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("needs a git checkout")
    assert "pipelines/configs/demo.toml" in names and "pipelines/configs/systems/rivals.toml" in names
    assert "vad_keras/py.typed" in names, "without it a checker ignores the types of an installed package"
    assert {name for name in names if ".dist-info/" not in name} >= set(tracked.stdout.split())
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"vad_keras", "pipelines"}


def test_the_wheel_installs_the_command(wheel):
    entry = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "vad = pipelines.cli:main" in wheel.read(entry).decode()
