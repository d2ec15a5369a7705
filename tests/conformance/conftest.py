"""Runs every descriptor on every backend, each backend in a process of its own."""

import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("on_backend.py")


@pytest.fixture(scope="session")
def numbers(tmp_path_factory):
    """`numbers(backend, case)`: mode -> numbers of a case; skips a backend that is not installed.

    The first question about another backend than TensorFlow starts all three side by side.
    """
    folder, started, known = tmp_path_factory.mktemp("backends"), {}, {}

    def of(backend, case):
        if not importlib.util.find_spec(backend):
            pytest.skip(f"{backend} is not installed: make backends")
        for name in ("tensorflow", "jax", "torch") if backend != "tensorflow" else (backend,):
            if name not in started and importlib.util.find_spec(name):
                started[name] = start(name, folder)
        if backend not in known:
            process, out, log = started[backend]
            status = process.wait(timeout=900)
            assert status == 0, log.read_text()[-4000:]
            known[backend] = pickle.loads(out.read_bytes())
        found = known[backend][str(case)]
        assert isinstance(found, dict), found
        return found

    yield of
    for process, _, _ in started.values():
        process.kill()
        process.wait()


def start(backend, folder):
    """A process that computes every case on a backend: it, the file of its numbers, the file of its messages."""
    out, log = folder / f"{backend}.pickle", folder / f"{backend}.log"
    environment = os.environ | {"KERAS_BACKEND": backend}
    with log.open("wb") as messages:
        command = [sys.executable, SCRIPT, out]
        return subprocess.Popen(command, env=environment, stdout=messages, stderr=subprocess.STDOUT), out, log
