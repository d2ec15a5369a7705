"""Starts every descriptor on every backend, each backend in a process of its own, beside the other tests."""

import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("on_backend.py")
# Compiling is most of the time, so XLA leaves its own optimisation out in the JAX process.
XLA_FLAGS = "--xla_backend_optimization_level=0"


@pytest.fixture(scope="session", autouse=True)
def processes(request, tmp_path_factory):
    """`backend -> (process, file of its numbers, file of its messages)`; none where no test asks for numbers."""
    started = {}
    if any("numbers" in item.fixturenames for item in request.session.items):
        folder = tmp_path_factory.mktemp("backends")
        for backend in ("tensorflow", "jax", "torch"):
            if importlib.util.find_spec(backend):
                out, log = folder / f"{backend}.pickle", folder / f"{backend}.log"
                environment = os.environ | {"KERAS_BACKEND": backend}
                if backend == "jax":
                    environment["XLA_FLAGS"] = XLA_FLAGS
                with log.open("wb") as messages:
                    process = subprocess.Popen(
                        [sys.executable, SCRIPT, out], env=environment, stdout=messages, stderr=subprocess.STDOUT
                    )
                started[backend] = process, out, log
    yield started
    for process, _, _ in started.values():
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def numbers(processes):
    """`numbers(backend, case)`: mode -> numbers of a case; skips a backend that is not installed."""
    known = {}

    def of(backend, case):
        if backend not in processes:
            pytest.skip(f"{backend} is not installed: make backends")
        if backend not in known:
            process, out, log = processes[backend]
            status = process.wait(timeout=600)
            assert status == 0, log.read_text()[-4000:]
            known[backend] = pickle.loads(out.read_bytes())
        found = known[backend][str(case)]
        assert isinstance(found, dict), found
        return found

    return of
