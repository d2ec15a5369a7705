"""Notebooks as pages: those that `make notebooks` has run with their outputs, the others as they are in git."""

from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
EXECUTED = REPOSITORY / "build" / "notebooks"
NOT_RUN = "!!! note\n    This page was built without the outputs of the notebook: `make docs` runs it first.\n\n"
FILE = '<a href="{}" download>Download the notebook</a>, or see [how to run it](../CONTRIBUTING.md#notebooks).\n\n'


def notebook_page(path, executed=EXECUTED):
    """Return a notebook as Markdown, and its pictures as ``{file name: bytes}``.

    Args:
        path: The notebook in git.
        executed: Folder of the notebooks that were run. One that has changed since is not used.
    """
    notebook, ran = nbformat.read(path, as_version=4), executed / path.name
    shown = nbformat.read(ran, as_version=4) if ran.is_file() else notebook
    cells = [cell for cell in shown.cells if cell.cell_type == "code"]
    is_current = _sources(shown) == _sources(notebook) and any(cell.execution_count for cell in cells)
    for cell in cells:  # warnings and progress bars go to the standard error
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    shown = shown if is_current else notebook
    text, resources = MarkdownExporter().from_notebook_node(shown, {"unique_key": path.stem})
    title, _, rest = text.lstrip().partition("\n")
    head = FILE.format(path.name) + ("" if is_current else NOT_RUN)
    return f"{title}\n\n{head}{rest}", resources["outputs"] or {}


def _sources(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]
