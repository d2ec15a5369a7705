"""Tests of pipelines.processes."""

import os
import subprocess
import sys
import time

import pytest

from pipelines.config import UserError
from pipelines.processes import only_one_in

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

HOLDER = """
import os, pathlib, sys, time
from pipelines.processes import only_one_in

with only_one_in(pathlib.Path(sys.argv[1])):
    print(os.getpid(), flush=True)
    time.sleep(60)
"""

SCRIPT = """
import multiprocessing, os, time
from pipelines.processes import exit_with_parent

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


def test_a_folder_is_one_commands_own_until_its_process_ends(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True) as holder:
        pid = int(holder.stdout.readline())
        try:
            with pytest.raises(UserError, match=rf"process {pid}.*work_dir=FOLDER"), only_one_in(folder):
                pass
        finally:
            holder.kill()
    for _ in range(2):  # killed, or ended by itself
        with only_one_in(folder):
            assert (folder / ".lock").read_text() == str(os.getpid())
