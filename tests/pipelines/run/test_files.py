"""Tests of pipelines.run.files."""

import json

import numpy as np
import pytest

from pipelines.run.files import write_json


def test_a_figure_that_does_not_exist_is_null(tmp_path):
    path = write_json(
        tmp_path / "a" / "metrics.json", {"auc": float("nan"), "seeds": [np.float64("nan"), 0.5], "n": (1,)}
    )
    assert json.loads(path.read_text()) == {"auc": None, "seeds": [None, 0.5], "n": [1]}


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path):
    path = write_json(tmp_path / "metrics.json", {"auc": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"auc": float("inf")})
    assert json.loads(path.read_text()) == {"auc": 0.5}
