"""Tests of pipelines.report.quiet."""

import os
import subprocess
import sys


def test_tensorflow_is_loaded_without_a_word_and_stderr_still_works_afterwards():
    code = (
        "import sys; from pipelines.report.quiet import load_tensorflow_quietly as load; load(); "
        "print('heard', file=sys.stderr)"
    )
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert (result.stdout, result.stderr) == ("", "heard\n")


def test_a_tensorflow_that_does_not_load_shows_what_it_said(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'no such library')\nraise ImportError('broken')\n")
    code = "from pipelines.report.quiet import load_tensorflow_quietly as load; load()"
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert "no such library" in result.stderr and "ImportError: broken" in result.stderr
