"""The paper's equations in float64 NumPy, one video without padding at a time: what the layers are held against.

They are written for reading, not for speed: whole matrices and loops over nodes, where the layers work on bands.
"""

import itertools

import keras
import numpy as np

POTTS = np.array([[0.0, 1.0], [1.0, 0.0]])


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# cliques and attention, Eq. 1, 3 and 4


def in_clique(num_frames, locality, alignment):
    """Which frames `(T, T)` stand in the clique of which: row = the frame, column = its neighbour."""
    frame, other = np.arange(num_frames)[:, None], np.arange(num_frames)[None]
    if alignment == "causal":
        return (other <= frame) & (other > frame - locality)
    first = np.clip(frame - (locality - 1) // 2, 0, max(0, num_frames - locality))
    return (first <= other) & (other < first + locality)


def attention(nodes, query, key, value, locality_weights, localities, alignment="centered", normalization="softmax"):
    """Affinity `(T, G, T, G)` and output `(T, G, F)`: one masked matrix over all pairs of nodes for each locality."""
    num_frames, num_patches, channels = nodes.shape
    flat = nodes.astype(np.float64).reshape(-1, channels)
    scores = (flat @ query) @ (flat @ key).T / np.sqrt(query.shape[1])
    affinity = np.zeros_like(scores)
    for weight, locality in zip(locality_weights, localities, strict=True):
        member = in_clique(num_frames, locality, alignment).repeat(num_patches, axis=0).repeat(num_patches, axis=1)
        inside = np.where(member, scores, -np.inf)
        affinity = affinity + weight * (softmax(inside) if normalization == "softmax" else np.exp(inside))
    shape = (num_frames, num_patches)
    return affinity.reshape(*shape, *shape), (affinity @ (flat @ value)).reshape(*shape, -1)


def attention_of(layer, nodes):
    """`attention` with the weights and arguments of a `CliqueSelfAttention`."""
    kernels = [to_numpy(dense.kernel).astype(np.float64) for dense in (layer.query, layer.key, layer.value)]
    weights = to_numpy(layer.locality_weights).astype(np.float64)
    return attention(nodes, *kernels, weights, layer.temporal_localities, layer.alignment, layer.normalization)


# conditional random field, Eq. 6 to 8 and Algorithm 1


def without_own(affinity):
    """Dense affinity `(T, G, T, G)` in float64 whose nodes do not see themselves."""
    num_nodes = affinity.shape[0] * affinity.shape[1]
    matrix = affinity.astype(np.float64).reshape(num_nodes, num_nodes) * (1 - np.eye(num_nodes))
    return matrix.reshape(affinity.shape)


def mean_field(unary, affinity, compatibility=POTTS, max_iterations=10, tolerance=1e-4, own_weight=False):
    """Marginals `(T, G, 2)` and the number of updates of one video, Eq. 6 to 8."""
    unary = unary.astype(np.float64)
    affinity = affinity.astype(np.float64) if own_weight else without_own(affinity)
    marginals, count = softmax(-unary), 0
    while count < max_iterations:
        message = np.einsum("jiab,abl->jil", affinity, marginals)
        updated = softmax(-(unary + message @ compatibility))
        change = np.abs(updated - marginals).max()
        marginals, count = updated, count + 1
        if change < tolerance:
            break
    return marginals, count


def algorithm_1(unary, pairwise, compatibility=POTTS, passes=10):
    """The printed loop; line 9 divides by a constant of each node, taken as that of the softmax in line 10."""
    energy = np.exp(-unary.astype(np.float64))
    energy = energy / energy.sum(axis=-1, keepdims=True)  # line 3
    marginals = softmax(energy)  # line 4
    for _ in range(passes):  # line 5
        pairwise_energy = pairwise.astype(np.float64) @ compatibility  # lines 6 and 7
        energy = marginals - pairwise_energy  # line 8
        marginals = softmax(energy)  # lines 9 and 10
    return marginals


def enumerated_marginals(unary, coupling, compatibility=POTTS):
    """Marginals `(N, 2)` under exp(-E), by adding up all labellings.

    `E(z) = sum_a unary[a, z_a] + sum_{a < b} coupling[a, b] compatibility[z_a, z_b]`, the coupling symmetric.
    """
    num_nodes = len(unary)
    total, nodes = np.zeros((num_nodes, 2)), np.arange(num_nodes)
    for labelling in itertools.product((0, 1), repeat=num_nodes):
        labels = np.array(labelling)
        pairs = coupling * compatibility[labels[:, None], labels[None]]
        total[nodes, labels] += np.exp(-(unary[nodes, labels].sum() + np.triu(pairs, 1).sum()))
    return total / total.sum(axis=1, keepdims=True)


# feature extraction, Sec 3.2 and TRN


def gate_weights(layer):
    """Weights of a `RelationGate` by name, in float64."""
    return {weight.name: to_numpy(weight).astype(np.float64) for weight in layer.weights}


def gate(maps, weights, mask=None):
    """Sec 3.2 with the `KHW x KHW` matrix of inner products; `weights` as `gate_weights` gives them."""
    result, mask = maps.astype(np.float64), np.ones(maps.shape[:2], bool) if mask is None else mask
    for snippet, real_frames in zip(result, mask, strict=True):
        real = np.repeat(real_frames, maps.shape[2] * maps.shape[3])
        flat = snippet.reshape(-1, maps.shape[-1])
        d = flat[real]
        first, second = (d @ weights[f"{name}_kernel"] + weights[f"{name}_bias"] for name in ("psi1", "psi2"))
        weight = np.concatenate([weights["feature_weight"], weights["position_weight"].reshape(-1)[real]])
        logits = np.concatenate([d, first @ second.T], axis=1) @ weight + weights["bias"]
        flat[real] = d * sigmoid(logits)[:, None]
    return result


def patches(maps, scales=(1, 2, 3), mode="max"):
    """Patches `(N, G, C)` of maps `(N, H, W, C)`, bin by bin."""
    height, width = maps.shape[1:3]
    found = []
    for s in scales:
        for i, j in np.ndindex(s, s):
            rows = slice(int(np.floor(i * height / s)), int(np.ceil((i + 1) * height / s)))
            columns = slice(int(np.floor(j * width / s)), int(np.ceil((j + 1) * width / s)))
            found.append(getattr(maps[:, rows, columns].astype(np.float64), "max" if mode == "max" else "mean")((1, 2)))
    return np.stack(found, axis=1)


def relation_weights(layer):
    """(kernel, bias) of the embedding of a `TemporalRelation`, and of each of its relations, in float64."""
    embedding, *relations = (
        [to_numpy(weight).astype(np.float64) for weight in dense.weights]
        for dense in (layer.embedding, *layer.relations)
    )
    return embedding, relations


def temporal_relation(frames, embedding, relations, max_tuples):
    """TRN of snippets `(B, K, D)`: `embedding` and each of `relations` (of 2, 3, ... K frames) is (kernel, bias)."""
    embedded = np.maximum(frames.astype(np.float64) @ embedding[0] + embedding[1], 0)
    total = 0.0
    for size, (kernel, bias) in enumerate(relations, start=2):
        every = list(itertools.combinations(range(frames.shape[1]), size))
        count = min(max_tuples, len(every))
        for place in range(count):
            members = embedded[:, list(every[int((place + 0.5) * len(every) / count)])]
            total = total + np.maximum(members.reshape(len(frames), -1) @ kernel + bias, 0)
    return total


def slopes(function, x, step=1e-6):
    """Central differences of a scalar function by every entry of `x`, in float64."""
    x = np.asarray(x, np.float64)
    found = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[index] = step
        found[index] = (function(x + moved) - function(x - moved)) / (2 * step)
    return found


def assert_printed(found, figure):
    """`found` is the figure that `PAPER.md` prints, to within three quarters of its last digit."""
    decimals = len(figure.partition(".")[2])
    assert abs(float(found) - float(figure)) <= 0.75 * 10**-decimals, f"PAPER.md prints {figure}, measured {found}"
