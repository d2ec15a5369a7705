"""The same attention from standard parts: dense and masked, over all pairs of nodes."""

import numpy as np
from keras import ops


def band(num_frames, num_patches, locality):
    """Return the keys in the centred clique of each query, bool ``(T * G, T * G)``."""
    query, key = np.arange(num_frames)[:, None], np.arange(num_frames)
    start = np.clip(query - (locality - 1) // 2, 0, max(num_frames - locality, 0))
    inside = (key >= start) & (key < start + locality)
    return inside.repeat(num_patches, 0).repeat(num_patches, 1)


def _flat(layer, nodes):
    """Return queries, keys and values of all nodes, ``(B, T * G, E)``, from the projections of the layer."""
    batch, num_frames, num_patches, _ = nodes.shape
    return [ops.reshape(d(nodes), (batch, num_frames * num_patches, -1)) for d in (layer.query, layer.key, layer.value)]


def dense_per_locality(layer, nodes):
    """Return a function of nodes: one masked softmax over all nodes per locality, Eq. 1, 3 and 4 as printed."""
    masks = [ops.convert_to_tensor(band(*nodes.shape[1:3], locality)) for locality in layer.temporal_localities]

    def attend(nodes):
        query, key, value = _flat(layer, nodes)
        scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) * layer.key_dim**-0.5
        weights = [ops.softmax(ops.where(mask, scores, -1e30)) for mask in masks]
        return sum(layer.locality_weights[i] * ops.matmul(weight, value) for i, weight in enumerate(weights))

    return attend


def keras_attention(layer, nodes):
    """Return a function of nodes: `keras.ops.dot_product_attention` with the mask of the widest locality only."""
    mask = ops.convert_to_tensor(band(*nodes.shape[1:3], max(layer.temporal_localities))[None, None])

    def attend(nodes):
        query, key, value = (x[:, :, None] for x in _flat(layer, nodes))
        return ops.dot_product_attention(query, key, value, mask=mask)

    return attend


def torch_attention(layer, nodes, threads=2):
    """Return functions of torch's `scaled_dot_product_attention`, forward and with gradient, widest locality only.

    The fast CPU kernel needs a float mask and keys of the size of the values: keys are padded with zeros.
    """
    import torch

    torch.set_num_threads(threads)
    kernels = [torch.tensor(ops.convert_to_numpy(d.kernel)) for d in (layer.query, layer.key, layer.value)]
    batch, num_frames, num_patches, channels = nodes.shape
    flat = torch.tensor(ops.convert_to_numpy(nodes)).reshape(batch, 1, num_frames * num_patches, channels)
    inside = torch.from_numpy(band(num_frames, num_patches, max(layer.temporal_localities)))
    mask = torch.zeros(inside.shape).masked_fill_(~inside, -torch.inf)
    fill, functional = (0, layer.value_dim - layer.key_dim), torch.nn.functional

    def attend():
        query, key, value = (flat @ kernel for kernel in kernels)
        query, key = functional.pad(query, fill), functional.pad(key, fill)
        scale = layer.key_dim**-0.5
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)

    def forward():
        with torch.no_grad():
            return attend()

    def with_gradient():
        inputs = [x.requires_grad_() for x in (flat, *kernels)]
        return torch.autograd.grad(attend().square().sum(), inputs)

    return forward, with_gradient
