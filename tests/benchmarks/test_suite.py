"""The benchmark suite runs: tiny sizes, no claim about time."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import rivals
from benchmarks.__main__ import COLUMNS, jobs
from benchmarks.measure import alone, digits, peak_bytes, take_turns

REPOSITORY = Path(__file__).resolve().parents[2]


def python(*arguments, **environment):
    """Standard output of Python run in the repository."""
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_rivals_compute_the_same_as_the_cliques():
    import tensorflow as tf

    from vad_keras.layers import CliqueSelfAttention

    nodes = tf.constant(np.random.default_rng(0).normal(size=(1, 13, 3, 5)), "float32")
    layer = CliqueSelfAttention(4, 6)
    found = rivals.dense_per_locality(layer, nodes)
    expected = layer(nodes).numpy().reshape(39, 6)
    np.testing.assert_allclose(found(nodes).numpy()[0], expected, atol=1e-5)
    widest = CliqueSelfAttention(4, 6, temporal_localities=(8,))
    expected = widest(nodes).numpy().reshape(39, 6)
    np.testing.assert_allclose(rivals.keras_attention(widest, nodes)(nodes).numpy().reshape(39, 6), expected, atol=1e-5)
    pytest.importorskip("torch", reason="torch is not installed: pip install 'vad-keras[torch]'")
    forward, with_gradient = rivals.torch_attention(widest, nodes)
    np.testing.assert_allclose(forward().numpy()[0, 0], expected, atol=1e-5)
    assert len(with_gradient()) == 4


def test_subjects_take_turns():
    order = []
    found = take_turns({name: lambda name=name: order.append(name) for name in "ab"}, budget_sec=0.0, fewest=3)
    rounds = [set(order[i : i + 2]) for i in range(0, 8, 2)]  # once to warm up, then three rounds
    assert len(order) == 8 and rounds == [{"a", "b"}] * 4
    assert all(timing.wall_ms >= 0 and timing.cpu_ms >= 0 for timing in found.values())


def test_peak_memory_sees_what_is_allocated():
    ones = partial(partial, np.ones)
    grown = alone(peak_bytes, ones, 2**20, 2**26)  # 8 MB, then 537
    assert 500e6 < grown < 600e6


def test_digits_of_a_time():
    assert [digits(x) for x in (1.234, 12.34, 1234.5)] == ["1.23", "12.3", "1,234"]


def test_every_table_has_a_row_to_fill_it():
    for small in (True, False):
        assert {title for title, _ in jobs(small)} == set(COLUMNS)


def test_the_suite_prints_and_writes_every_table(tmp_path):
    printed = python("-m", "benchmarks", "--small", "--output", tmp_path / "core.md")
    written = (tmp_path / "core.md").read_text(encoding="utf-8")
    assert all(f"**{title}**" in written for title in COLUMNS)
    assert "MGFN (given)" in written and str(tmp_path / "core.md") in printed


def test_the_script_for_a_gpu_loads_no_tensorflow():
    pytest.importorskip("jax", reason="jax is not installed: pip install 'vad-keras[jax]'")
    code = (
        "import sys; from benchmarks import gpu; backend = gpu.Jax(); "
        "rows = gpu.check_numbers('float32', 4) + gpu.time_attention(backend, 4, 'float32', True, 3); "
        "print(gpu.table(rows)); "
        "print('foreign:', [name for name in ('tensorflow', 'pipelines', 'torch') if name in sys.modules])"
    )
    lines = python("-c", code, KERAS_BACKEND="jax").splitlines()
    assert lines[-1] == "foreign: []"
    assert lines[0].startswith("| backend | what |") and "error against float64 NumPy" in lines[2]
