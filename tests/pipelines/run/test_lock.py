"""Tests of pipelines.run.lock."""

import os
import subprocess
import sys

import pytest

from pipelines.config import UserError
from pipelines.run.lock import run_lock

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

HOLDER = """
import os, pathlib, sys, time
from pipelines.run.lock import run_lock

with run_lock(pathlib.Path(sys.argv[1])):
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


def test_a_folder_is_one_commands_own_until_its_process_ends(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True) as holder:
        pid = int(holder.stdout.readline())
        try:
            with pytest.raises(UserError, match=rf"process {pid}.*work_dir=FOLDER"), run_lock(folder):
                pass
        finally:
            holder.kill()
    for _ in range(2):  # killed, or ended by itself
        with run_lock(folder):
            assert (folder / ".lock").read_text() == str(os.getpid())
