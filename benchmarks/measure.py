"""Time of competitors that take turns, peak memory of one subject, and what the machine can do at most."""

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

from pipelines.bench import peak_memory_bytes
from pipelines.run.workers import load_tensorflow_quietly

MEMORY_LIMIT_BYTES = 8e9
HAS_TORCH = importlib.util.find_spec("torch") is not None


@dataclass(frozen=True)
class Timing:
    """Medians of one subject."""

    wall_ms: float
    cpu_ms: float  # of all threads: what is paid, however busy the machine is


def take_turns(subjects, budget_sec=4.0, fewest=3, most=100):
    """`Timing` of each subject by name; every round runs each subject once, so that all meet the same machine.

    The order changes from round to round: a small subject is slower behind a large one, whose data fill the caches.

    Args:
        subjects: name -> function without arguments.
        budget_sec: rounds go on for so long.
        fewest, most: rounds, whatever the budget.
    """
    for function in subjects.values():
        function()  # traces and allocates
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


def apart(function, *arguments, threads=2):
    """What `function(*arguments)` returns in a process of so many threads, one for all calls with that number."""
    return _room(threads).submit(function, *arguments).result()


def alone(function, *arguments):
    """What `function(*arguments)` returns in a fresh process, for peak memory."""
    with _new_room(2) as room:
        return room.submit(function, *arguments).result()


def _new_room(threads):
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_set_threads, initargs=(threads,))


_room = functools.cache(_new_room)


def _set_threads(threads):
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # or torch's threads go on spinning while the next subject runs
    load_tensorflow_quietly()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def peak_bytes(make, small, large):
    """Peak memory that `make(large)()` adds to a process in which `make(small)()` has run. Call it by `alone`."""
    make(small)()
    function = make(large)
    gc.collect()
    before = peak_memory_bytes()
    function()
    return peak_memory_bytes() - before


def machine_rates():
    """Multiply-adds a second of a large product, and bytes a second read and written by a large copy."""
    import tensorflow as tf

    size, numbers = 1024, 2**25
    matrix = tf.random.normal((size, size))
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    source, target = np.ones(numbers, "float32"), np.ones(numbers, "float32")
    timings = take_turns({"product": product, "copy": lambda: np.copyto(target, source)}, 1.0, 5)
    return size**3 / timings["product"].wall_ms * 1e3, 2 * source.nbytes / timings["copy"].wall_ms * 1e3


def digits(milliseconds):
    """Three figures of a time, as text."""
    if milliseconds < 10:
        return f"{milliseconds:.2f}"
    return f"{milliseconds:,.1f}" if milliseconds < 100 else f"{milliseconds:,.0f}"
