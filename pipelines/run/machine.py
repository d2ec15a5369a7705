"""Look at the machine: what is there, what is missing, and what to do about it (``vad doctor``).

Each check stands alone: one that fails is a row of the table. What may crash when it is imported runs in a process of
its own.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.run.disk import format_bytes
from pipelines.run.workers import ONLY_FOR_WRAPPERS

OK, WARNING, USER_ERROR, MACHINE_ERROR = "ok", "warning", "error", "machine error"
CHILD_TIMEOUT_SEC = 60
LOW_DISK_BYTES, TOO_LITTLE_DISK_BYTES = 10e9, 1e9
LOW_MEMORY_BYTES, TOO_LITTLE_MEMORY_BYTES = 4e9, 1e9
OPTIONAL_PROGRAMS = {"docker": "TensorFlow Serving in a container", "mosquitto": "a local MQTT broker"}
INSTALL = "pip install 'vad-keras[{}]'"
CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg")

CONTRIBUTORS = ("dev", "docs")  # extras that `make` installs in a copy of the repository
NAMES_SHOWN = 3

# Each prints one JSON value: [version, devices], or the codecs that can be read and whether H.264 can be written.
GPUS = {
    "tensorflow": f"import sys; sys.modules.update(dict.fromkeys({ONLY_FOR_WRAPPERS}))\n"
    "import tensorflow as t; v = t.__version__\n"
    "d = [g.name for g in t.config.list_physical_devices('GPU')]",
    "jax": "import jax as t; v = t.__version__; d = [str(g) for g in t.devices() if g.platform != 'cpu']",
    "torch": "import torch as t; v = t.__version__; d = [f'cuda:{i}' for i in range(t.cuda.device_count())]",
}
DECODER = """
import av, json
def known(name, mode):
    try:
        return bool(av.codec.Codec(name, mode))
    except Exception:
        return False
print(json.dumps([av.__version__, [n for n in %r if known(n, "r")], known("libx264", "w")]))
"""


class Check(NamedTuple):
    """A row of the table."""

    status: str  # OK, WARNING, USER_ERROR or MACHINE_ERROR
    name: str
    found: str
    remedy: str = ""


def run_checks(config):
    """Return a ``Check`` for each thing that the commands need.

    Args:
        config: The run's ``Config``: its folder, weights and data are looked at.
    """
    needed = [name for name in GPUS if name in ("tensorflow", _chosen_backend()) and _version(name)]
    backends = {name: _start(f"import json\n{GPUS[name]}\nprint(json.dumps([v, d]))") for name in needed}
    decoder = _start(DECODER % (CODECS,))
    checks = [
        *_guarded("Python", check_python),
        *_guarded("packages", check_packages),
        *_guarded("weights", check_weights, config.extractor),
        *_guarded("work_dir", check_work_dir, config.work_dir),
        *_guarded("disk", check_disk, config.work_dir),
        *_guarded("memory", check_memory),
        *_guarded("programs", check_programs),
        *_guarded("decoder", check_decoder, decoder),
    ]
    for name in GPUS:
        checks += _guarded(name, check_backend, name, backends.get(name))
    return checks


def exit_status(checks):
    """Return 2 if the user can mend something that is broken, 3 if only the machine is, else 0."""
    found = {check.status for check in checks}
    return 2 if USER_ERROR in found else 3 if MACHINE_ERROR in found else 0


def check_python(version=None):
    """Check that Python is one of the tested versions."""
    version = version or sys.version_info[:3]
    text = ".".join(map(str, version))
    if not (3, 11) <= version[:2] <= (3, 13):
        return Check(USER_ERROR, "Python", text, "Install Python 3.11, 3.12 or 3.13 and make a new environment.")
    return Check(OK, "Python", f"{text}, {os.cpu_count()} cores")


def check_packages():
    """Check the requirements of vad-keras and of each extra."""
    from packaging.requirements import Requirement

    problems = {}
    for requirement in map(Requirement, metadata.requires("vad-keras") or ()):
        extra = str(requirement.marker).partition('extra == "')[2].rstrip('"') if requirement.marker else ""
        if extra in CONTRIBUTORS or (extra in GPUS and not _version(extra)):  # a backend has a row of its own
            continue
        of_extra = problems.setdefault(extra, [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            of_extra += _problem(requirement)
    return [_of_extra(extra, found) for extra, found in problems.items()]


def _problem(requirement):
    """Return what is wrong with an installed package, in a list that is empty if nothing is."""
    version = _version(requirement.name)
    if not version:
        return [f"{requirement.name} is missing"]
    fits = requirement.specifier.contains(version, True)
    return [] if fits else [f"{requirement.name} {version} ({requirement.specifier} is needed)"]


def _of_extra(extra, problems):
    name, needed = f"extra {extra}" if extra else "packages", extra in ("", "pipelines")
    if not problems:
        return Check(OK, name, "installed")
    found, more = ", ".join(problems[:NAMES_SHOWN]), len(problems) - NAMES_SHOWN
    found += f" and {more} more" if more > 0 else ""
    if not needed:
        return Check(OK, name, f"optional: {found}", INSTALL.format(extra))
    return Check(USER_ERROR, name, found, INSTALL.format(extra or "pipelines"))


def check_backend(name, child):
    """Check that TensorFlow and the backend of Keras can be imported, and which GPUs they see.

    Args:
        name: Name of the backend.
        child: Its process; None if it is not installed, or not used.
    """
    chosen = _chosen_backend()
    needed = name in ("tensorflow", chosen)
    if child is None and not needed and _version(name):
        return Check(OK, name, f"{_version(name)}, not used: KERAS_BACKEND={name} uses it for training")
    if child is None:
        extra = "pipelines" if name == "tensorflow" else name
        return Check(USER_ERROR if needed else OK, name, "not installed", INSTALL.format(extra))
    answer, error = _answer(child)
    if answer is None:
        remedy = f"Install it again: pip install --force-reinstall {name}"
        return Check(USER_ERROR, name, f"{_version(name)} cannot be imported: {error}", remedy)
    version, devices = answer
    mark = ", the backend of Keras" if name == chosen else ""
    return Check(OK, name, f"{version}{mark}, {', '.join(devices) or 'no GPU: it runs on the CPU'}")


def check_decoder(child):
    """Check PyAV, the codecs that it reads, and that it writes H.264."""
    answer, error = _answer(child)
    if answer is None:
        return Check(USER_ERROR, "decoder", f"PyAV cannot be imported: {error}", "pip install --force-reinstall av")
    version, readable, writes = answer
    lacking = [name for name in CODECS if name not in readable]
    found = f"PyAV {version} reads {', '.join(readable)}"
    if lacking or not writes:
        text = "; ".join([f"no {', '.join(lacking)}"] * bool(lacking) + ["writes no H.264"] * (not writes))
        return Check(WARNING, "decoder", f"{found}; {text}", "pip install --force-reinstall --only-binary av av")
    return Check(OK, "decoder", f"{found}; writes H.264")


def check_weights(extractor):
    """Check that the weights of the backbone are there."""
    weights, backbone = extractor.weights, extractor.backbone
    if weights == "none":
        return Check(OK, "weights", f"{backbone} starts from random weights")
    if weights != "imagenet":
        if Path(weights).is_file():
            return Check(OK, "weights", weights)
        return Check(USER_ERROR, "weights", f"{weights} does not exist", "Correct extractor.weights.")
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    files = sorted(path.name for path in folder.glob(f"{backbone}*") if "top" in path.name)
    if files:
        return Check(OK, "weights", f"{folder / files[0]}")
    remedy = "Without a network: extractor.weights=FILE, or extractor.weights=none with backbone small."
    return Check(OK, "weights", f"{backbone}: the first training downloads them", remedy)


def check_work_dir(work_dir):
    """Check that the folder of the run can be written."""
    folder = _existing(work_dir)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Check(OK, "work_dir", f"{work_dir} can be written")
    except OSError as error:
        text = f"{folder} cannot be written ({error.strerror})"
        return Check(MACHINE_ERROR, "work_dir", text, "Change its rights, or set work_dir to another folder.")


def check_disk(work_dir):
    """Check the free space of the disk of the run."""
    free = shutil.disk_usage(_existing(work_dir)).free
    text, remedy = f"{format_bytes(free)} free for {work_dir}", "`vad clean RUN` removes what can be made again."
    if free < TOO_LITTLE_DISK_BYTES:
        return Check(MACHINE_ERROR, "disk", text, remedy)
    return Check(WARNING, "disk", text, remedy) if free < LOW_DISK_BYTES else Check(OK, "disk", text)


def check_memory(path="/proc/meminfo"):
    """Check the free memory, where the system says it."""
    try:
        lines = dict(line.split(":", 1) for line in Path(path).read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return Check(OK, "memory", "this system does not say how much is free")
    text = f"{format_bytes(free)} free"
    remedy = "Close other programs, or lower data.image_size_px and train_detector.batch_size."
    if free < TOO_LITTLE_MEMORY_BYTES:
        return Check(MACHINE_ERROR, "memory", text, remedy)
    return Check(WARNING, "memory", text, remedy) if free < LOW_MEMORY_BYTES else Check(OK, "memory", text)


def check_programs():
    """Name optional programs of the system."""
    parts = []
    for name, what in OPTIONAL_PROGRAMS.items():
        parts.append(f"{name} {'found' if shutil.which(name) else 'not found'} ({what})")
    return Check(OK, "programs", f"optional: {', '.join(parts)}")


def _guarded(name, check, *arguments):
    """Return the rows of a check; an exception is a row, too."""
    try:
        rows = check(*arguments)
    except Exception as error:
        return [Check(WARNING, name, f"could not be checked: {type(error).__name__}: {error}")]
    return rows if isinstance(rows, list) else [rows]


def _start(code):
    """Start Python code in a process of its own; it ends before its time limit, whatever an import does."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, errors="replace", **streams)
    return child, time.monotonic() + CHILD_TIMEOUT_SEC


def _answer(started):
    """Return what a process printed, or None and why it printed nothing."""
    child, deadline = started
    try:
        output, errors = child.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return None, f"no answer within {CHILD_TIMEOUT_SEC} s"
    if child.returncode < 0:
        return None, f"the process crashed (signal {-child.returncode})"
    try:
        return json.loads(output.splitlines()[-1]), ""
    except (IndexError, ValueError):
        return None, (errors.strip().splitlines() or ["no answer"])[-1]


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _chosen_backend():
    """The backend of Keras, read from where Keras reads it, without importing it."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(path.read_text()).get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def _existing(folder):
    folder = Path(folder).absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())
