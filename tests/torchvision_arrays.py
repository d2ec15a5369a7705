"""A weights file of the video network, with random numbers."""

import numpy as np
from keras import ops

from vad_keras.models.video_networks import MixedConvolution18


def state_dict(num_labels=2):
    """Random arrays under torchvision's names, of the size that keeps activations near 1."""
    network, generator, arrays = MixedConvolution18(), np.random.default_rng(0), {}
    for unit, convolution in network.convolutions.items():
        kernel = np.transpose(ops.convert_to_numpy(convolution.kernel), (4, 3, 0, 1, 2))
        scale = np.sqrt(2 / np.prod(kernel.shape[1:]))
        arrays[f"{unit}.0.weight"] = generator.normal(scale=scale, size=kernel.shape)
        filters = len(kernel)
        arrays[f"{unit}.1.weight"] = generator.uniform(0.5, 1, filters)
        arrays[f"{unit}.1.bias"] = generator.normal(scale=0.1, size=filters)
        arrays[f"{unit}.1.running_mean"] = generator.normal(scale=0.1, size=filters)
        arrays[f"{unit}.1.running_var"] = generator.uniform(0.5, 2, filters)
        arrays[f"{unit}.1.num_batches_tracked"] = np.array(3)
    arrays["fc.weight"] = generator.normal(size=(num_labels, 512))
    arrays["fc.bias"] = generator.normal(size=num_labels)
    return {name: value.astype("f4") if value.ndim else value for name, value in arrays.items()}


def write_weights(folder, num_labels=2):
    """Write such a weights file and return its path."""
    path = folder / "weights.npz"
    np.savez(path, **state_dict(num_labels))
    return path
