"""What every test may use: quiet TensorFlow, explicit seeds and the real data, where it is."""

import gc
import os
import random
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Compiling is most of the time of a test under XLA, so LLVM leaves its optimisation out, in every process of a test.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parents[1]

# Files and folders that take longest, in this order: a long file at the end would leave the other process idle.
LONGEST = (
    "tests/conformance/test_backends.py",
    "tests/conformance/test_arguments.py",
    "tests/oracles/test_evaluation_rules.py",
    "tests/pipelines/stages",
    "tests/conformance/test_training.py",
    "tests/notebooks",
    "tests/pipelines/test_demo.py",
    "tests/pipelines/test_bench.py",
    "tests/test_docs.py",
    "tests/benchmarks",
    "tests/pipelines/experiments",
    "tests/conformance",
)

# The same examples on every run, and no clock: a busy machine fails nothing.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items):
    """Put the longest files first."""
    def place(item):
        return next((n for n, path in enumerate(LONGEST) if item.nodeid.startswith(path)), len(LONGEST))

    items.sort(key=place)


def pytest_collection_finish():
    """Spare the garbage collector what is imported by now: TensorFlow alone has half a million objects."""
    gc.freeze()


@pytest.fixture(autouse=True)
def explicit_seeds():
    """Seeds Python, NumPy and, where it is loaded, Keras: a test gives the same numbers alone and in the suite."""
    random.seed(0)
    np.random.seed(0)
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "utils"):
        keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the real videos, annotations and weights: `VAD_DATA`, else `../shared/data`; skips without one."""
    folder = Path(os.environ.get("VAD_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real data is not at {folder}; set VAD_DATA to its folder")
    return folder
