"""The tests mirror the tree: a module without its test file, or a test file without its module, fails here."""

from pathlib import Path

import pytest

from tests.conftest import LONGEST

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("vad_keras", "pipelines")

# Modules without a test file of their own, each with its reason. Keep it empty where you can.
EXEMPT = {}

# Test files that look at a thing from outside the modules.
BEYOND_MODULES = {
    "tests/pipelines/stages/test_score_by_server.py": "`vad score` with a server",
    "tests/pipelines/serving/test_c_loader.py": "the export, loaded without Python",
    "tests/pipelines/serving/test_grpc.py": "the export behind TensorFlow Serving's stubs and server",
    "tests/pipelines/serving/test_saved_model_cli.py": "the export, run by TensorFlow's own command",
    "tests/pipelines/serving/test_savedmodels_folder.py": "the files under savedmodels/",
    "tests/pipelines/serving/test_video_network.py": "the export and the scorer of a video network",
}


def modules():
    """Every module that must have a test file, relative to the repository."""
    files = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    return sorted(path.relative_to(REPOSITORY) for path in files if path.name not in ("__init__.py", "__main__.py"))


def mirrored(module):
    """Its test file; that of a private module ``_base.py`` is ``test_base.py``."""
    return Path("tests") / module.parent / f"test_{module.name.removeprefix('_')}"


@pytest.mark.parametrize("module", modules(), ids=str)
def test_every_module_has_its_test_file(module):
    if module.as_posix() in EXEMPT:
        assert not (REPOSITORY / mirrored(module)).exists(), f"{module} is tested now: strike it off EXEMPT"
        return
    assert (REPOSITORY / mirrored(module)).is_file(), f"{module} has no {mirrored(module)}"


def test_no_two_modules_share_a_test_file():
    assert len({mirrored(module) for module in modules()}) == len(modules())


def test_every_mirrored_test_file_has_its_module():
    known = {mirrored(module) for module in modules()}
    packages = {package.relative_to(REPOSITORY) for name in PACKAGES for package in (REPOSITORY / name).rglob("*/")}
    known |= {Path("tests") / package.parent / f"test_{package.name}.py" for package in packages}
    found = [path for name in PACKAGES for path in (REPOSITORY / "tests" / name).rglob("test_*.py")]
    orphans = [str(path.relative_to(REPOSITORY)) for path in found if path.relative_to(REPOSITORY) not in known]
    orphans = sorted(set(orphans) - set(BEYOND_MODULES))
    assert not orphans, f"these test files mirror no module: {orphans}"


def test_what_is_listed_exists():
    assert all((REPOSITORY / path).is_file() for path in (*EXEMPT, *BEYOND_MODULES))
    assert all((REPOSITORY / path).exists() for path in LONGEST)


def test_no_module_is_called_utils():
    assert not [path for package in PACKAGES for path in (REPOSITORY / package).rglob("utils*")]


def test_files_stay_short():
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for name in (*PACKAGES, "tests")
        for path in (REPOSITORY / name).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > (400 if name == "tests" else 300)
    }
    assert not long, f"split these: {long}"
