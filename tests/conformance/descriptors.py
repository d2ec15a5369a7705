"""Every public layer, loss, metric and model, described once: how it is made, what it is fed and what may differ.

A descriptor is all that the promises of this folder need to know of a public name. A promise that does not apply to it
is exempt with its reason.
"""

import keras
import numpy as np
from baselines import BASELINES
from descriptor import LABELS, MASK, NODES, PROMISES, SNIPPET_MASK, Descriptor, random

from vad_keras import layers, losses, metrics, models


def frames(num_frames=3, size=32):
    return random(3, num_frames, size, size, 3, low=0.0) * 255.0


def loss_of_outputs(function, inputs):
    """`contrastive_mil(labels, outputs, mask)`, the outputs of a detector in a dictionary."""
    outputs = {name: inputs[name] for name in ("patch_score", "embedding", "marginals")}
    return function(inputs["labels"], outputs, inputs["mask"])


def backbone_weights(folder):
    """Weights file of a small backbone."""
    path = folder / "small.weights.h5"
    keras.utils.set_random_seed(5)
    models.backbones.build_backbone("small", 32).save_weights(path)
    return str(path)


def video_weights(folder):
    """Weights file of the video network."""
    from tests.torchvision_arrays import state_dict

    path = folder / "video.npz"
    np.savez(path, **state_dict())
    return str(path)


PAIR = {"video_backbone": "mc3_18"}
PRIOR = {"prior_labels": ("fight", "no fight", "run"), "prior_abnormal": ("fight",)}

NO_STATE = dict.fromkeys(("config", "keras_file", "saved_model"), "a pure function has neither state nor configuration")
NUMPY = NO_STATE | dict.fromkeys(
    ("backends", "compiled", "mixed", "singles", "padding", "cut"),
    "NumPy in float64 on the real frames of all videos together, outside any backend",
)
NOT_SERVED = {"saved_model": "it takes part in training, not in a served graph"}
WHOLE_BATCH = {"singles": "one number for a batch, whose videos are compared or averaged", "cut": "likewise"}
FIXED_FRAMES = {"cut": "made for snippets of exactly K frames"}
NO_MASK = dict.fromkeys(("padding", "cut"), "takes no mask: videos of equal length")

ENERGY = random(3, 5, 3, 2)
PRIOR_LOGITS = random(3, 5, 3, seed=8)
AFFINITY = random(3, 5, 3, 5, 3, seed=1, low=0.0) / 4.0
SCORES = random(3, 5, 3, seed=2, low=0.01)
BAGS = {"labels": LABELS, "scores": SCORES}
def numbers_of_events(function, inputs):
    """The numbers of `evaluate_events`, without the reasons of those that are missing."""
    return {name: value for name, value in function(**inputs).items() if name != "missing"}


FRAME_LABELS = np.array([0, 0, 1, 1, 0, 1, 0, 0, 0, 1])
FRAME_SCORES = random(10, seed=3, low=0.0).astype("float64")
RANKED = {"labels": FRAME_LABELS, "scores": FRAME_SCORES}
VIDEOS = {
    "videos": [
        {"scores": FRAME_SCORES[:5], "label": 1, "frame_labels": FRAME_LABELS[:5], "class_name": "Arson"},
        {"scores": FRAME_SCORES[5:], "label": 0},
    ]
}
EVENTS = {"videos": [video | {"fps": 1 / 3600} for video in VIDEOS["videos"]]}  # one frame per hour

LAYERS = [
    Descriptor(
        layers.CliqueSelfAttention,
        NODES,
        {"key_dim": 4, "value_dim": 6, "temporal_localities": (1, 2, 4)},
        {
            "key_dim": 3,
            "value_dim": 5,
            "temporal_localities": (1, 3),
            "alignment": "causal",
            "normalization": "none",
        },
        call_options={"return_affinity": True},
        outputs=("h", "affinity"),
    ),
    Descriptor(
        layers.MeanFieldCRF,
        {"unary_energy": ENERGY, "affinity": AFFINITY, "mask": MASK},
        {"max_iterations": 3},
        {"max_iterations": 1, "tolerance": 0.1, "inference": "algorithm_1", "potts_weight": 2.0},
        other_inputs={"inference": {"affinity": random(3, 5, 3, 2, seed=4)}},
        call_options={"return_iterations": True},
        outputs=("marginals", "iterations"),
    ),
    Descriptor(
        layers.MeanFieldCell,
        {"marginals": random(3, 5, 3, 2, seed=5, low=0.0), "unary_energy": ENERGY, "affinity": AFFINITY},
        {},
        {"potts_weight": 2.0},
        outputs=("marginals",),
        exempt=dict.fromkeys(("padding", "cut"), "takes no mask: the CRF sets padding to 0 before it"),
    ),
    Descriptor(
        layers.PriorLogit,
        {"prior": PRIOR_LOGITS},
        {},
        {"initial_weight": 2.0},
        exempt=dict.fromkeys(("padding", "cut"), "takes each number by itself"),
    ),
    Descriptor(
        layers.NormalMemory,
        {"nodes": random(3, 5, 3, 4)},
        {"size": 3},
        {"size": 5},
        exempt=dict.fromkeys(("padding", "cut"), "takes each node by itself")
        | {"mixed": "compares in float32, and has no weights that are trained"}
        | {"arguments": "they show once `adapt` has filled it, as its own tests do"},
    ),
    Descriptor(
        layers.TemporalContext,
        {"features": random(3, 5, 4), "mask": MASK},
        {"frames": 3},
        {"frames": 2, "alignment": "causal"},
        exempt={"mixed": "has no weights, and takes a maximum"},
    ),
    Descriptor(
        layers.ContextScore,
        NODES,
        {"frames": 3},
        {"frames": 2, "alignment": "causal", "dropout": 0.5, "penalty": 0.1},
    ),
    Descriptor(
        layers.MultiScalePatchPooling,
        {"maps": random(3, 2, 5, 5, 4)},
        {},
        {"scales": (1, 2), "mode": "average"},
        exempt=dict.fromkeys(("padding", "cut"), "pools each frame by itself")
        | {"mixed": "has no weights, and takes a maximum or a mean"},
    ),
    Descriptor(
        layers.RelationGate,
        {"maps": random(3, 3, 2, 2, 4), "mask": SNIPPET_MASK},
        {"embedding_dim": 3},
        {"embedding_dim": 2},
        outputs=("maps",),
        exempt=FIXED_FRAMES,
    ),
    Descriptor(
        layers.TemporalRelation,
        {"frames": random(3, 3, 4), "mask": SNIPPET_MASK},
        {"units": 4, "num_frames": 3, "max_tuples": 2, "seed": 1},
        {"units": 5, "num_frames": 4, "max_tuples": 3, "dropout": 0.5, "seed": 2},
        other_inputs={"num_frames": {"frames": random(3, 4, 4), "mask": np.ones((3, 4), bool)}},
        exempt=FIXED_FRAMES,
    ),
    Descriptor(
        layers.dense_affinity,
        {},
        exempt=dict.fromkeys(
            PROMISES.keys() - {"example"}, "writes out the affinity of CliqueSelfAttention, which is tested through it"
        ),
    ),
]

MODELS = [
    Descriptor(
        models.AnomalyDetector,
        NODES | {"prior": PRIOR_LOGITS, "labels": LABELS},
        {"key_dim": 4, "value_dim": 6, "temporal_localities": (1, 2, 4), "max_iterations": 3, "hidden_units": 5},
        {
            "key_dim": 3,
            "value_dim": 5,
            "temporal_localities": (1, 3),
            "alignment": "causal",
            "normalization": "none",
            "clique_patches": "same",
            "max_iterations": 1,
            "tolerance": 0.1,
            "inference": "algorithm_1",
            "node_normalization": "none",
            "projection_dim": 3,
            "residual": False,
            "self_attention_crf": False,
            "hidden_units": 4,
            "dropout": 0.6,
            "frame_pooling": "whole_frame",
            "score_from": "marginals",
            "unary_from": "both",
            "prior_in_score": True,
            "memory_nodes": 4,
            "potts_weight": 2.0,
            "context_frames": 3,
            "loss_options": {"k": "mean"},
        },
        other_options={"memory_nodes": {"unary_from": "prior"}},
        leaves_out=("inference", "self_attention_crf"),
    ),
    Descriptor(
        models.RelationAwareExtractor,
        {"frames": frames(), "mask": SNIPPET_MASK, "labels": LABELS},
        {"backbone": "small", "image_size": 32, "clip_frames": 3, "gate_dim": 4, "relation_units": 4, "seed": 1},
        {
            "backbone": "mobilenet_v2",
            "weights": backbone_weights,
            "image_size": 48,
            "clip_frames": 2,
            "scales": (1, 2),
            "pooling": "average",
            "gate_dim": 0,
            "motion": True,
            "relation_units": 5,
            "dropout": 0.1,
            "train_backbone": False,
            "seed": 2,
            "video_backbone": "mc3_18",
            "video_weights": video_weights,
            "prior_labels": PRIOR["prior_labels"],
            "prior_abnormal": ("fight", "run"),
            "backbone_layer": "block_13_expand_relu",
        },
        # these need another network, whose own tests compare them with it
        other_options={
            "video_weights": PAIR,
            "prior_labels": PAIR | PRIOR,
            "prior_abnormal": PAIR | PRIOR,
            "backbone_layer": {"backbone": "mobilenet_v2"},
        },
        other_inputs={
            "image_size": {"frames": frames(size=48)},
            "clip_frames": {"frames": frames(2), "mask": SNIPPET_MASK[:, :2]},
        },
        exempt=FIXED_FRAMES,
    ),
]

LOSSES = [
    Descriptor(
        losses.BagCrossEntropy,
        BAGS,
        {},
        {"k": "mean", "reduction": "none", "name": "other", "dtype": "float16"},
        exempt=NOT_SERVED | WHOLE_BATCH | NO_MASK,
    ),
    Descriptor(
        losses.RankingMIL,
        BAGS,
        {},
        {
            "pairing": "paired",
            "margin": 2.0,
            "sparsity_weight": 1.0,
            "smoothness_weight": 1.0,
            "name": "other",
            "dtype": "float16",
        },
        exempt=NOT_SERVED | WHOLE_BATCH | NO_MASK,
    ),
    Descriptor(
        losses.bag_contrast,
        {
            "positive": random(3, 4, seed=6),
            "negative": random(2, 4, seed=7),
            "positive_mask": np.array([True, True, False]),
            "negative_mask": np.array([True, True]),
        },
        {"margin": 3.0},
        {"margin": 4.0, "form": "printed"},
        exempt=NO_STATE | WHOLE_BATCH | {"padding": "embeddings have no frames"},
    ),
    Descriptor(
        losses.bag_cross_entropy,
        BAGS | {"mask": MASK},
        {"k": 0.3},
        {"k": "mean"},
        exempt=NO_STATE,
    ),
    Descriptor(
        losses.contrastive_mil,
        {
            "labels": LABELS,
            "patch_score": SCORES,
            "embedding": random(3, 5, 3, 4, seed=8),
            "marginals": random(3, 5, 3, 2, seed=9, low=0.01),
            "mask": MASK,
        },
        {"margin": 2.0},
        {
            "sparsity_weight": 1.0,
            "smoothness_weight": 1.0,
            "contrast_weight": 2.0,
            "k": "mean",
            "margin": 3.0,
            "contrast_form": "printed",
            "normalize_embeddings": True,
            "cross_entropy_on": ("marginals",),
        },
        call=loss_of_outputs,
        exempt=NO_STATE | WHOLE_BATCH,
    ),
    Descriptor(
        losses.ranking_mil,
        BAGS | {"mask": MASK},
        {},
        {"pairing": "paired", "margin": 2.0, "sparsity_weight": 1.0, "smoothness_weight": 1.0},
        exempt=NO_STATE | WHOLE_BATCH,
    ),
    Descriptor(losses.sparsity, {"scores": SCORES, "mask": MASK}, exempt=NO_STATE),
    Descriptor(losses.temporal_smoothness, {"scores": SCORES, "mask": MASK}, exempt=NO_STATE),
]

METRICS = [
    Descriptor(
        metrics.BagAUC,
        {"y_true": np.array([0, 1, 1], "int32"), "y_pred": SCORES, "mask": MASK},
        {},
        {"num_thresholds": 3, "name": "other", "dtype": "float16"},
        exempt=NOT_SERVED | WHOLE_BATCH | {"mixed": "counts in float32 whatever the policy is, see test_bag_auc.py"},
    ),
    Descriptor(metrics.average_precision, RANKED, exempt=NUMPY),
    Descriptor(
        metrics.bootstrap_videos,
        {"videos": list(FRAME_SCORES), "statistic": np.mean},
        {"samples": 50, "seed": 1},
        {"samples": 60, "seed": 2},
        exempt=NUMPY,
    ),
    Descriptor(
        metrics.draw_videos,
        {"num_videos": 7},
        {"samples": 5, "seed": 1},
        {"samples": 6, "seed": 2},
        exempt=NUMPY,
    ),
    Descriptor(
        metrics.evaluate_draws,
        VIDEOS | {"counts": np.array([[1, 1], [1, 2], [3, 1]])},
        {},
        {"threshold": 0.1},
        exempt=NUMPY,
    ),
    Descriptor(metrics.evaluate_events, EVENTS, {}, {"rates": (2, 12)}, call=numbers_of_events, exempt=NUMPY),
    Descriptor(
        metrics.evaluate_location,
        {"values": FRAME_SCORES.reshape(2, 5), "event_pixels": np.eye(2, 5), "cell_pixels": np.arange(1, 6)},
        exempt=NUMPY,
    ),
    Descriptor(metrics.evaluate_videos, VIDEOS, {}, {"threshold": 0.1}, exempt=NUMPY),
    Descriptor(
        metrics.false_alarm_rate, {"scores_of_normal_videos": FRAME_SCORES}, {}, {"threshold": 0.1}, exempt=NUMPY
    ),
    Descriptor(metrics.frame_auc, RANKED, exempt=NUMPY),
    Descriptor(metrics.interval_of_draws, {"values": FRAME_SCORES}, exempt=NUMPY),
    Descriptor(
        metrics.interval_of_jackknife,
        {"value": 0.5, "left_out": FRAME_SCORES},
        {},
        {"limits": (0.0, 1.0)},
        exempt=NUMPY,
    ),
    Descriptor(metrics.leave_one_out, {"num_videos": 7}, exempt=NUMPY),
    Descriptor(metrics.recall_at_fpr, RANKED, {"fpr": 0.1}, {"fpr": 0.9}, exempt=NUMPY),
    Descriptor(
        metrics.video_auc,
        {"video_labels": LABELS, "scores": [FRAME_SCORES[:3], FRAME_SCORES[3:5], FRAME_SCORES[5:]]},
        exempt=NUMPY,
    ),
]

DESCRIPTORS = LAYERS + MODELS + BASELINES + LOSSES + METRICS
