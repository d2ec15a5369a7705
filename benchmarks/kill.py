"""Kill each stage of the demonstration at many moments and compare what the same command makes of it afterwards.

``python -m benchmarks.kill --moments 20`` runs the stages on a few tiny videos. Half of the moments are spread over the
duration of a stage, half are the file operations of Python in it (open to write, rename, remove). After each kill the
stage runs again. Its files must be those of an undisturbed run: the same names, bytes and arrays, no temporary file, no
process and no shared memory left behind. Weights may differ as much as between two undisturbed runs.
"""

import argparse
import contextlib
import dataclasses
import gc
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np

from pipelines.config import load_config
from pipelines.run.restart import is_crash
from pipelines.run.workers import load_tensorflow_quietly

STAGES = ("prepare", "train_extractor", "extract", "train_detector", "evaluate", "export", "score")
SETTINGS = ("data.image_size_px=32", "data.workers=1", "data.videos_per_shard=2", "synthetic.train_videos=8")
SETTINGS += ("synthetic.test_videos=2", "synthetic.duration_sec=4", "synthetic.width_px=64", "synthetic.height_px=48")
SETTINGS += ("extractor.gate_dim=4", "extractor.relation_units=8", "train_extractor.epochs=3", "score.top_frames=2")
SETTINGS += ("train_extractor.snippets_per_video=2", "detector.key_dim=4", "detector.value_dim=8")
SETTINGS += ("train_detector.epochs=4", "train_detector.batch_size=4", "train_detector.patience_epochs=0")
WRITES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
CHANGING = ("created_utc", "seconds", "command", "commit", "manifest_sha256", "weights", "sha256")
CHANGING += ("source", "model", "fingerprint")
TIMEOUT_SEC = 600


def start(stage, folder, kill_at=None, counter=None):
    """Start a stage in a forked process and return its id; it kills itself at a file operation with this number."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    log = os.open(folder.parent / f"{stage}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    seen = [0]

    def watch(event, arguments):
        opens = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
        if (event in WRITES or opens) and str(arguments[0]).startswith(str(folder)):
            seen[0] += 1
            if seen[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    status = 1
    try:
        module = sys.modules[f"pipelines.stages.{stage}"]
        module.run(config_of(folder, stage))
        status = 0
        if counter:
            counter.write_text(str(seen[0]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def finish(child):
    """Wait for a stage, and stop one that hangs. Return its exit code, below 0 for a signal."""
    end = time.monotonic() + TIMEOUT_SEC
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


def config_of(folder, stage):
    """Return the tiny demonstration in a folder."""
    places = [f"work_dir={folder / 'run'}", f"data.root={folder / 'videos'}", f"export.root={folder / 'savedmodels'}"]
    config = load_config(Path(__file__).parents[1] / "pipelines/configs/demo.toml", [*places, *SETTINGS])
    inputs = tuple(str(path) for path in sorted((folder / "videos").rglob("*_00[01].mp4"))[:2])
    return dataclasses.replace(config, score=dataclasses.replace(config.score, inputs=inputs))


def session_left(session, wait_sec=3.0):
    """Return the command lines of the processes of a session that do not end."""
    end = time.monotonic() + wait_sec
    while True:
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    found.append((path / "cmdline").read_text().replace("\0", " ")[:80])
            except OSError:
                continue
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def shared_memory():
    """Return the names of shared memory that no process uses, without those of ``benchmarks.fuzz``."""
    used = set()
    for path in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            used |= {line.rpartition("/dev/shm/")[2] for line in path.read_text().splitlines() if "/dev/shm/" in line}
    return {name for name in os.listdir("/dev/shm") if name not in used and not name.startswith("fuzz-")}


def shared_memory_left(before, wait_sec=5.0):
    """Return what is there beyond ``before`` when the helper processes of a killed one had time to remove it."""
    end = time.monotonic() + wait_sec
    while shared_memory() - before and time.monotonic() < end:
        time.sleep(0.1)
    return sorted(shared_memory() - before)


def content_of(folder):
    """Return ``{name: content}`` of all files; arrays for weights and scores, JSON without times and hashes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or "/logs/" in name or name.endswith((".log", ".png", "config.json", ".lock", ".md", ".pb")):
            if path.is_file() and "/logs/" not in name:
                found[name] = None
            continue
        found[name] = _read(path)
    return found


def _read(path):
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return _weights(io.BytesIO(archive.read("model.weights.h5")))
    if path.suffix == ".h5":
        return _weights(path)
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {key: archive[key] for key in archive.files}
    if path.suffix == ".json":
        return _without(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".jsonl" or path.name in ("finished", "fingerprint"):
        return None
    return path.read_bytes() if "variables" not in path.parts and "assets.extra" not in path.parts else None


def _weights(file):
    found = {}
    with h5py.File(file, "r") as content:
        content.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def _without(value):
    if isinstance(value, dict):
        return {key: _without(entry) for key, entry in value.items() if key not in CHANGING}
    return [_without(entry) for entry in value] if isinstance(value, list) else value


def differences(one, other, tolerance):
    """Return in words how two results of ``content_of`` differ."""
    found = [f"left: {name}" for name in sorted(set(other) - set(one))]
    found += [f"missing: {name}" for name in sorted(set(one) - set(other))]
    for name in sorted(set(one) & set(other)):
        left, right = one[name], other[name]
        if isinstance(left, dict) and any(isinstance(value, np.ndarray) for value in left.values()):
            apart = largest_difference({name: left}, {name: right})
            if apart > tolerance:
                found.append(f"{name} differs by {apart:.3g}")
        elif left != right and not name.endswith("summaries/prepare.json") and "summaries/" not in name:
            found.append(f"{name} differs")
    return found


def largest_difference(one, other):
    """Return the largest difference of any number in the arrays of two results, infinity for other shapes."""
    largest = 0.0
    for name, arrays in one.items():
        if not isinstance(arrays, dict):
            continue
        for key, values in arrays.items():
            if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
                continue
            partner = other.get(name, {}).get(key)
            if partner is None or partner.shape != values.shape:
                return float("inf")
            largest = max(largest, float(np.abs(values.astype(float) - partner.astype(float)).max(initial=0)))
    return largest


def try_stage(stage, base, moments, rng):
    """Kill one stage at several moments; ``base`` is the folder before it and afterwards that of an undisturbed run."""
    work = base.parent / "work"

    def restored():
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(base, work, symlinks=True)

    undisturbed, seconds, counter = [], 0.0, base.parent / "count"
    for _ in range(2):
        restored()
        before = time.monotonic()
        status = finish(start(stage, work, counter=counter))
        seconds = time.monotonic() - before
        assert status == 0, f"{stage} ends with {status}, see {base.parent}/{stage}.log"
        undisturbed.append(content_of(work))
    noise = largest_difference(*undisturbed)
    tolerance = max(1e-6, 4 * noise)
    operations, shared, wrong = int(counter.read_text()), shared_memory(), []
    by_time = [seconds * (number + rng.random()) / (moments // 2) for number in range(moments // 2)]
    by_operation = sorted(rng.choice(operations, min(operations, moments - len(by_time)), replace=False) + 1)
    killed = 0
    for moment in [*by_time, *(int(number) for number in by_operation)]:
        restored()
        child = start(stage, work, kill_at=moment if isinstance(moment, int) else None)
        if isinstance(moment, float):
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
        killed += finish(child) == -signal.SIGKILL
        problems = [f"process left: {line}" for line in session_left(child)]
        for _ in range(2):  # `vad` restarts a training once after a crash inside a library
            again = start(stage, work)
            status = finish(again)
            problems += [f"process left: {line}" for line in session_left(again)]
            if not isinstance(status, int) or not is_crash(status):
                break
            print(f"  {stage}: crash inside a library, restarted", flush=True)
        problems += [f"status {status}"] if status else []
        problems += differences(undisturbed[0], content_of(work), tolerance)
        problems += [f"shared memory left: {name}" for name in shared_memory_left(shared)]
        for problem in problems:
            print(f"  {stage} at {moment if isinstance(moment, int) else round(moment, 2)}: {problem}", flush=True)
        wrong += problems
        gc.collect()
    restored()
    assert finish(start(stage, work)) == 0
    shutil.rmtree(base)
    work.rename(base)
    print(f"{stage}: {killed} kills in {seconds:.1f} s and {operations} file operations, noise {noise:.2g}, "
          f"{len(wrong)} problems", flush=True)
    return len(wrong)


def main():
    """Try all stages, in order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    parser.add_argument("--folder", type=Path, help="where the runs are; kept, so that later stages can be tried alone")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    load_tensorflow_quietly()
    for stage in STAGES:
        __import__(f"pipelines.stages.{stage}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kill-"))
    base = folder / "base"
    base.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    return 1 if sum(try_stage(stage, base, options.moments, rng) for stage in options.stages) else 0


if __name__ == "__main__":
    sys.exit(main())
