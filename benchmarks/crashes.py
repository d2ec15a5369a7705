"""Repeat a small training and count the processes that die in a library: ``python -m benchmarks.crashes --times 200``.

Each training of the extractor runs in a process of its own, from prepared clips to the saved model, without the restart
that ``vad`` adds. TensorFlow 2.21 with oneDNN has died in one of about 60 of them.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

CODE = """
import importlib, sys
from pathlib import Path
from benchmarks.kill import config_of
if __name__ == "__main__":
    importlib.import_module(f"pipelines.stages.{sys.argv[1]}").run(config_of(Path(sys.argv[2]), sys.argv[1]))
"""
STAGE = "train_extractor"


def run(stage, folder):
    """Run a stage of the tiny demonstration in a process of its own and return its exit code."""
    command = [sys.executable, "-c", CODE, stage, str(folder)]
    with open(folder.parent / f"{stage}.log", "ab") as log:
        return subprocess.run(command, stdout=log, stderr=log, check=False).returncode


def main():
    """Repeat the training and print how many processes ended how."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crashes-"))
    base, ends = folder / "base", Counter()
    base.mkdir()
    assert run("prepare", base) == 0, f"see {folder}/prepare.log"
    for number in range(1, options.times + 1):
        for name in ("extractor.keras", f"state/{STAGE}", f"logs/{STAGE}"):
            path = base / "run" / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        status = run(STAGE, base)
        ends[signal.Signals(-status).name if status < 0 else f"status {status}"] += 1
        if number % 10 == 0 or status:
            print(f"{number} trainings: {dict(ends)}", flush=True)
    shutil.rmtree(folder)
    return 0 if set(ends) == {"status 0"} else 1


if __name__ == "__main__":
    sys.exit(main())
