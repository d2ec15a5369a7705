"""Tests of pipelines.run.workers."""

import functools
import multiprocessing
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from pipelines.config import UserError
from pipelines.run.failures import MachineError
from pipelines.run.workers import in_own_process, peak_memory_bytes, usable_cores

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

SCRIPT = """
import multiprocessing, os, time
from pipelines.run.workers import exit_with_parent

def work(connection):
    if {watched}:
        exit_with_parent()
    connection.send(os.getpid())
    time.sleep(60)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    context.Process(target=work, args=(its,)).start()
    print(mine.recv(), flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("watched", [True, False])
def test_a_process_ends_with_a_killed_parent_if_it_asked_for_it(watched, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(watched=watched))
    with (tmp_path / "out").open("w+") as out:  # not a pipe: the worker would hold it open
        subprocess.run([sys.executable, script], stdout=out, env=ENVIRONMENT, timeout=60, check=False)
        out.seek(0)
        worker = int(out.read())
    deadline = time.monotonic() + (20 if watched else 2)
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert is_alive(worker) != watched
    if not watched:
        os.kill(worker, 9)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True



def test_tensorflow_is_loaded_without_a_word_and_stderr_still_works_afterwards():
    code = (
        "import sys; from pipelines.run.workers import load_tensorflow_quietly as load; load(); "
        "import tensorflow; tensorflow.config.list_physical_devices(); print('heard', file=sys.stderr)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert (result.stdout, result.stderr) == ("", "heard\n")


def test_a_terminal_says_what_is_loading_until_it_is_loaded(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'noise')\n")
    code = "from pipelines.run.workers import load_tensorflow_quietly as load; load(announce=True)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], env=environment, stderr=theirs, timeout=300, check=True)
    assert os.read(ours, 1000) == b"Loading TensorFlow\r\x1b[2K"


@pytest.mark.parametrize(("before", "found"), [("", "there"), ("workers.leave_out_wrappers(); ", "absent")])
def test_only_a_command_loads_tensorflow_without_the_wrappers_of_keras(tmp_path, before, found):
    lines = "try:", "    import sklearn", "    found = 'there'", "except ImportError:", "    found = 'absent'"
    (tmp_path / "tensorflow.py").write_text("\n".join(lines))
    (tmp_path / "sklearn.py").write_text("")
    code = f"from pipelines.run import workers; {before}workers.load_tensorflow_quietly(); "
    code += "import sklearn, tensorflow; print(tensorflow.found, sklearn.__name__)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert result.stdout.split() == [found, "sklearn"], result.stderr


def test_a_tensorflow_that_does_not_load_shows_what_it_said(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'no such library')\nraise ImportError('broken')\n")
    code = "from pipelines.run.workers import load_tensorflow_quietly as load; load()"
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert "no such library" in result.stderr and "ImportError: broken" in result.stderr


def tensorflow_is_loaded():
    return "tensorflow" in sys.modules


def refuse(message):
    raise UserError(message)


def test_a_function_runs_in_a_process_of_its_own_and_its_errors_come_back():
    started = functools.partial(in_own_process, tensorflow=False)
    assert started(os.getpid) != os.getpid()
    assert started(os.getenv, "KERAS_BACKEND", backend="torch") == "torch"
    assert started(os.getenv, "OMP_NUM_THREADS", threads=1) == "1"
    assert not started(tensorflow_is_loaded) and in_own_process(tensorflow_is_loaded)
    with pytest.raises(UserError, match="no such weights"):
        started(refuse, "no such weights")
    with pytest.raises(MachineError, match=r"was killed, .* Run the same command again"):
        started(os._exit, 1)


def crash_at_first(path, signal_number):
    with path.open("a") as file:
        file.write("x")
    if path.stat().st_size == 1:
        os.kill(os.getpid(), signal_number)
    return path.stat().st_size


def test_a_function_is_called_again_after_a_crash_of_its_process(tmp_path, capsys):
    assert in_own_process(crash_at_first, tmp_path / "calls", signal.SIGSEGV, tensorflow=False) == 2
    assert capsys.readouterr().err.startswith("warning: crash inside a library (SIGSEGV). Restarting once")
    with pytest.raises(MachineError, match="was killed"):
        in_own_process(crash_at_first, tmp_path / "killed", signal.SIGKILL, tensorflow=False)
    with pytest.raises(MachineError, match="was killed"):
        in_own_process(os.abort, tensorflow=False)  # it crashes twice


def test_usable_cores_are_at_most_those_of_the_machine():
    assert 1 <= usable_cores() <= multiprocessing.cpu_count()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc: Linux")
def test_peak_memory_of_a_process_is_not_that_of_the_one_that_started_it():
    large = bytearray(b"1") * (300 << 20)
    code = "from pipelines.run.workers import peak_memory_bytes; print(peak_memory_bytes())"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(started.stdout) < len(large) < peak_memory_bytes()
