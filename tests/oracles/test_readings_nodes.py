"""What each reading of Sec 3.2 changes, in the figures that `vad_keras/PAPER.md` prints."""

import numpy as np

from tests.oracles import formulas
from tests.oracles.formulas import assert_printed, to_numpy
from vad_keras.layers import MultiScalePatchPooling, RelationGate, TemporalRelation
from vad_keras.models import RelationAwareExtractor


def test_gate_is_the_printed_one_without_its_matrix_of_inner_products():
    layer = RelationGate(64)
    layer.build((None, 8, 7, 7, 32))
    random = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(random.normal(0, 0.04, size=weight.shape))
    maps = random.normal(size=(1, 8, 7, 7, 32)).astype("float32")
    assert_printed((8 * 7 * 7) ** 2, "153664")  # inner products of a snippet; the layer holds 64 numbers instead
    expected = formulas.gate(maps, formulas.gate_weights(layer))
    assert np.abs(expected / maps - 0.5).max() > 0.2  # the gate is not idle
    assert np.abs(to_numpy(layer(maps)) - expected).max() < 0.000002


def test_average_pooling_dilutes_what_is_small():
    maps = np.zeros((1, 7, 7, 1), "float32")
    maps[0, 3, 3] = 1.0  # something that fills one position of the map
    highest, average = (to_numpy(MultiScalePatchPooling(mode=mode)(maps))[0, :, 0] for mode in ("max", "average"))
    assert_printed(highest[0], "1.00")
    assert_printed(average[0], "0.02")  # whole frame
    assert_printed(average[1:5].max(), "0.06")  # scale 2
    assert_printed(average[5:].max(), "0.11")  # scale 3


def test_adaptive_bins_lose_no_position_of_a_map_of_seven():
    each = np.eye(49, dtype="float32").reshape(49, 7, 7, 1)  # one position at a time
    patches = (to_numpy(MultiScalePatchPooling(scales=(3,))(each))[..., 0] > 0).sum(axis=1)
    assert patches.min() == 1
    assert_printed((patches > 1).sum(), "24")
    cut = (7 // 3 * 3) ** 2  # bins of 2 rows and columns, side by side
    assert_printed(49 - cut, "13")


def test_tuples_drawn_at_inference_would_make_scores_random():
    layer = TemporalRelation(8, 8, dropout=0.0, seed=0)
    layer.build((None, 8, 16))
    random = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(0, 0.3, size=weight.shape))
    frames = random.normal(size=(1, 8, 16)).astype("float32")
    drawn = np.stack([to_numpy(layer(frames, training=True)) for _ in range(40)])
    fixed = np.stack([to_numpy(layer(frames)) for _ in range(3)])
    share = drawn.std(axis=0) / drawn.mean(axis=0)
    assert np.ptp(fixed, axis=0).max() == 0
    assert share.mean() > 0.1


def test_without_motion_a_node_knows_nothing_of_the_frame_before():
    frames = np.random.default_rng(0).integers(0, 256, size=(1, 4, 32, 32, 3)).astype("float32")
    other = frames.copy()
    other[0, 0] = 255 - other[0, 0]  # the first frame alone
    change = {}
    for motion in (False, True):
        extractor = RelationAwareExtractor("small", image_size=32, clip_frames=4, gate_dim=0, motion=motion, seed=0)
        nodes, changed = (to_numpy(extractor({"frames": x})["nodes"])[0, 1] for x in (frames, other))
        change[motion] = np.abs(changed - nodes).max() / np.abs(nodes).max()
        assert nodes.shape[-1] == (192 if motion else 96)
    assert change[False] == 0
    assert change[True] > 0.2
