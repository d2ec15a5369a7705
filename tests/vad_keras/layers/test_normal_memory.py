import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.layers import NormalMemory
from vad_keras.layers.normal_memory import ROWS_PER_STEP


def bags(*shapes):
    random = np.random.default_rng(0)
    return [random.normal(size=(*shape, 3)).astype("float32") for shape in shapes]


@pytest.mark.parametrize("size", [1, 5, ROWS_PER_STEP + 3, 2 * ROWS_PER_STEP])
def test_a_node_has_its_distance_to_the_nearest_row(size):
    memory = NormalMemory(size)
    memory.adapt(bags((40, 4), (50, 4)))
    nodes = np.random.default_rng(1).normal(size=(2, 3, 4, 3)).astype("float32")
    expected = np.linalg.norm(nodes[..., None, :] - ops.convert_to_numpy(memory.rows), axis=-1).min(axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(memory(nodes)), expected, atol=1e-5)


def test_rows_are_nodes_of_their_video_without_repetition_and_drawn_evenly():
    videos = bags((30, 2), (10, 2), (60, 2))
    memory = NormalMemory(100)
    owners, rows = memory.adapt(videos), ops.convert_to_numpy(memory.rows)
    assert len(np.unique(rows, axis=0)) == 100
    for row, owner in zip(rows, owners, strict=True):
        assert (videos[owner].reshape(-1, 3) == row).all(axis=1).any()
    np.testing.assert_allclose(np.bincount(owners), [30, 10, 60], atol=10)


def test_fewer_nodes_than_rows_repeat():
    memory = NormalMemory(50)
    video = bags((2, 3))
    memory.adapt(video)
    found = np.unique(ops.convert_to_numpy(memory.rows), axis=0)
    assert {tuple(row) for row in found} <= {tuple(row) for row in video[0].reshape(-1, 3)}


def test_another_seed_draws_other_rows():
    rows = []
    for seed in (0, 0, 1):
        memory = NormalMemory(10)
        memory.adapt(bags((30, 2)), seed)
        rows.append(ops.convert_to_numpy(memory.rows))
    np.testing.assert_array_equal(rows[0], rows[1])
    assert (rows[0] != rows[2]).any()


def test_the_rows_are_saved_and_never_trained(tmp_path):
    inputs = keras.Input((2, 3))
    model = keras.Model(inputs, NormalMemory(4, name="memory")(inputs))
    model.get_layer("memory").adapt(bags((5, 2)))
    assert not model.trainable_weights
    model.save(tmp_path / "model.keras")
    nodes = bags((1, 2))[0]
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(*(ops.convert_to_numpy(one(nodes)) for one in (model, loaded)))


def test_no_node_is_refused():
    with pytest.raises(ValueError, match="at least one node"):
        NormalMemory(4).adapt([np.zeros((0, 2, 3))])
