"""Who may import whom: the core stands on Keras alone, and the rooms of the pipelines stay apart."""

import ast
import importlib.util
import os
import subprocess
import sys
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


def test_importing_the_core_loads_no_pipeline():
    code = "import sys, vad_keras.layers, vad_keras.losses, vad_keras.metrics, vad_keras.models; "
    result = python(code + "print([name for name in sys.modules if name.startswith('pipelines')])")
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_import_contracts_are_kept():
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed: pip install 'vad-keras[dev]'")
    result = subprocess.run(
        [command, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
