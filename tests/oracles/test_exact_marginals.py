"""Mean field against the exact marginals of the graph it approximates, by enumeration and by pgmpy.

Which graph is that? The update is `Q_a(l) ~ exp(-(E_u(a, l) + sum_b p(a, b) sum_l' Q_b(l') U(l', l)))`, own weight 0
and U symmetric. Naive mean field of

    P(z) ~ exp(-sum_a E_u(a, z_a) - sum_{a < b} J(a, b) U(z_a, z_b))

reads the same with J in the place of p, and J is symmetric, for a pair has one energy. So:

* where p is symmetric, the update is exactly the mean field of P with `J = p`: each pair counted once. (Eq. 2 of the
  paper runs over ordered pairs and so counts each twice: `phi_p = p U / 2` makes the two agree.)
* the p of attention is directed, `p(a, b) != p(b, a)`. Then there is in general no P whose mean field the update is.
  The energy of Eq. 2 sees only the sum of both directions, `J = (p + p^T) / 2`; the update goes by the row of the node.

What mean field itself neglects is of second order in the coupling. What a directed p adds is of first order in
`p - p^T`. The tests below measure both.
"""

import warnings
from itertools import pairwise

import numpy as np
import pytest

from tests.oracles.formulas import POTTS, assert_printed, enumerated_marginals, softmax, to_numpy, without_own
from vad_keras.layers import CliqueSelfAttention, MeanFieldCRF, dense_affinity

STRENGTHS = (0.01, 0.1, 0.5, 1.0)  # what the weights of a node add up to; that of a new attention layer is 1
SHAPES = [(8, 1), (4, 2), (3, 3)]


def graph(num_frames, num_patches, strength, seed, directed=False):
    """Unary energies `(T, G, 2)` and affinity `(T, G, T, G)` without own weights; rows sum to `strength` at most."""
    random, num_nodes = np.random.default_rng(seed), num_frames * num_patches
    unary = random.normal(size=(num_frames, num_patches, 2))
    weights = random.uniform(size=(num_nodes, num_nodes)) * (1 - np.eye(num_nodes))
    if not directed:
        weights = (weights + weights.T) / 2
    weights = strength * weights / weights.sum(axis=1).max()
    return unary, weights.reshape(num_frames, num_patches, num_frames, num_patches)


def both_directions(affinity):
    """The symmetric coupling `(N, N)` that an energy can hold."""
    matrix = affinity.reshape(affinity.shape[0] * affinity.shape[1], -1)
    return (matrix + matrix.T) / 2


def converged(unary, affinity, dtype, compatibility=POTTS):
    """The layer's fixed point of one video, `(N, 2)`."""
    crf = MeanFieldCRF(max_iterations=60, tolerance=1e-13, dtype=dtype)
    crf.build((1, *unary.shape))
    crf.cell.raw_compatibility.assign(compatibility)
    marginals, count = crf(unary[None], affinity[None], return_iterations=True)
    assert to_numpy(count)[0] < 60
    return to_numpy(marginals).reshape(-1, 2)


def exact(unary, affinity, compatibility=POTTS):
    return enumerated_marginals(unary.reshape(-1, 2), both_directions(affinity), compatibility)


def errors(strength, dtype, directed=False, symmetrise=False):
    """Largest distance from the exact marginals over several graphs, and that of leaving the pairs out."""
    found, without_pairs = [], []
    for seed, shape in enumerate(SHAPES):
        unary, affinity = graph(*shape, strength, seed, directed)
        given = both_directions(affinity).reshape(affinity.shape) if symmetrise else affinity
        truth = exact(unary, affinity)
        found.append(np.abs(converged(unary, given, dtype) - truth).max())
        without_pairs.append(np.abs(softmax(-unary).reshape(-1, 2) - truth).max())
    return max(found), max(without_pairs)


@pytest.mark.parametrize(
    ("strength", "bound", "at_stake"), [(0.01, 1e-6, 4e-4), (0.1, 1e-4, 4e-3), (0.5, 3e-3, 2e-2), (1.0, 1.5e-2, 4e-2)]
)
def test_symmetric_coupling_gives_the_enumerated_marginals_within_its_bound(float64, strength, bound, at_stake):
    error, without_pairs = errors(strength, float64)
    assert error < bound
    assert without_pairs > at_stake, "the pairs hardly matter: a test of nothing"


def test_error_at_symmetric_coupling_is_of_second_order(float64):
    found = [errors(strength, float64)[0] for strength in (0.2, 0.1, 0.05)]
    for strong, weak in pairwise(found):
        assert 3.3 < strong / weak < 4.7  # half the coupling, a quarter of the error


def test_directed_coupling_adds_an_error_of_first_order(float64):
    found = [errors(strength, float64, directed=True)[0] for strength in (0.2, 0.1, 0.05)]
    for strong, weak in pairwise(found):
        assert 1.7 < strong / weak < 2.3
    assert errors(1.0, float64, directed=True)[0] < 0.06
    # the same graph, each pair given in both directions: the error of mean field alone is left
    assert_printed(found[1], "0.0029")
    assert_printed(errors(0.1, float64, directed=True, symmetrise=True)[0], "0.0001")
    assert_printed(errors(0.1, float64, directed=True)[1], "0.0072")


def test_any_symmetric_compatibility_belongs_to_the_same_graph(float64):
    compatibility = np.array([[-0.4, 1.1], [1.1, 0.6]])
    unary, affinity = graph(4, 2, 0.2, seed=5)
    truth = exact(unary, affinity, compatibility)
    assert np.abs(converged(unary, affinity, float64, compatibility) - truth).max() < 1e-3
    assert np.abs(exact(unary, affinity) - truth).max() > 1e-2


def test_attention_is_directed_and_its_marginals_still_lie_nearer_to_the_exact_ones_than_without_pairs(float64):
    layer = CliqueSelfAttention(4, 4, temporal_localities=(1, 2, 3), dtype=float64)
    layer.build((None, None, 2, 6))
    random, found, without_pairs = np.random.default_rng(0), [], []
    for _ in range(6):
        for dense in (layer.query, layer.key):
            dense.kernel.assign(random.normal(0, 0.4, size=(6, 4)))
        _, affinity = layer(random.normal(size=(1, 4, 2, 6)), return_affinity=True)
        affinity, unary = without_own(to_numpy(dense_affinity(affinity, 4))[0]), random.normal(size=(4, 2, 2))
        assert np.abs(affinity - affinity.transpose(2, 3, 0, 1)).max() > 0.1
        truth = exact(unary, affinity)
        found.append(np.abs(converged(unary, affinity, float64) - truth))
        without_pairs.append(np.abs(softmax(-unary).reshape(-1, 2) - truth))
    assert np.max(found) < 0.05
    assert np.mean(found) < 0.35 * np.mean(without_pairs)


# pgmpy, whose code for exact inference is not ours


@pytest.fixture(scope="module")
def by_pgmpy():
    """`by_pgmpy(unary, coupling, compatibility)`: exact marginals `(N, 2)` by variable elimination."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pgmpy", reason="pgmpy is not installed: pip install 'vad-keras[dev]'")
        from pgmpy.factors.discrete import DiscreteFactor
        from pgmpy.inference import VariableElimination
        from pgmpy.models import DiscreteMarkovNetwork

    def marginals(unary, coupling, compatibility=POTTS):
        names = [f"z{node}" for node in range(len(unary))]
        model = DiscreteMarkovNetwork()
        model.add_nodes_from(names)
        model.add_factors(*(DiscreteFactor([z], [2], np.exp(-e)) for z, e in zip(names, unary, strict=True)))
        for a, b in np.argwhere(np.triu(coupling, 1) != 0):
            model.add_edge(names[a], names[b])
            model.add_factors(DiscreteFactor([names[a], names[b]], [2, 2], np.exp(-coupling[a, b] * compatibility)))
        engine = VariableElimination(model)
        found = np.stack([engine.query([z], show_progress=False).values for z in names])
        return found / found.sum(axis=1, keepdims=True)

    return marginals


@pytest.mark.parametrize("strength", STRENGTHS)
def test_pgmpy_and_enumeration_agree(by_pgmpy, strength):
    for seed, shape in enumerate(SHAPES[1:]):
        unary, affinity = graph(*shape, strength, seed, directed=True)
        found = by_pgmpy(unary.reshape(-1, 2), both_directions(affinity))
        np.testing.assert_allclose(found, exact(unary, affinity), rtol=0, atol=1e-10)
    unary, affinity = graph(3, 2, strength, seed=7)
    for compatibility in (POTTS, np.array([[-0.4, 1.1], [1.1, 0.6]])):
        found = by_pgmpy(unary.reshape(-1, 2), both_directions(affinity), compatibility)
        np.testing.assert_allclose(found, exact(unary, affinity, compatibility), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("strength", "bound"), [(0.01, 2e-6), (0.1, 2e-4), (0.5, 5e-3), (1.0, 3e-2)])
def test_long_chain_gives_the_marginals_of_pgmpy_within_its_bound(float64, by_pgmpy, strength, bound):
    # 2 to the power of 40 labellings: beyond enumeration, easy for variable elimination
    random, num_frames = np.random.default_rng(3), 40
    unary, affinity = random.normal(size=(num_frames, 1, 2)), np.zeros((num_frames, 1, num_frames, 1))
    for frame, weight in enumerate(random.uniform(0.5, 1, num_frames - 1) * strength / 2):
        affinity[frame, 0, frame + 1, 0] = affinity[frame + 1, 0, frame, 0] = weight
    truth = by_pgmpy(unary[:, 0], both_directions(affinity))
    assert np.abs(converged(unary, affinity, float64) - truth).max() < bound
    assert np.abs(softmax(-unary[:, 0]) - truth).max() > 50 * bound * min(1, 0.01 / strength)
