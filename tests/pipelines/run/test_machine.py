"""Tests of pipelines.run.machine."""

import os
import sys
import time

import pytest

from pipelines.config import load_config
from pipelines.run import machine
from pipelines.run.machine import MACHINE_ERROR, OK, USER_ERROR, WARNING, Check


@pytest.mark.parametrize(("version", "status"), [((3, 10, 9), USER_ERROR), ((3, 12, 1), OK), ((3, 14, 0), USER_ERROR)])
def test_python_must_be_a_tested_version(version, status):
    assert machine.check_python(version).status == status


def test_a_missing_package_is_an_error_only_where_it_is_needed(monkeypatch):
    needed = ["keras>=3.15", "av>=18.1; extra == 'pipelines'", "httpx>=0.28; extra == 'serving'"]
    needed.append("six>=999; extra == 'serving'")
    found = packages(monkeypatch, needed, {"keras": "3.15.1", "av": "17.0", "six": "1.0"})
    assert found["packages"] == Check(OK, "packages", "installed")
    assert found["extra pipelines"] == Check(
        USER_ERROR, "extra pipelines", "av 17.0 (>=18.1 is needed)", "pip install 'vad-keras[pipelines]'"
    )
    serving = found["extra serving"]
    assert serving.status == OK and serving.found == "optional: httpx is missing, six 1.0 (>=999 is needed)"


def packages(monkeypatch, needed, versions):
    """Return the rows of the packages by name."""
    monkeypatch.setattr(machine.metadata, "requires", lambda name: [line.replace("'", '"') for line in needed])
    monkeypatch.setattr(machine, "_version", lambda name: versions.get(name, ""))
    return {check.name: check for check in machine.check_packages()}


def test_a_long_list_of_missing_packages_is_short(monkeypatch):
    needed = [f"{name}>=1; extra == 'live'" for name in "abcde"]
    needed += ["ruff>=0.14; extra == 'dev'", "jax>=0.10; extra == 'jax'"]  # for contributors; with a row of its own
    (row,) = packages(monkeypatch, needed, {}).values()
    assert row.name == "extra live" and row.found == "optional: a is missing, b is missing, c is missing and 2 more"


def test_tensorflow_is_tried_without_packages_that_only_keras_wrappers_use(tmp_path, monkeypatch):
    (tmp_path / "sklearn.py").write_text("import time; time.sleep(9)")
    lines = "try:", "    import sklearn", "except ImportError:", "    __version__ = 'quick'"
    (tmp_path / "tensorflow.py").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = machine.GPUS["tensorflow"].partition("d = [")[0]
    assert machine._answer(machine._start(f"import json\n{code}print(json.dumps([v, []]))"))[0] == ["quick", []]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "the process crashed (signal 11)"),
        ("raise ImportError('libcuda.so')", "ImportError: libcuda.so"),
        ("", "no answer"),
    ],
)
def test_a_broken_import_is_a_row_with_its_reason(monkeypatch, code, text):
    monkeypatch.setattr(machine, "_chosen_backend", lambda: "tensorflow")
    check = machine.check_backend("tensorflow", machine._start(code))
    assert check.status == USER_ERROR and text in check.found and "pip install" in check.remedy
    assert text in machine.check_decoder(machine._start(code)).found


def test_an_import_that_hangs_ends(monkeypatch):
    child, _ = machine._start("import time; time.sleep(60)")
    assert machine._answer((child, time.monotonic()))[0] is None and child.returncode is not None


def test_backends_that_are_not_used_are_not_imported(monkeypatch):
    monkeypatch.setattr(machine, "_version", lambda name: "" if name == "torch" else "1.2")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    answer = machine._start("print('[\"1.2\", [\"cuda:0\"]]')")
    assert machine.check_backend("jax", answer).found == "1.2, the backend of Keras, cuda:0"
    assert machine.check_backend("torch", None) == Check(OK, "torch", "not installed", "pip install 'vad-keras[torch]'")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert machine.check_backend("torch", None).status == USER_ERROR
    assert machine.check_backend("jax", None).found == "1.2, not used: KERAS_BACKEND=jax uses it for training"


def test_the_decoder_reads_and_writes_what_is_needed():
    check = machine.check_decoder(machine._start(machine.DECODER % (machine.CODECS,)))
    assert check.status == OK and "h264, hevc, av1, vp9" in check.found
    lacking = machine.check_decoder(machine._start("print('[\"18.1\", [\"h264\"], false]')"))
    assert lacking.status == WARNING and lacking.found.endswith("no hevc, av1, vp9, mpeg4, mjpeg; writes no H.264")


def test_weights_are_there_or_the_way_to_them_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def check(weights):
        settings = [f"extractor.weights={weights}", "extractor.backbone=mobilenet_v2"]
        return machine.check_weights(load_config(overrides=settings).extractor)

    assert check("imagenet").status == check("none").status == OK and "downloads" in check("imagenet").found
    assert check(tmp_path / "no.h5").status == USER_ERROR and "Correct" in check(tmp_path / "no.h5").remedy
    path = tmp_path / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    path.parent.mkdir()
    path.touch()
    assert check("imagenet") == Check(OK, "weights", str(path)) and check(path).status == OK


def test_space_memory_and_rights_are_of_the_machine(tmp_path, monkeypatch):
    wanted = [(20e9, OK), (5e9, WARNING), (1e8, MACHINE_ERROR)]
    for free, status in wanted:
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda path, free=free: type("Usage", (), {"free": free}))
        (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:   {int(free / 2048)} kB\n")
        assert machine.check_disk(tmp_path / "a" / "b").status == status
        assert machine.check_memory(tmp_path / "meminfo").status == status
    assert machine.check_memory(tmp_path / "nothing").status == OK
    assert machine.check_work_dir(tmp_path / "a" / "b").status == OK and not (tmp_path / "a").exists()
    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    check = machine.check_work_dir(tmp_path)
    assert check.status == MACHINE_ERROR and "cannot be written (Permission denied)" in check.found


def refuse(**options):
    raise PermissionError(13, os.strerror(13))


def test_a_check_that_fails_itself_is_a_row():
    assert machine._guarded("disk", lambda: 1 / 0) == [
        Check(WARNING, "disk", "could not be checked: ZeroDivisionError: division by zero")
    ]


def test_the_status_tells_what_can_be_fixed():
    rows = {name: Check(name, "", "") for name in (OK, WARNING, USER_ERROR, MACHINE_ERROR)}
    assert machine.exit_status([rows[OK], rows[WARNING]]) == 0
    assert machine.exit_status([rows[OK], rows[MACHINE_ERROR]]) == 3
    assert machine.exit_status(list(rows.values())) == 2


def test_nothing_heavy_is_imported_here():
    heavy = "tensorflow", "keras", "av", "jax"
    code = f"import sys, pipelines.run.machine; print([name for name in {heavy} if name in sys.modules])"
    child = machine.subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
