import numpy as np
import pytest
from keras import ops

from vad_keras.models.frame_preprocessing import normalize_frames, resize_frames, resize_matrix


def test_a_half_by_hand():
    # A triangle of 2 pixels to each side around the middle of two pixels: 0.75, 0.75 and 0.25 beside them.
    np.testing.assert_allclose(resize_matrix(8, 4)[1], np.array([0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0]) / 2.0)


@pytest.mark.parametrize(("length", "target"), [(224, 112), (33, 20), (7, 15)])
def test_frames_are_resized_as_by_tensorflow(length, target):
    tf = pytest.importorskip("tensorflow")
    frames = np.random.default_rng(0).uniform(0, 255, (2, length, length, 3)).astype("float32")
    found = ops.convert_to_numpy(resize_frames(frames, target))
    expected = tf.image.resize(frames, (target, target), antialias=True).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_frames_of_the_size_stay_as_they_are():
    frames = np.ones((1, 5, 5, 3), "float32")
    assert resize_frames(frames, 5) is frames


def test_channels_are_flipped_and_scaled():
    frames = np.array([[10.0, 20.0, 30.0]], "float32")
    expected = {"channels": "BGR", "scale": 2.0, "offset": (1.0, 2.0, 3.0)}
    assert ops.convert_to_numpy(normalize_frames(frames, expected)).tolist() == [[59.0, 38.0, 17.0]]
