"""Who may import whom: the core stands on Keras alone, and the rooms of the pipelines stay apart."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FORBIDDEN_IN_CORE = {"tensorflow", "tf_keras", "jax", "torch", "pipelines", "tests"}


def imports_of(path):
    """First names of everything that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "vad_keras").rglob("*.py")), ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_the_core_imports_no_framework_but_keras(path):
    assert not imports_of(path) & FORBIDDEN_IN_CORE


@pytest.mark.parametrize("folder", ["pipelines", "vad_keras"])
def test_code_that_calls_tensorflow_starts_no_thread(folder):
    """The caches of TensorFlow's dispatcher are not thread-safe: threads that call it crash the process at times."""
    paths = list((REPOSITORY / folder).rglob("*.py"))
    calling = [path for path in paths if imports_of(path) & {"tensorflow", "keras"}]
    starting = re.compile(r"\b(ThreadPoolExecutor|Thread|Timer|to_thread)\(")
    assert len(calling) > 10
    assert not [str(path) for path in calling if starting.search(path.read_text(encoding="utf-8"))]


def test_the_vocabulary_needs_the_standard_library_only():
    assert imports_of(REPOSITORY / "vad_keras" / "spec.py") <= sys.stdlib_module_names


TRAIN_ON_JAX = """
import sys
import numpy as np
import keras
import vad_keras
from vad_keras.layers import CliqueSelfAttention, MeanFieldCRF
from vad_keras.models import AnomalyDetector

generator = np.random.default_rng(0)
x = {"nodes": generator.normal(size=(4, 6, 5, 3)).astype("float32"), "mask": np.ones((4, 6), bool)}
detector = AnomalyDetector(key_dim=4, value_dim=4, temporal_localities=(1, 2))
detector.compile(optimizer="adam")
history = detector.fit(x, np.array([0, 1, 0, 1]), batch_size=4, epochs=1, verbose=0)
assert np.isfinite(history.history["loss"]).all(), history.history
assert keras.backend.backend() == "jax"
print("foreign:", [name for name in ("tensorflow", "torch", "pipelines") if name in sys.modules])
"""


@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed: pip install 'vad-keras[jax]'"
)
def test_training_the_core_on_jax_loads_no_tensorflow():
    result = python(TRAIN_ON_JAX, KERAS_BACKEND="jax")
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.splitlines()[-1] == "foreign: []"


def test_importing_the_package_loads_nothing_until_a_subpackage_is_used_and_never_a_pipeline():
    code = """
import sys
before = set(sys.modules)
import vad_keras
heavy = {name.partition(".")[0] for name in set(sys.modules) - before}
assert heavy <= {"vad_keras"} | set(sys.stdlib_module_names), heavy
assert {"layers", "losses", "metrics", "models", "__version__"} <= set(dir(vad_keras)), dir(vad_keras)
vad_keras.layers.CliqueSelfAttention, vad_keras.losses.sparsity, vad_keras.metrics.frame_auc
assert vad_keras.models is sys.modules["vad_keras.models"]
try:
    vad_keras.layer
except AttributeError as error:
    print(error)
print([name for name in sys.modules if name.startswith("pipelines")])
"""
    result = python(code)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.splitlines()[-2:] == ["module 'vad_keras' has no attribute 'layer'", "[]"]


def test_the_version_of_the_package_is_that_of_its_distribution():
    pytest.importorskip("hatchling", reason="hatchling is not installed: it builds the distribution")
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    import vad_keras

    assert ProjectMetadata(str(REPOSITORY), PluginManager()).version == vad_keras.__version__


def test_the_wheel_says_that_the_package_is_typed(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed: it builds the wheel")
    (wheel,) = builder.WheelBuilder(str(REPOSITORY)).build(directory=str(tmp_path))
    assert {"vad_keras/py.typed", "vad_keras/__init__.py"} <= set(zipfile.ZipFile(wheel).namelist())


def test_the_import_contracts_are_kept():
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed: pip install 'vad-keras[dev]'")
    result = subprocess.run(
        [command, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
