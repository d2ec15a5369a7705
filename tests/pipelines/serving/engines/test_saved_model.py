"""The exported model, run by TensorFlow in this process."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError
from pipelines.serving.engines.saved_model import SavedModelEngine


@pytest.fixture(scope="module")
def engine(exported):
    return SavedModelEngine(exported.folder)


def test_the_outputs_are_those_of_the_signatures_for_one_video(exported, engine):
    signatures = tf.saved_model.load(str(exported.folder)).signatures
    frames = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype("uint8")
    inputs = engine.extract(frames)
    nodes = inputs["nodes"]
    assert inputs.keys() == {"nodes"} and (nodes.shape, nodes.dtype) == ((6, 5, 96), np.float32)
    np.testing.assert_array_equal(nodes, signatures["extract"](frames=frames[None])["nodes"][0])
    outputs, expected = engine.score_nodes(inputs), signatures["score_nodes"](nodes=nodes[None])
    assert outputs.keys() == expected.keys() and outputs["anomaly_score"].shape == (6,)
    for name, values in outputs.items():
        np.testing.assert_array_equal(values, expected[name][0], err_msg=name)


def test_the_newest_version_of_a_model_is_loaded(exported, engine):
    newest = SavedModelEngine(exported.folder.parent)
    assert (newest.version, newest.info) == (engine.version, engine.info) == ("1", engine.info)


def test_scoring_needs_neither_keras_nor_a_model_class(exported):
    program = f"""
import sys
sys.modules["keras"] = None  # an import of it fails from here on
import numpy as np
import pipelines.stages.score
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.scorer import Scorer
scorer = Scorer(SavedModelEngine({str(exported.folder)!r}))
scorer.push(np.zeros((3, 32, 32, 3), "uint8"))
print(scorer.finish().anomaly_score.shape)
loaded = [name for name in sys.modules if name.startswith("vad_keras.")]
assert loaded == ["vad_keras.spec"], loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "(3,)"


def test_a_folder_without_a_model_is_answered_with_the_way_out(tmp_path):
    with pytest.raises(UserError, match="Run `vad export` first"):
        SavedModelEngine(tmp_path)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_a_damaged_model_is_answered_with_the_way_out(exported, tmp_path, name):
    folder = tmp_path / "1"
    shutil.copytree(exported.folder, folder)
    (folder / name).write_bytes(b"no model")
    with pytest.raises(UserError, match=r"1 cannot be loaded .* Export it again"):
        SavedModelEngine(folder)
