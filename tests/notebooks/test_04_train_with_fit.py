"""notebooks/04_train_with_fit.ipynb runs from top to bottom, and shows what it promises."""

import os
import sys
from pathlib import Path

import keras
import nbclient
import nbformat
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOK = REPOSITORY / "notebooks" / "04_train_with_fit.ipynb"
SMALLEST = (
    "data.image_size_px=32",
    "data.workers=1",
    "synthetic.train_videos=8",
    "synthetic.test_videos=2",
    "synthetic.duration_sec=4",
    "synthetic.width_px=64",
    "synthetic.height_px=48",
    "train_extractor.epochs=1",
    "train_extractor.snippets_per_video=2",
    "train_detector.epochs=2",
)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The folder of the run, and the outputs of all cells."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the notebook trains on the TensorFlow backend")
    folder = tmp_path_factory.mktemp("notebook")
    settings = (f"work_dir={folder}", f"data.root={folder / 'videos'}", *SMALLEST)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAD_SETTINGS", " ".join(settings))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)]))  # if not installed
        client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
        client.execute()
    return folder, [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_it_shows_the_history_and_a_timeline(executed):
    _, outputs = executed
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2


def test_the_loaded_model_gives_the_same_scores(executed):
    folder, outputs = executed
    texts = [output.text for output in outputs if output.output_type == "stream" and output.name == "stdout"]
    said = next(text for text in texts if "after loading" in text)
    assert float(said.split()[-1]) < 1e-6
    assert (folder / "detector.keras").exists()


def test_tensorboard_was_given_training_and_validation(executed):
    folder, _ = executed
    assert {path.parent.name for path in (folder / "logs" / "fit").rglob("events*")} == {"train", "validation"}


def test_it_is_committed_without_outputs():
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


def test_it_defines_nothing():
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    lines = [line for source in cells for line in source.splitlines()]
    assert not [line for line in lines if line.lstrip().startswith(("def ", "class "))]
