"""Time functions that take turns, measure peak memory, and measure the rates of the machine."""

import functools
import gc
import importlib.util
import os
import random
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from pipelines.run.workers import load_tensorflow_quietly, peak_memory_bytes

MEMORY_LIMIT_BYTES = 8e9
HAS_TORCH = importlib.util.find_spec("torch") is not None


@dataclass(frozen=True)
class Timing:
    """Median times of one function."""

    wall_ms: float
    cpu_ms: float  # of all threads, without waiting for a core


def take_turns(subjects, budget_sec=4.0, fewest=3, most=100):
    """Return the `Timing` of each function by name; every round runs each of them once, under the same load.

    The order changes in every round: a small function is slower after a large one, whose data fill the caches.

    Args:
        subjects: Name -> function without arguments.
        budget_sec: Stop after this time.
        fewest, most: Number of rounds at least and at most, whatever the budget.
    """
    for function in subjects.values():
        function()  # warm-up: traces and allocates
    wall, cpu = {name: [] for name in subjects}, {name: [] for name in subjects}
    order, shuffle = list(subjects.items()), random.Random(0).shuffle
    start = time.perf_counter()
    for turn in range(most):
        if turn >= fewest and time.perf_counter() - start > budget_sec:
            break
        shuffle(order)
        for name, function in order:
            cpu_start, wall_start = time.process_time(), time.perf_counter()
            function()
            wall[name].append(time.perf_counter() - wall_start)
            cpu[name].append(time.process_time() - cpu_start)
    return {name: Timing(*(1e3 * statistics.median(x[name]) for x in (wall, cpu))) for name in subjects}


def in_worker(function, *arguments, threads=2):
    """Return `function(*arguments)` from a process limited to `threads`; calls with the same number share it."""
    return _worker(threads).submit(function, *arguments).result()


def in_fresh_process(function, *arguments):
    """Return `function(*arguments)` from a process of its own, for peak memory."""
    with _new_worker(2) as worker:
        return worker.submit(function, *arguments).result()


def _new_worker(threads):
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_set_threads, initargs=(threads,))


_worker = functools.cache(_new_worker)


def _set_threads(threads):
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # otherwise torch's threads keep spinning while the next function runs
    load_tensorflow_quietly()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def peak_bytes(make, small, large):
    """Return the peak memory that `make(large)()` adds after `make(small)()`. Call it by `in_fresh_process`."""
    make(small)()
    function = make(large)
    gc.collect()
    before = peak_memory_bytes()
    function()
    return peak_memory_bytes() - before


def matrix_product(size=1024):
    """Return a function that multiplies two large float32 matrices, and the GFLOP it takes (2 per multiply-add)."""
    import tensorflow as tf

    matrix = tf.random.normal((size, size))
    return tf.function(lambda: tf.matmul(matrix, matrix)), 2 * size**3 / 1e9


def machine_rates():
    """Return multiply-adds per second of a large product, and bytes per second read and written by a large copy."""
    product, gflop = matrix_product()
    numbers = 2**25
    source, target = np.ones(numbers, "float32"), np.ones(numbers, "float32")
    timings = take_turns({"product": product, "copy": lambda: np.copyto(target, source)}, 1.0, 5)
    return gflop / 2 * 1e9 / timings["product"].wall_ms * 1e3, 2 * source.nbytes / timings["copy"].wall_ms * 1e3


def format_ms(milliseconds):
    """Format a time with three significant digits."""
    if milliseconds < 10:
        return f"{milliseconds:.2f}"
    return f"{milliseconds:,.1f}" if milliseconds < 100 else f"{milliseconds:,.0f}"
