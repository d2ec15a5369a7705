"""What each reading of Eq. 6 to 8 and of Algorithm 1 changes, in the figures that `vad_keras/PAPER.md` prints."""

import numpy as np
from keras import ops

from tests.oracles import formulas
from tests.oracles.formulas import POTTS, assert_printed, softmax, to_numpy
from vad_keras.layers import MeanFieldCRF
from vad_keras.models import AnomalyDetector

OPPOSED = np.array([[-20.0, 20.0], [20.0, -20.0]], "float32").reshape(
    2, 1, 1, 2
)  # certain to be normal, to be abnormal
SILENT = np.zeros((2, 1, 1, 2), "float32")


def printed(passes, unary, pairwise):
    return to_numpy(MeanFieldCRF(passes, 0.0, inference="algorithm_1")(unary, pairwise))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_low_energy_is_likely():
    unary = np.array([0.0, 2.0], "float32").reshape(1, 1, 1, 2)  # abnormal costs 2
    found = to_numpy(MeanFieldCRF()(unary, np.zeros((1, 1, 1, 1, 1), "float32")))[0, 0, 0, 1]
    assert_printed(found, "0.12")
    assert_printed(1 - found, "0.88")  # read as logits


def test_nodes_own_weight_would_echo_its_own_opinion():
    unary, affinity = np.array([0.0, -1.0]).reshape(1, 1, 2), np.ones((1, 1, 1, 1))
    layer = to_numpy(MeanFieldCRF(100, 1e-7)(unary[None].astype("float32"), affinity[None].astype("float32")))
    echo, _ = formulas.mean_field(unary, affinity, max_iterations=100, tolerance=1e-7, own_weight=True)
    assert_printed(softmax(np.array([0.0, 1.0]))[1], "0.73")  # what the node thinks alone: it has no neighbour
    assert_printed(layer[0, 0, 0, 1], "0.73")
    assert_printed(echo[0, 0, 1], "0.84")


def test_compatibility_of_zeros_would_not_feel_the_attention(float64, gradients64):
    unary, affinity, slope = normal(1, 4, 2, 2), np.abs(normal(1, 4, 2, 4, 2, seed=1)) / 8, {}
    for start in ("zeros", "Potts"):
        crf = MeanFieldCRF(5, 0.0, dtype=float64)
        crf.build(unary.shape)
        if start == "zeros":
            crf.cell.raw_compatibility.assign(np.zeros((2, 2)))
        (found,) = gradients64(lambda a, crf=crf: ops.sum(ops.square(crf(unary, a)[..., 1])), [affinity])
        slope[start] = np.abs(found).max()
    assert slope["zeros"] == 0
    assert_printed(slope["Potts"], "0.32")


def test_compatibility_is_symmetric_whatever_its_weight_holds():
    crf = MeanFieldCRF()
    crf.build((1, 1, 1, 2))
    np.testing.assert_array_equal(to_numpy(crf.compatibility), POTTS)
    crf.cell.raw_compatibility.assign([[0.0, 2.0], [1.0, 0.0]])
    assert_printed(to_numpy(crf.compatibility)[0, 1], "1.5")
    assert_printed(to_numpy(crf.compatibility)[1, 0], "1.5")


def test_second_softmax_flattens_what_is_certain():
    certain = softmax(-OPPOSED)[0, 0, 0, 0]
    assert_printed(certain, "1.00")
    assert_printed(softmax(softmax(-OPPOSED))[0, 0, 0, 0], "0.73")  # lines 3 and 4
    assert_printed(printed(1, OPPOSED, SILENT)[0, 0, 0, 0], "0.61")  # and again after the first pass
    mean_field = MeanFieldCRF()(OPPOSED, np.zeros((2, 1, 1, 1, 1), "float32"))
    assert_printed(to_numpy(mean_field)[0, 0, 0, 0], "1.00")


def test_printed_loop_forgets_the_unary_term():
    # how far apart are a node that is certain to be abnormal and one that is certain to be normal?
    figures = ["0.2270", "0.1131", "0.0565", "0.0282", "0.0141", "0.0071", "0.0035", "0.0018", "0.0009", "0.0004"]
    for passes, figure in enumerate(figures, start=1):
        found = printed(passes, OPPOSED, SILENT)[..., 1]
        assert_printed((found[1] - found[0]).item(), figure)
    kept = to_numpy(MeanFieldCRF(10, 0.0)(OPPOSED, np.zeros((2, 1, 1, 1, 1), "float32")))[..., 1]
    assert_printed((kept[1] - kept[0]).item(), "1.0000")
    # the print counts from 0 to max_iter, one pass more than here: by then nothing hangs on it
    pairwise = normal(2, 1, 1, 2)
    assert np.abs(printed(11, OPPOSED, pairwise) - printed(10, OPPOSED, pairwise)).max() < 0.0005


def test_printed_loop_hears_no_neighbour():
    unary, affinity = normal(1, 6, 2, 2), np.full((1, 6, 2, 6, 2), 1 / 12, "float32")
    other = unary.copy()
    other[0, 3, 1] = [8.0, -8.0]  # one node turns out abnormal; f_p(H) is what it was
    energies = normal(1, 6, 2, 2, seed=3)
    change = {
        "algorithm_1": np.abs(printed(5, other, energies) - printed(5, unary, energies)),
        "mean_field": np.abs(to_numpy(MeanFieldCRF(5)(other, affinity)) - to_numpy(MeanFieldCRF(5)(unary, affinity))),
    }
    for moved in change.values():
        moved[0, 3, 1] = 0  # leaves the others
    assert change["algorithm_1"].max() == 0
    assert_printed(change["mean_field"].max(), "0.04")


def test_dividing_as_line_9_is_printed_swaps_the_labels():
    marginals, pairwise = np.array([0.7, 0.3]), np.array([1.0, 1.0])
    energy = marginals - pairwise  # line 8: -0.3 and -0.7, in favour of normal
    divided = softmax(energy / energy.sum())  # lines 9 and 10: the sum is -1
    assert_printed(divided[0], "0.40")
    assert_printed(softmax(energy)[0], "0.60")
    first = 0.5 + np.log(7 / 3) / 2 * np.array([1, -1])  # line 3 gives this and line 4 then 0.7 and 0.3
    unary = -np.log(first).reshape(1, 1, 1, 2)
    layer = printed(1, unary.astype("float32"), np.ones((1, 1, 1, 2), "float32"))  # U is Potts: E_p is (1, 1)
    assert_printed(layer[0, 0, 0, 0], "0.60")


def test_each_video_takes_the_iterations_it_needs():
    unary = normal(1, 8, 4, 2).repeat(3, axis=0)
    affinity = np.full((3, 8, 4, 8, 4), 1 / 31, "float32") * np.array([0.0, 0.3, 1.5], "float32").reshape(3, 1, 1, 1, 1)
    halted, count = MeanFieldCRF(10, 1e-4)(unary, affinity, return_iterations=True)
    settled = MeanFieldCRF(200, 0.0)(unary, affinity)
    for found, figure in zip(to_numpy(count), ("1", "4", "10"), strict=True):
        assert_printed(found, figure)
    assert np.abs(to_numpy(halted) - to_numpy(settled)).max() < 0.001


def test_a_prior_in_the_unary_energy_is_spread_by_the_mean_field():
    detector = AnomalyDetector(
        4, 4, temporal_localities=(3,), unary_from="prior", potts_weight=3.0, node_normalization="none"
    )
    nodes = np.zeros((1, 5, 1, 2), "float32")  # equal nodes attend to each other equally
    prior = np.array([[1.0, 1.0, -0.5, 1.0, 1.0]], "float32")  # one frame that the prior misses
    found = to_numpy(detector({"nodes": nodes, "prior": prior})["marginals"])[0, 2, 0, 1]
    assert_printed(1 / (1 + np.exp(0.5)), "0.38")
    assert_printed(found, "0.76")


def test_a_context_keeps_the_order_of_the_moments():
    options = {"unary_from": "prior", "score_from": "marginals", "context_frames": 99}
    detector = AnomalyDetector(4, 4, temporal_localities=(1,), **options)
    inputs = {"nodes": normal(1, 6, 1, 3).astype("float32"), "prior": normal(1, 6, seed=1).astype("float32")}
    outputs = {key: to_numpy(value)[0] for key, value in detector(inputs).items()}
    assert_printed(np.ptp(outputs["context_score"]), "0.00")
    np.testing.assert_array_equal(np.argsort(outputs["anomaly_score"]), np.argsort(inputs["prior"][0]))


def test_a_memory_of_normal_nodes_points_at_the_strange_patch():
    options = {"unary_from": "prior", "memory_nodes": 60, "node_normalization": "none"}
    detector = AnomalyDetector(4, 4, **options)
    detector.build({"nodes": (None, None, 6, 3)})
    random = np.random.default_rng(0)
    detector.adapt_memory(list(random.normal(size=(5, 20, 6, 3)).astype("float32")))
    nodes = np.zeros((1, 1, 6, 3), "float32")
    nodes[0, 0, 4] = 3.0
    found = to_numpy(detector({"nodes": nodes})["unary_probability"])[0, 0]
    assert found.argmax() == 4
    assert_printed(found[4], "0.99")
    assert np.delete(found, 4).max() < 0.2


def test_messages_among_one_patch_keep_their_place():
    options = {"temporal_localities": (3,), "unary_from": "prior", "potts_weight": 3.0, "node_normalization": "none"}
    nodes, prior = np.zeros((1, 3, 2, 2), "float32"), np.zeros((1, 3, 2), "float32")
    certain = prior + np.array([4.0, 0.0], "float32")  # the first patch of each frame is abnormal
    moved = {}
    for patches in ("all", "same"):
        detector = AnomalyDetector(4, 4, clique_patches=patches, **options)
        before, after = (
            to_numpy(detector({"nodes": nodes, "prior": one})["marginals"])[0, :, 1, 1] for one in (prior, certain)
        )
        moved[patches] = (after - before).max()
    assert_printed(moved["all"], "0.41")
    assert_printed(moved["same"], "0.00")
