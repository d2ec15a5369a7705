"""TensorFlow's own `saved_model_cli` shows the export and runs it."""

import subprocess
import sys

import numpy as np


def saved_model_cli(*arguments):
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_saved_model_cli_shows_the_inputs_and_outputs_of_every_signature(exported):
    text = saved_model_cli("show", "--dir", exported.folder, "--all")
    for signature in ("serving_default", "score_jpeg", "score_frames", "extract", "score_nodes"):
        assert f"signature_def['{signature}']" in text
    assert "inputs['jpeg_bytes'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1, -1)" in text
    assert "outputs['anomaly_score'] tensor_info:\n        dtype: DT_FLOAT" in text


def test_saved_model_cli_runs_score_frames_with_the_scores_of_the_keras_models(exported, tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, (1, 4, 32, 32, 3)).astype("uint8")
    np.save(tmp_path / "frames.npy", frames)
    where = ["--dir", exported.folder, "--tag_set", "serve", "--signature_def", "score_frames"]
    saved_model_cli("run", *where, "--inputs", f"frames={tmp_path / 'frames.npy'}", "--outdir", tmp_path)
    mask = np.ones((1, 4), bool)
    nodes = exported.extractor({"frames": frames, "mask": mask})["nodes"]
    expected = exported.detector({"nodes": nodes, "mask": mask})["anomaly_score"]
    np.testing.assert_allclose(np.load(tmp_path / "anomaly_score.npy"), np.asarray(expected), atol=1e-5)
