"""Feed damaged files to everything that reads a file of a user: ``python -m benchmarks.fuzz labels --minutes 10``.

A door is a function that a command calls. It may accept an input or refuse it with a documented error. Another
exception, more than 10 s, more than 2 GB, or an accepted value that cannot be true is a finding: its input is kept in
``--output``. With the package ``atheris`` the inputs are guided by the coverage of ``pipelines``. Without it they are
mutated at random, and always for ``video`` and ``records``, whose work is done in C.
"""

import argparse
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from pipelines.run.workers import peak_memory_bytes

MAX_SEC, MAX_BYTES = 10, 2 << 30
MAX_INPUT_BYTES = 1 << 14
OWN_PACKAGES = ["pipelines.config", "pipelines.data"]
DOORS = ("labels", "intervals", "frame_labels", "toml", "features", "manifest", "records", "video")
UNGUIDED = ("records", "video")


class TooSlowError(Exception):
    """An input took more than ``MAX_SEC``."""


class Findings:
    """Runs inputs and keeps one of each kind of failure."""

    def __init__(self, door, folder, seconds):
        self.door, self.folder, self.seconds = door, folder, seconds
        self.count = self.refused = 0
        self.reported = False
        self.kinds = {}
        self.start = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        signal.signal(signal.SIGALRM, self._too_slow)

    @staticmethod
    def _too_slow(*_):
        raise TooSlowError

    def __call__(self, content):
        """Run one input."""
        self.count += 1
        signal.alarm(MAX_SEC)
        try:
            self.refused += not self.door(content)
        except Exception as error:
            self.keep(content, error)
        finally:
            signal.alarm(0)
        if time.monotonic() - self.start > self.seconds and not self.reported:
            self.reported = True
            print(self.report(), flush=True)
        if self.count % 64 == 0 and peak_memory_bytes() > MAX_BYTES:
            self.keep(content, MemoryError("more than 2 GB"))

    def keep(self, content, error):
        """Write the first input of each kind of failure."""
        places = [line for line in traceback.extract_tb(error.__traceback__) if "pipelines" in line.filename]
        place = f"{Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
        kind = f"{type(error).__name__} {place} {str(error)[:60] if isinstance(error, AssertionError) else ''}"
        if kind not in self.kinds:
            name = re.sub(r"\W+", "_", kind).strip("_")
            (self.folder / name).write_bytes(content)
            lines = traceback.format_exception(error)
            (self.folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
            print(f"finding: {kind}: {str(error)[:200]}", flush=True)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def report(self):
        """Return the numbers of this run as one line."""
        seconds = time.monotonic() - self.start
        facts = {"executions": self.count, "refused": self.refused, "seconds": round(seconds)}
        return json.dumps(facts | {"peak_mb": peak_memory_bytes() >> 20, **self.kinds})


def mutated(rng, seeds):
    """Return a random seed with a few changes: bits, bytes, numbers, cut, repeated, moved or foreign pieces."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(content) + 1) if rng.random() < 0.6 else rng.randrange(min(len(content), 512) + 1)
        size = rng.choice((1, 2, 4, 8, 64, 512))
        how = rng.randrange(8)
        if how == 0 and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            content[at : at + size] = rng.randbytes(size)
        elif how == 2:
            value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
            width = rng.choice((2, 4, 8))
            content[at : at + width] = value.to_bytes(8, rng.choice(("little", "big")))[-width:]
        elif how == 3:
            del content[at : at + size]
        elif how == 4:
            del content[at:]
        elif how == 5:
            content[at:at] = content[at : at + size]
        elif how == 6:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            content[at : at + size] = other[start : start + size]
        else:
            content[at : at + size] = bytes(min(size, max(0, len(content) - at)))
    return bytes(content)


def run_at_random(findings, seeds, seed):
    """Mutate the seeds until the time is over."""
    rng = random.Random(seed)
    for content in seeds:
        findings(content)
    while not findings.reported:
        findings(mutated(rng, seeds))


def run_guided(findings, seeds, seed, folder):
    """Let libFuzzer choose the inputs; it prints the coverage it reached (``cov``)."""
    import atheris

    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(content)
    words = {word for content in seeds for word in re.findall(rb"[\w.]{2,24}", content[:2000])}
    words |= {b'"', b"\xef\xbb\xbf", b"1e999", b"-1", b"nan", b"9" * 20}
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in sorted(words)[:400]]
    (folder / "words").write_text("".join(lines))
    options = [f"-max_total_time={findings.seconds + 3}", f"-max_len={MAX_INPUT_BYTES}", f"-dict={folder / 'words'}"]
    options += [f"-timeout={3 * MAX_SEC}", "-rss_limit_mb=0", "-print_final_stats=1", f"-seed={seed + 1}"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], findings)
    atheris.Fuzz()


def main():
    """Fuzz one door."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("door", choices=DOORS)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--output", type=Path, default=Path("fuzz"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="small files, or folders of them")
    options = parser.parse_args()
    guided = options.door not in UNGUIDED and importlib.util.find_spec("atheris") is not None
    if guided:
        import atheris

        with atheris.instrument_imports(include=OWN_PACKAGES):
            from benchmarks import fuzz_doors
    else:
        from benchmarks import fuzz_doors
    folder = options.output / options.door
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    door = getattr(fuzz_doors, options.door)(scratch)
    seeds = [content for content in fuzz_doors.seeds_of(options.door, options.videos) if content is not None]
    findings = Findings(door, folder, round(60 * options.minutes))
    try:
        if not guided:
            run_at_random(findings, seeds, options.seed)
        elif os.fork():
            os.wait()
        else:  # libFuzzer ends the process itself
            run_guided(findings, seeds, options.seed, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
