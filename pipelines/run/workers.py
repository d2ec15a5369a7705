"""Worker processes: usable cores, peak memory, one function in a fresh process, TensorFlow loaded quietly."""

import contextlib
import importlib
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from pipelines.run.failures import MachineError
from pipelines.run.restart import is_crash, warn_of_restart

# Keras imports them for wrappers and previews that no command uses: a third of the time in which TensorFlow loads.
ONLY_FOR_WRAPPERS = ("sklearn", "matplotlib.pyplot")
_loads_wrappers = True
ERASE_LINE = "\x1b[2K"


def leave_out_wrappers():
    """Let ``load_tensorflow_quietly`` keep Keras from importing scikit-learn and pyplot, in a process of a command.

    They can be imported afterwards. In a process of the user, a program or a notebook, Keras stays as it is.
    """
    global _loads_wrappers
    _loads_wrappers = False


def usable_cores():
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_own_process(function, *arguments, threads=0, backend="", tensorflow=True):
    """Return ``function(*arguments)``, run in a fresh process that ends with this one.

    Only the end of a process is certain to free all the memory that a training used. After a crash inside a library the
    function is called once more, in another process.

    Args:
        function: Importable by name.
        threads: Number of threads for its operations; 0: one per core.
        backend: Keras backend; empty: as the environment says.
        tensorflow: Load TensorFlow first, quietly.

    Raises:
        MachineError: The process died. Errors of ``function`` are raised unchanged.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy TensorFlow's threads in a broken state
    settings = (threads, backend, tensorflow)
    for is_last in (False, True):
        with ProcessPoolExecutor(1, context, initializer=_start_worker, initargs=settings) as pool:
            future = pool.submit(function, *arguments)
            (worker,) = pool._processes.values()  # its exit code tells how it died
            try:
                return future.result()
            except BrokenProcessPool as error:
                broken = error
        worker.join()
        if is_last or not is_crash(worker.exitcode):
            break
        warn_of_restart(worker.exitcode)
    raise MachineError(
        "a worker process was killed, perhaps because it ran out of memory. Run the same command again: "
        "finished work is kept, and a training resumes after its last whole epoch."
    ) from broken


def _start_worker(threads, backend, tensorflow):
    if threads:
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
        os.environ |= dict.fromkeys(names, str(threads))
    if backend:
        os.environ["KERAS_BACKEND"] = backend
    exit_with_parent()
    leave_out_wrappers()
    if tensorflow:
        load_tensorflow_quietly()


def exit_with_parent():
    """End this process, whatever it is doing, as soon as the process that started it ends, even by SIGKILL."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def load_tensorflow_quietly(announce=False):
    """Import TensorFlow without what its C++ libraries print while they load, which no log level reaches.

    Later they print nothing below a fatal error, unless ``TF_CPP_MIN_LOG_LEVEL`` says otherwise. The output is shown
    after all when the import fails, or with ``TF_CPP_MIN_LOG_LEVEL=0``.

    Args:
        announce: Say on a terminal, until it is loaded, what takes so long.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0" or "tensorflow" in sys.modules:
        return
    announce = announce and sys.stderr.isatty()
    print(end="Loading TensorFlow\r" if announce else "", file=sys.stderr, flush=True)
    terminal, loaded = os.dup(2), False
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            with contextlib.nullcontext() if _loads_wrappers else _unavailable(ONLY_FOR_WRAPPERS):
                importlib.import_module("tensorflow")
            loaded = True
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            output.seek(0)
            print(end=ERASE_LINE if announce else "", file=sys.stderr, flush=True)
            if not loaded:
                sys.stderr.write(output.read().decode(errors="replace"))


@contextlib.contextmanager
def _unavailable(names):
    """Let the import of modules fail that are not loaded yet."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # None stands for a module that is not there
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def peak_memory_bytes():
    """Return the largest resident size that this process ever had."""
    with contextlib.suppress(OSError):  # on Linux ru_maxrss starts at the size of the parent process
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
