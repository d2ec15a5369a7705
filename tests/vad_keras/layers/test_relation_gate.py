import numpy as np
import pytest
from keras import ops

from vad_keras.layers import RelationGate

SHAPE = (2, 3, 4, 2, 5)


def random_gate(shape=SHAPE, embedding_dim=6, seed=0, **arguments):
    rng = np.random.default_rng(seed)
    gate = RelationGate(embedding_dim, **arguments)
    gate.build(shape)
    for weight in gate.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return gate, rng.normal(size=shape)


def test_a_gate_of_one_position_by_hand():
    gate = RelationGate(1)
    gate.build((1, 1, 1, 1, 1))
    for name, value in {"psi1_kernel": 2, "psi1_bias": 1, "psi2_kernel": 3, "psi2_bias": -1}.items():
        getattr(gate, name).assign(np.full(getattr(gate, name).shape, value, "float32"))
    gate.position_weight.assign(np.full((1, 1, 1), 0.1, "float32"))
    gate.feature_weight.assign([-0.5])
    gate.bias.assign(0.25)
    # gamma = (2 * 2 + 1) (3 * 2 - 1) = 25; logit = -0.5 * 2 + 0.1 * 25 + 0.25 = 1.75
    result = ops.convert_to_numpy(gate(np.full((1, 1, 1, 1, 1), 2.0, "float32")))
    np.testing.assert_allclose(result.item(), 2 / (1 + np.exp(-1.75)), rtol=1e-6)


def test_padding_changes_no_real_frame_and_passes_unchanged():
    gate, maps = random_gate()
    mask = np.array([[True, True, False], [True, True, True]])
    other = maps.copy()
    other[0, 2] = 100.0
    result, changed = (ops.convert_to_numpy(gate(x.astype("float32"), mask=mask)) for x in (maps, other))
    np.testing.assert_array_equal(result[0, :2], changed[0, :2])
    assert not np.allclose(result[0, 0], maps[0, 0])
    np.testing.assert_array_equal(changed[0, 2], other[0, 2].astype("float32"))


def test_a_batch_equals_its_snippets_one_by_one():
    gate, maps = random_gate()
    maps = maps.astype("float32")
    together = ops.convert_to_numpy(gate(maps))
    for i in range(2):
        np.testing.assert_allclose(
            together[i : i + 1], ops.convert_to_numpy(gate(maps[i : i + 1])), rtol=1e-5, atol=1e-6
        )


def test_a_new_gate_is_near_one_half_everywhere():
    maps = np.abs(np.random.default_rng(0).normal(size=(2, 8, 7, 7, 256))).astype("float32")
    share = ops.convert_to_numpy(RelationGate(64)(maps)) / maps
    assert 0.4 < share.min() <= share.max() < 0.6


def test_the_embedding_dim_changes_the_result():
    gate, maps = random_gate(embedding_dim=6)
    other, _ = random_gate(embedding_dim=7)
    assert not np.allclose(ops.convert_to_numpy(gate(maps)), ops.convert_to_numpy(other(maps)))


def test_maps_of_another_size_name_both_sizes_and_the_way_out():
    gate, _ = random_gate()
    with pytest.raises(ValueError, match=r"\(3, 4, 2\).*\(2, 3, 2, 2, 5\).*resize"):
        gate(np.zeros((2, 3, 2, 2, 5), "float32"))


@pytest.mark.parametrize("shape", [(None, 3, None, 2, 5), (None, 4, 2, 5)])
def test_maps_of_unknown_size_are_refused(shape):
    with pytest.raises(ValueError, match="a weight for each position"):
        RelationGate(4).build(shape)


def test_an_empty_embedding_is_refused():
    with pytest.raises(ValueError, match="Received: 0"):
        RelationGate(0)
