"""Settings to start with on a folder of own videos."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from pipelines.config.sections import change_config, load_config
from pipelines.config.sections_training import Backbone
from pipelines.config.toml import to_toml, toml_value
from pipelines.config.values import UserError, choices_of

LONG_VIDEO_SEC = 60
FEW_VIDEOS = 40  # training videos
BATCH_SIZE = 32
SEGMENTS = "A window of an abnormal video may miss the event."

# As in ucf_crime_subset.toml: what a few dozen videos need on a pretrained backbone.
FROZEN_BACKBONE = {
    "extractor.train_backbone": (False, "Few videos are not enough to train it; its feature maps are computed once."),
    "extractor.pooling": ("average", "Max pooling of the feature map overfits few videos."),
    "train_extractor.epochs": (10, ""),
    "train_extractor.learning_rate": (1e-3, ""),
    "train_extractor.warmup_epochs": (2, ""),
    "train_extractor.patience_epochs": (3, ""),
    "train_extractor.snippets_per_video": (4, ""),
    "train_extractor.clip_norm": (0.1, ""),
    "detector.node_normalization": ("unit", 'Length 1 overfits less on few videos. Try "layer" too.'),
    "detector.projection_dim": (256, ""),
    "detector.dropout": (0.6, "Few videos need strong dropout."),
    "train_detector.epochs": (60, ""),
    "train_detector.learning_rate": (3e-4, ""),
    "train_detector.sampling": ("segments", SEGMENTS),
}
# As in demo.toml.
UNTRAINED_BACKBONE = {
    "data.image_size_px": (80, "The small backbone is trained from random weights; small frames keep that fast."),
    "extractor.motion": (True, "With random weights, the backbone sees little but differences between frames."),
    "extractor.gate_dim": (16, ""),
    "extractor.relation_units": (64, ""),
    "extractor.dropout": (0.2, ""),
    "train_extractor.epochs": (10, ""),
    "train_extractor.learning_rate": (1e-3, ""),
    "train_extractor.warmup_epochs": (2, ""),
    "detector.key_dim": (16, ""),
    "detector.value_dim": (32, ""),
    "detector.hidden_units": (16, ""),
    "detector.dropout": (0.1, ""),
    "detector.node_normalization": ("none", "Keeps the size of a change."),
    "train_detector.epochs": (30, ""),
    "train_detector.learning_rate": (3e-3, ""),
    "train_detector.sampling": ("segments", SEGMENTS),
}
DOWNLOADED = "imagenet"
NO_WEIGHTS = """Random weights: the backbone learns from these videos alone, so expect weak scores.
A pretrained backbone is much better, from a download or from a file:
vad config init FOLDER --weights imagenet
vad config init FOLDER --weights mobilenet_v2.weights.h5"""


@dataclass(frozen=True)
class FolderFacts:
    """What the settings depend on.

    Args:
        num_training: Number of training videos.
        durations_sec: Lengths of the videos.
    """

    num_training: int
    durations_sec: tuple[float, ...] = ()


def starter_toml(folder, facts, weights=""):
    """Return the text of a TOML file to start with, which ``load_config`` reads.

    Args:
        folder: Folder of the videos.
        facts: ``FolderFacts`` of it.
        weights: File of pretrained weights of a backbone, which is recognised by its name; ``"imagenet"``: MobileNetV2,
            downloaded by Keras; empty: none.

    Raises:
        UserError: The weights file does not exist, or its name tells no backbone.
    """
    settings = {
        "work_dir": (f"runs/{Path(folder).resolve().name}", ""),
        "data.root": (str(folder), ""),
        "data.frames_per_sec": _sampling_rate(facts.durations_sec),
        "extractor.backbone": (_backbone_of(weights) if weights else "small", ""),
        "extractor.weights": (str(weights) or "none", "" if weights else NO_WEIGHTS),
        **(FROZEN_BACKBONE if weights else UNTRAINED_BACKBONE),
        "train_detector.batch_size": (_batch_size(facts.num_training), "No more bags than training videos."),
    }
    if facts.num_training < FEW_VIDEOS:
        reason = "Too few videos to choose an epoch: train all of them and keep the last."
        settings |= {f"{stage}.validation_fraction": (0.0, reason) for stage in ("train_extractor", "train_detector")}
    changes = [f"{key}={toml_value(value)}" for key, (value, _) in settings.items()]
    return to_toml(
        change_config(load_config(), changes),
        keys=settings,
        comment=lambda setting: settings[setting.key][1],
        header=f"Settings for the videos in {folder}. All settings: vad config",
    )


def _sampling_rate(durations_sec):
    if durations_sec and statistics.median(durations_sec) > LONG_VIDEO_SEC:
        return 2.0, "Sampling rate in frames/s, for videos of minutes; cost is proportional to it. 0: every frame."
    return 5.0, "Sampling rate in frames/s; cost is proportional to it. 0: every frame."


def _batch_size(num_training):
    """Even, since half of the bags are abnormal."""
    return max(2, min(BATCH_SIZE, num_training) // 2 * 2)


def _backbone_of(weights):
    if weights == DOWNLOADED:
        return "mobilenet_v2"
    path = Path(weights)
    if not path.is_file():
        raise UserError(f"there is no weights file at {path}. Check the path, or download weights: --weights imagenet")
    pretrained = [name for name in choices_of(Backbone) if name != "small"]
    found = [name for name in pretrained if name in path.name.lower()]
    if len(found) != 1 or not path.name.endswith(".h5"):
        names = " or ".join(f"{name}.weights.h5" for name in pretrained)
        raise UserError(f"{path.name} tells no backbone. Name the file after it: {names}.")
    return found[0]
