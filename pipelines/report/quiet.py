"""TensorFlow without the lines that its libraries print while they load."""

import importlib
import os
import sys
import tempfile

from pipelines.processes import exit_with_parent


def start_worker(threads=0, backend=""):
    """What a process of `multiprocessing` does first that will train; it ends when the one that started it is killed.

    Args:
        threads: It may take for its operations; 0: as many as there are cores.
        backend: Of Keras; empty: as the environment says.
    """
    if threads:
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
        os.environ |= dict.fromkeys(names, str(threads))
    if backend:
        os.environ["KERAS_BACKEND"] = backend
    exit_with_parent()
    load_tensorflow_quietly()


def load_tensorflow_quietly():
    """Imports TensorFlow without what its C++ libraries print while they load, which no log level reaches.

    What was printed is shown after all when the import fails, or when TF_CPP_MIN_LOG_LEVEL=0 asks for it.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0" or "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    terminal, loaded = os.dup(2), False
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
            loaded = True
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            chatter.seek(0)
            if not loaded:
                sys.stderr.write(chatter.read().decode(errors="replace"))
