"""What each reading of Eq. 1, 3 and 4 changes, in the figures that `vad_keras/PAPER.md` prints."""

import numpy as np

from tests.oracles.formulas import assert_printed, softmax, to_numpy
from vad_keras.layers import CliqueSelfAttention, MeanFieldCRF, dense_affinity


def attention_of(localities, key_dim=8, channels=8, alignment="centered", normalization="softmax", seed=0):
    """Attention whose queries and keys are unit normal for unit normal nodes; its locality weights as they start."""
    layer = CliqueSelfAttention(key_dim, 4, localities, alignment, normalization)
    layer.build((None, None, 1, channels))
    random = np.random.default_rng(seed)
    for dense in (layer.query, layer.key, layer.value):
        dense.kernel.assign(random.normal(0, channels**-0.5, size=dense.kernel.shape))
    return layer


def normal(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def dense_of(layer, nodes):
    return to_numpy(dense_affinity(layer(nodes, return_affinity=True)[1], nodes.shape[1]))[0]


def test_printed_exponential_overflows_at_a_score_of_89():
    weight = {}
    for normalization in ("none", "softmax"):
        layer = CliqueSelfAttention(1, 1, (1,), normalization=normalization)
        layer.build((None, None, 1, 1))
        for dense in (layer.query, layer.key, layer.value):
            dense.kernel.assign([[1.0]])
        for score in (88, 89, 100_000_000):  # a node of value v scores v * v with itself
            weight[normalization, score] = dense_of(layer, np.full((1, 1, 1, 1), score**0.5, "float32")).item()
    assert np.isfinite(weight["none", 88]) and np.isinf(weight["none", 89])
    assert_printed(weight["softmax", 100_000_000], "1.00")


def test_without_the_root_of_the_key_size_a_node_listens_to_one_other():
    nodes = normal(1, 8, 14, 64)
    layer = attention_of((8,), key_dim=64, channels=64)
    divided = dense_of(layer, nodes).max(axis=(2, 3)).mean()
    layer.query.kernel.assign(8 * to_numpy(layer.query.kernel))  # undoes the division by 8, the root of 64
    printed = dense_of(layer, nodes).max(axis=(2, 3)).mean()
    assert_printed(divided, "0.07")
    assert_printed(printed, "0.75")


def test_the_nodes_own_value_would_pass_nothing_on():
    layer, nodes = attention_of((1, 2, 4)), normal(1, 6, 3, 8)
    other = nodes.copy()
    other[0, :, 1:] += 1.0  # all but patch 0 of each frame
    change = {}
    for reading in ("theta3(b)", "theta3(b')"):
        h = []
        for x in (nodes, other):
            passed, affinity = layer(x, return_affinity=True)
            weight = to_numpy(dense_affinity(affinity, 6))[0].sum(axis=(2, 3))[..., None]
            own = weight * (x[0] @ to_numpy(layer.value.kernel))  # Eq. 3 letter by letter
            h.append(own if reading == "theta3(b)" else to_numpy(passed)[0])
        change[reading] = np.abs(h[1] - h[0])[:, 0].max()
    assert_printed(change["theta3(b)"], "0.00")
    assert_printed(change["theta3(b')"], "1.91")


def test_shifted_cliques_keep_their_size_at_the_ends():
    nodes, first = normal(1, 16, 2, 8), {}
    for alignment in ("centered", "causal"):
        first[alignment] = (dense_of(attention_of((8,), alignment=alignment), nodes)[0, 0].sum(axis=-1) > 0).sum()
    cut = len([frame for frame in range(0 - (8 - 1) // 2, 0 - (8 - 1) // 2 + 8) if 0 <= frame < 16])
    assert_printed(first["centered"], "8")
    assert_printed(cut, "5")
    assert_printed(first["causal"], "1")


def test_locality_weights_of_one_each_would_let_the_crf_decide_by_itself():
    # all nodes alike, each a little more likely abnormal than not: odds of exp(0.1)
    nodes, unary = np.ones((1, 12, 14, 8), "float32"), np.zeros((1, 12, 14, 2), "float32")
    unary[..., 1] = -0.1
    layer, found = attention_of((1, 2, 4, 6, 8)), []
    for weights in ([0.2] * 5, [1.0] * 5):
        layer.locality_weights.assign(weights)
        _, affinity = layer(nodes, return_affinity=True)
        found.append(to_numpy(MeanFieldCRF(100, 1e-6)(unary, affinity))[0, 6, 0, 1])
    assert_printed(softmax(np.array([0, 0.1]))[1], "0.52")
    assert_printed(found[0], "0.55")
    assert_printed(found[1], "0.99")


def test_cliques_over_the_whole_video_cross_the_snippets():
    layer, nodes = attention_of((1, 8)), normal(1, 16, 3, 8)
    other = nodes.copy()
    other[0, 8] += 1.0  # the first frame of the second snippet of 8
    whole = np.abs(to_numpy(layer(other)) - to_numpy(layer(nodes)))[0, 7].max()
    apart = np.abs(to_numpy(layer(other[:, :8])) - to_numpy(layer(nodes[:, :8])))[0, 7].max()
    assert_printed(whole, "0.11")
    assert apart == 0
