"""A C program without Python loads the export through TensorFlow's C++ loader and returns the same scores."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

SOURCE = Path(__file__).resolve().parents[2] / "serving_c" / "score_nodes.c"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """`score_nodes.c`, compiled against the libraries inside the tensorflow wheel."""
    wheel = Path(tf.__file__).parent
    libraries = [wheel / "libtensorflow_cc.so.2", wheel / "libtensorflow_framework.so.2"]
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler `cc` on the PATH")
    if not all(library.is_file() for library in libraries):
        pytest.skip(f"this TensorFlow has no {libraries[0].name} ({sysconfig.get_platform()})")
    binary = tmp_path_factory.mktemp("c") / "score_nodes"
    warnings = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]
    command = [compiler, *warnings, SOURCE, "-isystem", wheel / "include", *libraries, f"-Wl,-rpath,{wheel}"]
    built = subprocess.run([*command, "-o", binary], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return binary


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("shape", [(1, 5), (2, 11)])
def test_the_c_program_gives_the_scores_of_the_keras_model(exported, program, tmp_path, shape):
    patches = sum(scale * scale for scale in exported.extractor.get_config()["scales"])
    channels = tf.saved_model.load(str(exported.folder)).signatures["score_nodes"]
    channels = channels.structured_input_signature[1]["nodes"].shape[3]
    nodes = np.random.default_rng(5).normal(size=(*shape, patches, channels)).astype("<f4")
    nodes.tofile(tmp_path / "nodes.f32")
    done = run(program, exported.folder, tmp_path / "nodes.f32", *nodes.shape, tmp_path / "scores.f32")
    assert done.returncode == 0, done.stderr
    expected = exported.detector({"nodes": nodes, "mask": np.ones(shape, bool)})["anomaly_score"]
    scores = np.fromfile(tmp_path / "scores.f32", "<f4").reshape(shape)
    np.testing.assert_allclose(scores, np.asarray(expected), atol=1e-5)
    printed = [[float(score) for score in line.split()] for line in done.stdout.splitlines()]
    np.testing.assert_allclose(printed, scores, atol=1e-6)


def test_no_python_library_is_in_the_process(program):
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    assert "libtensorflow_cc" in linked and "libpython" not in linked


def test_the_c_program_says_what_is_wrong(exported, program, tmp_path):
    missing = run(program, tmp_path / "nowhere", "x", 1, 1, 1, 1, "y")
    assert missing.returncode == 1 and "Could not find SavedModel" in missing.stderr
    (tmp_path / "short").write_bytes(b"abcd")
    short = run(program, exported.folder, tmp_path / "short", 1, 2, 5, 6, tmp_path / "scores")
    assert short.returncode == 1 and "does not hold B*T*G*C float32" in short.stderr
