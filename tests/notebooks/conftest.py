"""Notebooks are run in an empty folder, in one kernel: TensorFlow is loaded once, and what is trained is used again."""

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import nbclient
import nbformat
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = REPOSITORY / "notebooks"
SMALLEST = (
    "data.clip_frames=4",
    "data.image_size_px=32",
    "data.workers=1",
    "synthetic.train_videos=8",
    "synthetic.test_videos=2",
    "synthetic.duration_sec=4.75",
    "synthetic.width_px=64",
    "synthetic.height_px=48",
    "train_extractor.epochs=1",
    "train_extractor.snippets_per_video=2",
    "train_detector.epochs=2",
    "detector.temporal_localities=[1,2,4]",
    "detector.max_iterations=2",
    "evaluate.images=false",
)


@pytest.fixture(scope="session")
def run_notebook(tmp_path_factory):
    """Function of a notebook's name that runs it and returns `folder`, `text` (what it printed), `html` and `pictures`.

    The names of one notebook are gone when the next one starts. With `fresh=True` it gets a kernel of its own.
    """
    folder, clients = tmp_path_factory.mktemp("notebooks"), []

    def new_client():
        clients.append(nbclient.NotebookClient(None, timeout=600, resources={"metadata": {"path": str(folder)}}))
        return clients[-1]

    def run(name, fresh=False):
        client = new_client() if fresh or not clients else clients[0]
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        forget = nbformat.v4.new_code_cell("%reset_selective -f ^[^_]")
        client.nb = nbformat.v4.new_notebook(cells=[forget, *notebook.cells])
        path = os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)])  # if not installed
        environment = os.environ | {"PYTHONPATH": path, "VAD_SETTINGS": " ".join(SMALLEST)}
        environment.pop("VAD_SERVING_ADDRESS", None)
        client.execute(cleanup_kc=False, env=environment)
        outputs = [output for cell in client.nb.cells if cell.cell_type == "code" for output in cell.outputs]
        shown = [output.data for output in outputs if output.output_type in ("display_data", "execute_result")]
        return SimpleNamespace(
            folder=folder,
            text="".join(one.text for one in outputs if one.output_type == "stream" and one.name == "stdout"),
            html="".join(data.get("text/html", "") for data in shown),
            pictures=sum("image/png" in data for data in shown),
        )

    yield run
    for client in (client for client in clients if client.km is not None):  # one that died has none
        client._cleanup_kernel()


@pytest.fixture(scope="session")
def run_on_tensorflow(run_notebook):
    """`run_notebook` for a notebook that needs TensorFlow; skips on another backend."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        pytest.skip("the notebook runs on the TensorFlow backend")
    return run_notebook


@pytest.fixture(scope="session")
def run_on_jax(run_notebook):
    """`run_notebook` for a notebook that chooses JAX, in a kernel of its own; skips without JAX."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("the notebook needs JAX: pip install 'vad-keras[jax]'")
    return lambda name: run_notebook(name, fresh=True)
