"""The descriptors of the published models of `vad_keras.models.baselines`."""

from descriptor import LABELS, NODES, Descriptor

from vad_keras import models

BAGS_OF_NODES = NODES | {"labels": LABELS}

BASELINES = [
    Descriptor(
        models.SultaniRanker,
        BAGS_OF_NODES,
        {"units": (6, 4)},
        {
            "units": (5, 4),
            "dropout": 0.1,
            "patches": "mean",
            "normalize": False,
            "kernel_l2": 0.1,
            "pairing": "paired",
            "margin": 2.0,
            "sparsity_weight": 1.0,
            "smoothness_weight": 1.0,
        },
    ),
]
