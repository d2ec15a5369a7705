"""notebooks/05_serve.ipynb: the export is complete, a request by hand gives its scores, and a server is asked."""

import json
import os
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from pipelines.serving import score_video
from tests.notebooks.conftest import NOTEBOOKS


@pytest.fixture(scope="module")
def shown(run_on_tensorflow):
    return run_on_tensorflow("05_serve")


def test_it_lists_the_files_and_signatures_of_the_export(shown):
    folder = shown.folder / "runs" / "small" / "savedmodels" / "small" / "1"
    assert all(f"1/{path.relative_to(folder)}\n" in shown.text for path in folder.rglob("*") if path.is_file())
    names = json.loads((folder / "model.json").read_text())["signatures"]
    assert len(names) > 4 and all(f"\n{name}\n    takes  " in shown.text for name in names)


def test_a_request_by_hand_gets_the_scores_of_score_video(shown):
    assert float(re.search(r"largest difference to score_video: (\S+)", shown.text)[1]) < 1e-3
    assert "38 frames, highest score" in shown.html and "no server was asked" in shown.text


def test_its_last_cell_asks_a_server_that_has_the_model(shown, monkeypatch, capsys):
    reason = "needs tensorflow-serving-api: pip install 'vad-keras[dev]'"
    pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason=reason)
    from tests.pipelines.serving.in_process_server import Models, Version, grpc_server

    folder = shown.folder / "runs" / "small" / "savedmodels" / "small" / "1"
    path = min((shown.folder / "runs" / "small" / "videos" / "test").glob("fight*.mp4"))
    source = nbformat.read(NOTEBOOKS / "05_serve.ipynb", as_version=4).cells[-2].source
    names = {"os": os, "np": np, "score_video": score_video, "video": SimpleNamespace(path=path)}
    names |= {"local": score_video(path, model=folder), "info": SimpleNamespace(name="small")}
    with grpc_server(Models("small", {1: Version(folder)})) as address:
        monkeypatch.setenv("VAD_SERVING_ADDRESS", address)
        exec(source, names)
    assert float(re.search(r"grpc://\S+: largest difference to this process (\S+)", capsys.readouterr().out)[1]) < 1e-6
