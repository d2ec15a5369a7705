"""Sections on the two models and their training."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipelines.config.settings import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, setting
from pipelines.config.values import between

Backbone = Literal["resnet50", "mobilenet_v2", "small", "mc3_18"]
VideoBackbone = Literal["none", "mc3_18"]
Model = Literal[
    "anomaly_detector",
    "sultani",
    "zhong",
    "zhang",
    "zhu_newsam",
    "zaheer_self_reasoning",
    "claws",
    "hl_net",
    "ar_net",
    "rtfm",
    "ur_dmu",
    "bn_wvad",
]
Sampling = Literal["window", "segments", "mixed", "segment_mean"]
Optimizer = Literal["adam", "adam_l2", "adagrad", "rmsprop", "sgd"]
DropoutRate = Annotated[float, between(0, 0.99)]
ValidationFraction = Annotated[float, between(0, 0.9)]


@dataclass(frozen=True)
class ExtractorConfig:
    """The relation-aware feature extractor (Sec 3.2 of the paper)."""

    backbone: Backbone = setting("resnet50", "Network under the feature maps")
    weights: str = setting("imagenet", "Its weights: none, imagenet (a download) or the path of a file")
    train_backbone: bool = setting(True, "false freezes the backbone; its feature maps are then computed once")
    scales: tuple[PositiveInt, ...] = setting((1, 2, 3), "Grids of the patches: 1, 2 x 2 and 3 x 3 make 14 patches")
    pooling: Literal["max", "average"] = setting("max", "How a patch is pooled from the feature map")
    gate_dim: NonNegativeInt = setting(64, "Embedding size of the relation gate; 0: no gate")
    motion: bool = setting(False, "Append to each node how much its patch differs from the frame before")
    relation_units: PositiveInt = setting(256, "Units of the temporal relations")
    dropout: DropoutRate = setting(0.8, "Dropout rate on the frame features")
    video_backbone: VideoBackbone = setting("none", "Video network beside an image backbone: appearance and motion")
    video_weights: str = setting("none", "Its weights: none or the path of a .npz or .pth")
    prior_labels: tuple[str, ...] = setting((), "Labels of the video network's classifier, in order; empty: no prior")
    prior_abnormal: tuple[str, ...] = setting((), "Those labels that count as abnormal")
    backbone_layer: str = setting(
        "none", "Layer whose maps are taken, such as block_13_expand_relu or layer3; none: the last"
    )


@dataclass(frozen=True)
class TrainExtractorConfig:
    """Stage 1 (Sec 4.2 of the paper): train the extractor with SGD on labelled snippets."""

    epochs: NonNegativeInt = setting(100, "Largest number of epochs; 0: initial weights are kept", "epochs")
    batch_size: PositiveInt = setting(16, "Batch size", "snippets")
    snippets_per_video: PositiveInt = setting(8, "Random snippets of each video per epoch", "snippets")
    learning_rate: NonNegativeFloat = setting(1e-4, "Learning rate after the warm-up")
    warmup_epochs: NonNegativeInt = setting(10, "Epochs in which the learning rate rises to its value", "epochs")
    momentum: Fraction = setting(0.9, "Momentum of SGD")
    weight_decay: NonNegativeFloat = setting(5e-4, "Weight decay")
    # The gate adds up hundreds of positions, so that single gradients can be very large.
    clip_norm: NonNegativeFloat = setting(1.0, "Largest gradient norm of each weight; 0: no clipping")
    validation_fraction: ValidationFraction = setting(0.15, "Fraction of the training videos used for validation")
    patience_epochs: NonNegativeInt = setting(10, "Stop after so many epochs without improvement; 0: never", "epochs")


@dataclass(frozen=True)
class DetectorConfig:
    """The anomaly detector: self-attention over cliques, CRF and scorer (Sec 3.3 and 3.4 of the paper)."""

    key_dim: PositiveInt = setting(64, "Size of queries and keys")
    value_dim: PositiveInt = setting(128, "Size of values")
    temporal_localities: tuple[PositiveInt, ...] = setting((1, 2, 4, 6, 8), "Lengths of the cliques", "frames")
    alignment: Literal["centered", "causal"] = setting(
        "centered", "Cliques around each frame, or of the past only, which then holds for a video network too"
    )
    normalization: Literal["softmax", "none"] = setting("softmax", "Normalization of the affinity")
    clique_patches: Literal["all", "same"] = setting(
        "all", "Cliques hold all patches of their frames, or the same patch of each frame"
    )
    inference: Literal["mean_field", "algorithm_1"] = setting("mean_field", "Inference of the CRF")
    max_iterations: PositiveInt = setting(10, "Largest number of CRF iterations")
    tolerance: NonNegativeFloat = setting(1e-4, "The CRF stops when no marginal changes by more than this")
    node_normalization: Literal["layer", "unit", "none"] = setting("layer", "Normalization of each node's features")
    projection_dim: NonNegativeInt = setting(0, "Dense layer in front that reduces the nodes to this size; 0: none")
    residual: bool = setting(True, "Add a linear map of the nodes to the output of the attention")
    self_attention_crf: bool = setting(True, "false scores each node by itself (Table 1 of the paper)")
    hidden_units: PositiveInt = setting(32, "Hidden units of the scorer")
    dropout: DropoutRate = setting(0.3, "Dropout rate on the nodes and in front of the scorer")
    frame_pooling: Literal["max", "mean", "whole_frame"] = setting("max", "How patch scores become a frame score")
    score_from: Literal["scorer", "marginals", "mean"] = setting("scorer", "Where the patch scores come from")
    unary_from: Literal["nodes", "prior", "both"] = setting("nodes", "What the unary energies are made of")
    prior_in_score: bool = setting(False, "Add the prior to the logit of the scorer")
    memory_nodes: NonNegativeInt = setting(
        0, "Nodes of normal videos to keep; the prior of a node is its distance to them. 0: none", "nodes"
    )
    potts_weight: NonNegativeFloat = setting(1.0, "Start of the compatibility: how much a message counts")
    context_frames: NonNegativeInt = setting(
        0, "Multiply the scores by that of a window of this length around each frame; 0: no", "frames"
    )


@dataclass(frozen=True)
class TrainDetectorConfig:
    """Stage 2 (Sec 3.4 and 4.2 of the paper): train the detector on bags of nodes, with contrastive MIL."""

    model: Model = setting("anomaly_detector", "The detector, or a baseline from the literature")
    model_options: tuple[str, ...] = setting((), 'Options of a baseline: ["pairing=paired"]; empty: as published')
    epochs: PositiveInt = setting(50, "Largest number of epochs", "epochs")
    steps_per_epoch: NonNegativeInt = setting(0, "Steps per epoch; 0: until each video was used once", "steps")
    batch_size: PositiveInt = setting(32, "Batch size; half of the bags are abnormal", "bags")
    bag_frames: PositiveInt = setting(64, "Length that training bags are cut to", "frames")
    sampling: Sampling = setting("mixed", "How longer videos are cut to bag_frames")
    # It decides: without it the order of the bags is random within a few batches only.
    cache_nodes: bool = setting(True, "Keep the training nodes in memory; false reads them again for each epoch")
    optimizer: Optimizer = setting("adam", "Optimizer; adam is AdamW, sgd has momentum 0.9")
    learning_rate: NonNegativeFloat = setting(1e-4, "Learning rate")
    drop_steps: tuple[PositiveInt, ...] = setting((), "Steps after which the learning rate falls to a tenth", "steps")
    weight_decay: NonNegativeFloat = setting(1e-5, "Weight decay; with adam_l2 an L2 penalty in the gradient")
    clip_norm: NonNegativeFloat = setting(0.0, "Largest norm of the whole gradient; 0: no clipping")
    late_prior: bool = setting(False, "Add the standardized prior of the nodes to the score of a trained baseline")
    top_k: NonNegativeFloat = setting(0.1, "Fraction of top-scoring nodes averaged per bag")
    sparsity_weight: NonNegativeFloat = setting(8e-5, "Weight of the sparsity term (alpha_1 of Eq. 9)")
    smoothness_weight: NonNegativeFloat = setting(8e-5, "Weight of the smoothness term (alpha_2 of Eq. 9)")
    contrast_weight: NonNegativeFloat = setting(1.0, "Weight of the contrast between bags")
    contrast_form: Literal["hinge", "printed"] = setting("hinge", "Form of the contrast; printed: as in Eq. 10")
    margin: NonNegativeFloat = setting(1.0, "Margin of the contrast")
    normalize_embeddings: bool = setting(True, "Scale embeddings to length 1 before the contrast")
    validation_fraction: ValidationFraction = setting(
        0.15, "Fraction of the training videos used for validation; 0: none, the last epoch is kept"
    )
    monitor: Literal["val_loss", "val_bag_auc"] = setting("val_loss", "Keep the epoch that is best by this")
    patience_epochs: NonNegativeInt = setting(10, "Stop after so many epochs without improvement; 0: never", "epochs")


@dataclass(frozen=True)
class SearchConfig:
    """Choice of learning rate and steps in `vad repeat`, `vad compare` and `vad ablate`, for every system alike."""

    inner_folds: NonNegativeInt = setting(0, "Inner folds of the training videos; 0: no search")
    learning_rates: tuple[NonNegativeFloat, ...] = setting((1e-4, 1e-3), "Tried beside that of the system")
    max_steps: PositiveInt = setting(1000, "Longest training", "steps")
    every_steps: PositiveInt = setting(50, "Steps between two points of a validation curve", "steps")
