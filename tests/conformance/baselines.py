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
    Descriptor(
        models.HLNet,
        BAGS_OF_NODES,
        {"units": (6, 5), "branch_units": 4},
        {
            "units": (6, 4),
            "branch_units": 3,
            "dropout": 0.1,
            "similarity_threshold": 0.1,
            "distillation_weight": 1.0,
            "online": True,
            "patches": "mean",
        },
    ),
    Descriptor(
        models.ARNet,
        BAGS_OF_NODES,
        {},
        {"units": 3, "dropout": 0.1, "alpha": 1, "center_weight": 1.0, "patches": "mean"},
    ),
    Descriptor(
        models.RTFM,
        BAGS_OF_NODES,
        {"units": (6, 5), "k": 2},
        {
            "units": (6, 4),
            "dropout": 0.1,
            "k": 1,
            "margin": 10.0,
            "magnitude_form": "printed",
            "magnitude_weight": 1.0,
            "sparsity_weight": 1.0,
            "smoothness_weight": 1.0,
            "patches": "mean",
        },
    ),
    Descriptor(
        models.URDMU,
        BAGS_OF_NODES,
        {"units": 6, "heads": 2, "head_dim": 3, "mlp_units": 5, "depth": 1, "memory_slots": 4, "classifier_units": 5},
        {
            "units": 5,
            "heads": 1,
            "head_dim": 4,
            "mlp_units": 4,
            "depth": 2,
            "dropout": 0.1,
            "memory_slots": 3,
            "classifier_units": 4,
            "margin": 2.0,
            "distance_margin": 10.0,
            "memory_weight": 1.0,
            "triplet_weight": 1.0,
            "kl_weight": 1.0,
            "distance_weight": 1.0,
            "patches": "mean",
        },
    ),
    Descriptor(
        models.BNWVAD,
        BAGS_OF_NODES,
        {
            "units": 8,
            "heads": 2,
            "head_dim": 3,
            "mlp_units": 5,
            "depth": 1,
            "head_ratios": (2, 4),
            "margin": 3.0,
            "layer_weights": (0.5, 0.5),
        },
        {
            "units": 12,
            "heads": 1,
            "head_dim": 4,
            "mlp_units": 4,
            "depth": 2,
            "dropout": 0.5,
            "head_ratios": (2, 2),
            "sample_share": 0.9,
            "batch_share": 0.9,
            "margin": 4.0,
            "layer_weights": (1.0, 1.0),
            "normal_weight": 2.0,
            "pull_push_weight": 2.0,
            "patches": "mean",
        },
    ),
]
