"""Measure the core and print its tables: under eight minutes on two idle cores."""

import argparse
import functools
from pathlib import Path

from benchmarks import attention, crf, detector, gate
from benchmarks.measure import in_worker
from pipelines.bench import machine
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.tables import markdown_table, print_table

TIMES = {"frames": "frames", attention.OURS: "cliques (ms)", "cpu": "CPU (ms)"}
TIMES |= {name: f"{text} (ms)" for name, text in attention.RIVALS.items()}
COLUMNS = {
    "CliqueSelfAttention, forward": TIMES,
    "CliqueSelfAttention, forward and gradient": TIMES,
    "Time for twice the frames": {"frames": "frames", "time": "forward", "gradient": "forward and gradient"},
    "Peak memory in MB": {
        "frames": "frames",
        "pass": "pass",
        attention.OURS: "cliques",
        **attention.RIVALS,
    },
    "Lower bound of the attention": {
        "frames": "frames",
        "rates": "machine rates",
        "required": "required work",
        "bound": "lower bound (ms)",
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
        "bound": "reading the kernel 10 times (ms)",
        "dense": "10 iterations, dense kernel (ms)",
        "step": "with gradient: attention + CRF (ms)",
    },
    "AnomalyDetector, one thread": {
        "pass": "pass",
        "head": "head",
        "cpu": "CPU (ms) = relative",
        "gflop": "required GFLOP",
        "bound": "lower bound (ms)",
        "above": "CPU / bound",
    },
}


def jobs(small):
    """Yield the title of a table and a function that returns one row, or a list of rows, of it."""
    lengths = (8, 16) if small else (8, 16, 32, 64, 128, 256, 512, 1024)
    budget = 0.05 if small else 3.0
    titles = list(COLUMNS)
    for gradient in (False, True):
        for length in lengths:
            yield titles[gradient], functools.partial(in_worker, attention.time_row, length, gradient, budget)
    yield titles[2], functools.partial(in_worker, attention.growth_row, lengths[-2:], budget)
    every, ours = (attention.OURS, *attention.RIVALS), (attention.OURS,)
    memory = ((256, every), (512, ours), (1024, ours))
    for gradient in (False,) if small else (False, True):
        for length, names in ((8, ours),) if small else memory:
            yield titles[3], functools.partial(attention.memory_row, length, gradient, names)
    for length in lengths[-1:] if small else (8, 256, 1024):
        yield titles[4], functools.partial(in_worker, attention.bound_row, length, budget)
    yield titles[5], functools.partial(gate.rows, budget, *(((2, 3), 8, False) if small else ()))
    for length in lengths[-1:] if small else (32, 256, 512):
        yield titles[6], functools.partial(in_worker, crf.row, length, budget)
    size = ((4, 8, 16, 20), 2) if small else ()
    yield titles[7], functools.partial(in_worker, detector.rows, *size, threads=1)


def run(small, only=""):
    """Measure the tables whose title contains `only`; return their rows by title."""
    tables = {title: [] for title in COLUMNS if only in title}
    selected = [(title, make) for title, make in jobs(small) if title in tables]
    for title, make in track(selected, "Measuring the core", unit="rows"):
        found = make()
        tables[title] += found if isinstance(found, list) else [found]
    return tables


def main(arguments=None):
    """Print the tables, and the published comparison after them, and write both as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--small", action="store_true", help="use tiny sizes, to check that it runs")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure only the tables with TEXT in their title")
    output = Path("runs/bench/core.md")
    parser.add_argument("--output", type=Path, default=output, help="Markdown file (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not any(options.only in title for title in COLUMNS):
        parser.error(f"no table has {options.only!r} in its title; the titles are: {'; '.join(COLUMNS)}")
    tables = run(options.small, options.only)
    text = [machine()]
    for title, rows in tables.items():
        print_table(rows, COLUMNS[title], title=title)
        text += [f"**{title}**", markdown_table(rows, COLUMNS[title])]
    if list(COLUMNS)[7] in tables:
        published = detector.PUBLISHED.read_text(encoding="utf-8").strip()
        print(published)
        text.append(published)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(options.output)


if __name__ == "__main__":
    main()
