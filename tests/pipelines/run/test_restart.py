"""Tests of pipelines.run.restart, each in a process that is thrown away."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.pipelines.run.test_workers import is_alive

# An attempt writes a line; the first ones end by a signal.
SCRIPT = """
import os, resource, signal, sys, time
from pipelines.run.restart import restart_after_crash

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def command():
    print("attempt", os.getpid(), flush=True)
    with open(sys.argv[1], "a") as file:
        file.write("x")
    if os.path.getsize(sys.argv[1]) <= {crashes}:
        os.kill(os.getpid(), signal.{signal})
        time.sleep(60)
    {rest}
    return {status}

sys.exit(restart_after_crash(command))
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def start(folder, signal_name="SIGSEGV", crashes=0, rest="pass", status=0):
    code = SCRIPT.format(signal=signal_name, crashes=crashes, rest=rest, status=status)
    command = [sys.executable, "-c", code, folder / "attempts"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True, **pipes)


def ended(process):
    """Exit status, number of attempts and standard error."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out.count("attempt"), err


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"])
def test_a_crash_is_restarted_once_with_a_line_that_says_so(name, tmp_path):
    expected = f"warning: crash inside a library ({name}). Restarting once from the last saved state\n"
    assert ended(start(tmp_path, name, crashes=1, status=1)) == (1, 2, expected)


def test_a_second_crash_is_final(tmp_path):
    status, attempts, err = ended(start(tmp_path, crashes=5))
    assert (status, attempts, err.count("Restarting")) == (128 + signal.SIGSEGV, 2, 1)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP"])
def test_what_a_person_or_a_lack_of_memory_ends_is_not_restarted(name, tmp_path):
    if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        pytest.skip(f"{name} is ignored here, as under nohup")
    assert ended(start(tmp_path, name, crashes=5)) == (128 + getattr(signal, name), 1, "")


def test_a_status_and_an_error_are_those_of_the_command(tmp_path):
    assert ended(start(tmp_path, status=2)) == (2, 1, "")
    status, attempts, err = ended(start(tmp_path, rest="raise ZeroDivisionError"))
    assert (status, attempts) == (1, 1) and err.endswith("ZeroDivisionError\n")


def test_ctrl_c_is_not_followed_by_a_restart(tmp_path):
    rest = "signal.signal(signal.SIGINT, lambda *_: os.abort()); print('ready', flush=True); time.sleep(60)"
    process = start(tmp_path, rest=rest)
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_the_command_ends_with_its_parent(tmp_path):
    process = start(tmp_path, rest="time.sleep(60)")
    child = int(process.stdout.readline().split()[1])
    process.kill()
    deadline = time.monotonic() + 20
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(child)
    process.communicate(timeout=60)
