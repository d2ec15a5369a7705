import numpy as np
import pytest
from keras import ops

from vad_keras.layers import TemporalContext


def maximum_by_hand(features, lengths, frames, alignment):
    expected = np.zeros_like(features)
    before = frames - 1 if alignment == "causal" else (frames - 1) // 2
    for video, length in enumerate(lengths):
        for t in range(length):
            first, last = max(t - before, 0), min(t - before + frames, length)
            expected[video, t] = features[video, first:last].max(axis=0)
    return expected


@pytest.mark.parametrize("alignment", ["centered", "causal"])
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 13, 40])
def test_it_is_the_maximum_over_each_window(frames, alignment):
    features = np.random.default_rng(0).normal(size=(3, 11, 4)).astype("float32") - 3.0  # mostly negative
    lengths = np.array([11, 6, 1])
    mask = np.arange(11) < lengths[:, None]
    result = ops.convert_to_numpy(TemporalContext(frames, alignment)(features, mask=mask))
    np.testing.assert_array_equal(result, maximum_by_hand(features, lengths, frames, alignment))


def test_without_a_mask_all_frames_are_real():
    features = np.random.default_rng(1).normal(size=(2, 9, 3)).astype("float32")
    result = ops.convert_to_numpy(TemporalContext(4)(features))
    np.testing.assert_array_equal(result, maximum_by_hand(features, [9, 9], 4, "centered"))


@pytest.mark.parametrize("arguments", [{"frames": 0}, {"frames": 3, "alignment": "future"}])
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(ValueError, match="frames|alignment"):
        TemporalContext(**arguments)
