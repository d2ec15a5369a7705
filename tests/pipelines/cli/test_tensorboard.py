"""Tests of pipelines.cli.tensorboard."""

import subprocess
import sys

import pytest
from tensorboard import program

from pipelines.cli import main
from pipelines.cli.tensorboard import options
from pipelines.config import UserError


def test_the_logs_of_all_trainings_below_the_folder_are_shown(tmp_path, monkeypatch):
    logs = tmp_path / "folds" / "0" / "logs"
    logs.mkdir(parents=True)
    (logs / "events.out.tfevents.1.host").touch()
    started = []
    monkeypatch.setattr(program.TensorBoard, "main", lambda board: started.append(board.flags) or len(started) - 1)
    monkeypatch.chdir(tmp_path.parent)
    assert main(["tensorboard", tmp_path.name, "--port", "0"]) == 0
    (flags,) = started
    assert (flags.logdir, flags.host, flags.port) == (str(tmp_path), "localhost", 0)
    assert flags.window_title == f"vad: {tmp_path.name}"
    assert main(["tensorboard", tmp_path.name]) == 2  # for example, the port is in use


def test_the_page_answers_without_tensorflow(tmp_path):
    (tmp_path / "events.out.tfevents.1.host").touch()
    code = "import sys; from pipelines.cli import main; from tensorboard import program; "
    code += "program.TensorBoard._run_serve_subcommand = lambda board, flags: print(board._make_server().get_url()); "
    code += "main(['tensorboard', sys.argv[1], '--port', '0']); print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    url, loaded = result.stdout.split()
    assert url.startswith("http://localhost:") and loaded == "False" and "TensorFlow" not in result.stderr


def test_a_folder_without_logs_is_refused(tmp_path, capsys):
    with pytest.raises(UserError, match=r"no logs of a training in .*missing\. Give the work_dir of a run"):
        options(tmp_path / "missing", 6006, "localhost")
    assert main(["tensorboard", str(tmp_path)]) == 2
    assert "there are no logs of a training" in capsys.readouterr().err
