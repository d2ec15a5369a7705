"""The benchmark suite runs with tiny sizes; nothing here depends on time."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import detector, measure, rivals
from benchmarks.__main__ import COLUMNS, jobs, main
from benchmarks.measure import format_ms, in_fresh_process, peak_bytes, take_turns

REPOSITORY = Path(__file__).resolve().parents[2]


def python(*arguments, **environment):
    """Run Python in the repository and return its standard output."""
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


def published():
    """Return the rows of the table in `heads.md`, cells by heading."""
    lines = [line for line in detector.PUBLISHED.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    headings, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(headings, row, strict=True)) for row in rows]


def number(text):
    """Return the number in a cell of `heads.md`."""
    return float(text.replace(",", ""))


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
    grown = in_fresh_process(peak_bytes, ones, 2**20, 2**26)  # 8 MB, then 537
    assert 500e6 < grown < 600e6


def test_times_have_three_significant_digits():
    assert [format_ms(x) for x in (1.234, 12.34, 1234.5)] == ["1.23", "12.3", "1,234"]


def test_every_table_has_a_row_to_fill_it():
    for small in (True, False):
        assert {title for title, _ in jobs(small)} == set(COLUMNS)


def test_the_suite_prints_and_writes_every_table(tmp_path, monkeypatch, capsys):
    with ThreadPoolExecutor(1) as here:  # not in processes, each of which would load TensorFlow
        monkeypatch.setattr(measure, "_worker", lambda threads: here)
        monkeypatch.setattr(measure, "_new_worker", lambda threads: ThreadPoolExecutor(1))
        main(["--small", "--output", str(tmp_path / "core.md")])
    printed = capsys.readouterr().out
    written = (tmp_path / "core.md").read_text(encoding="utf-8")
    assert all(f"**{title}**" in written for title in COLUMNS)
    assert all(written.count(f"| {head} ") == 2 for head in detector.HEADS)
    comparison = detector.PUBLISHED.read_text(encoding="utf-8").strip()
    assert comparison in written and comparison in printed and str(tmp_path / "core.md") in printed


def test_an_unknown_table_is_refused_with_the_known_titles(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "Detector of anomalies"])
    message = capsys.readouterr().err
    assert "'Detector of anomalies'" in message and "AnomalyDetector, one thread" in message


def test_required_operations_by_hand():
    from vad_keras.models import AnomalyDetector

    model = AnomalyDetector(key_dim=2, value_dim=3, temporal_localities=(1, 2), hidden_units=4)
    model({"nodes": np.ones((1, 3, 2, 5), "float32")})
    # per patch: 5 * (2 + 2 + 3 + 3 + 2) = 60 on the input; 3 * 4 + 4 behind it; 2 frames * 2 patches * (2 + 3) = 20
    assert detector.required_flop(model, 3, 2, 5) == {"inference": 2 * 2 * 96, "training step": 2 * 2 * (120 + 108)}


def test_required_operations_agree_with_the_counted_ones():
    from vad_keras.models import AnomalyDetector

    for system, num_patches, options in (
        ("ours, one vector", 1, {}),
        ("**ours, 14 patches, `projection_dim=256`**", 14, {"projection_dim": 256}),
    ):
        row = next(row for row in published() if row["system"] == system)
        model = AnomalyDetector(**options)
        model.build((None, None, num_patches, detector.CHANNELS))
        required = detector.required_flop(model, detector.FRAMES, num_patches, detector.CHANNELS)
        for kind, count in (("training step", detector.BAGS * detector.FRAMES), ("inference", detector.SNIPPETS)):
            counted = number(row[f"GFLOP, {kind.removeprefix('training ')}"])
            assert required[kind] * count / 1e9 == pytest.approx(counted, rel=0.03)


def test_ratios_of_the_published_comparison_follow_from_its_times():
    first, *others = published()
    assert len(others) == 11
    for heading, relative in (
        ("training step (ms)", "step, relative"),
        ("inference of 1,000 snippets (ms)", "inference, relative"),
    ):
        assert first[relative] == "1"
        for row in others:
            ratio = number(row[heading]) / number(first[heading])
            assert number(row[relative]) == pytest.approx(ratio, rel=0.02), row["system"]


def test_only_one_file_holds_the_numbers_of_the_rivals():
    names = [row["system"].split()[0] for row in published() if row["framework"].startswith("PyTorch 2")]
    assert len(names) == 7
    for path in (REPOSITORY / "benchmarks").glob("*.py"):
        assert not [name for name in names if name in path.read_text(encoding="utf-8")], path.name
    lines = (REPOSITORY / "benchmarks/README.md").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines for name in names if line.startswith(f"| {name}")]


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
    assert lines[0].startswith("| backend | measured |") and "error against float64 NumPy" in lines[2]
