import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.layers import MultiScalePatchPooling


def pool(maps, **arguments):
    return ops.convert_to_numpy(MultiScalePatchPooling(**arguments)(maps))


def test_a_four_by_four_map_by_hand():
    maps = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    assert pool(maps, scales=(1, 2))[0, :, 0].tolist() == [15, 5, 7, 13, 15]
    assert pool(maps, scales=(1, 2), mode="average")[0, :, 0].tolist() == [7.5, 2.5, 4.5, 10.5, 12.5]


def test_each_argument_changes_the_result():
    maps = np.random.default_rng(0).normal(size=(1, 6, 6, 2)).astype("float32")
    reference = pool(maps)
    assert pool(maps, scales=(1, 2)).shape != reference.shape
    assert not np.allclose(pool(maps, mode="average"), reference)


def test_the_output_shape_is_known_before_the_call():
    layer = MultiScalePatchPooling((1, 3))
    assert layer.compute_output_shape((None, 8, 7, 7, 16)) == (None, 8, 10, 16)
    assert keras.layers.TimeDistributed(layer)(keras.Input((8, 7, 7, 16))).shape == (None, 8, 10, 16)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"scales": ()}, r"`scales` must be a tuple of one or more integers.*Received: \(\)"),
        ({"scales": (0, 1)}, r"`scales\[0\]` must be an integer of at least 1\. Received: 0"),
        ({"mode": "sum"}, "'sum'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiScalePatchPooling(**arguments)


def test_maps_of_unknown_size_are_refused():
    with pytest.raises(ValueError, match="H and W known"):
        MultiScalePatchPooling()(keras.Input((None, None, 4)))
