"""Measure the core and print its tables: `python -m benchmarks`, under eight minutes on two quiet cores."""

import argparse
import functools
from pathlib import Path

from benchmarks import attention, crf, detector, gate
from benchmarks.measure import apart
from pipelines.bench import machine
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.tables import markdown_table, print_table

TIMES = {"frames": "frames", attention.OURS: "cliques (ms)", "cpu": "CPU (ms)"}
TIMES |= {name: f"{text} (ms)" for name, text in attention.RIVALS.items()}
COLUMNS = {
    "CliqueSelfAttention, forward": TIMES,
    "CliqueSelfAttention, forward and gradient": TIMES,
    "Twice the frames": {"frames": "frames", "time": "time, forward", "gradient": "time, with gradient"},
    "Peak memory in MB": {
        "frames": "frames",
        "pass": "pass",
        attention.OURS: "cliques",
        **attention.RIVALS,
    },
    "The floor of the attention": {
        "frames": "frames",
        "rates": "this machine",
        "must": "must",
        "floor": "floor (ms)",
        attention.OURS: "cliques (ms)",
    },
    "RelationGate, 8 frames of 7 × 7 and 14 × 14": {
        "positions": "positions",
        "gate": "gate (ms)",
        "matrix": "matrix (ms)",
        "gate_mb": "gate (MB)",
        "matrix_mb": "matrix (MB)",
    },
    "MeanFieldCRF": {
        "frames": "frames",
        "attention": "attention (ms)",
        "one": "1 iteration (ms)",
        "ten": "10 iterations (ms)",
        "floor": "reading the kernel 10 times (ms)",
        "dense": "10 on a dense kernel (ms)",
        "step": "gradient: attention + CRF (ms)",
    },
    "AnomalyDetector": {
        "head": "head",
        "threads": "threads",
        "step": "training step (ms)",
        "step_cpu": "its CPU time (ms)",
        "inference": "1,000 snippets (ms)",
        "inference_cpu": "its CPU time (ms)",
    },
}


def jobs(small):
    """Title of a table and a function that makes a row, or a list of rows, of it."""
    lengths = (8, 16) if small else (8, 16, 32, 64, 128, 256, 512, 1024)
    budget = 0.05 if small else 3.0
    titles = list(COLUMNS)
    for gradient in (False, True):
        for length in lengths:
            yield titles[gradient], functools.partial(apart, attention.time_row, length, gradient, budget)
    yield titles[2], functools.partial(apart, attention.growth_row, lengths[-2:], budget)
    everyone, ours = (attention.OURS, *attention.RIVALS), (attention.OURS,)
    memory = ((256, everyone), (512, ours), (1024, ours))
    for gradient in (False,) if small else (False, True):
        for length, names in ((8, ours),) if small else memory:
            yield titles[3], functools.partial(attention.memory_row, length, gradient, names)
    for length in lengths[-1:] if small else (8, 256, 1024):
        yield titles[4], functools.partial(apart, attention.floor_row, length)
    yield titles[5], functools.partial(gate.rows, *(((2, 3), 8, False) if small else ()))
    for length in lengths[-1:] if small else (32, 256, 512):
        yield titles[6], functools.partial(apart, crf.row, length)
    size = (4, 8, 16, 20) if small else (detector.BAGS, detector.FRAMES, detector.CHANNELS, detector.SNIPPETS)
    for threads in (2, 1):
        for name, options in (("ours", {}), ("ours, projection_dim=128", {"projection_dim": 128})):
            yield titles[7], functools.partial(apart, detector.row, name, options, threads, size, threads=threads)
    yield titles[7], detector.given_rows


def run(small):
    """Tables by title."""
    tables = {title: [] for title in COLUMNS}
    for title, make in track(list(jobs(small)), "Measuring the core", unit="rows"):
        found = make()
        tables[title] += found if isinstance(found, list) else [found]
    return tables


def main(arguments=None):
    """Print the tables and write them as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--output", type=Path, default=Path("runs/bench/core.md"), help="Markdown file")
    options = parser.parse_args(arguments)
    tables = run(options.small)
    text = [machine()]
    for title, rows in tables.items():
        print_table(rows, COLUMNS[title], title=title)
        text += [f"**{title}**", markdown_table(rows, COLUMNS[title])]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(options.output)


if __name__ == "__main__":
    main()
