"""Configuration: one TOML file, one frozen dataclass a section, and an error that names the key you meant."""

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path


class UserError(Exception):
    """Something the user can mend. The command prints its text without a traceback and exits with 2."""


@dataclass(frozen=True)
class DataConfig:
    """Where the videos are and how they are cut into snippets."""

    dataset: str = "folder"  # folder | synthetic
    root: str = "videos"  # folder that holds labels.csv (synthetic: is generated there)
    frames_per_sec: float = 0.0  # sampling rate; 0 takes every frame
    clip_frames: int = 8  # K
    image_size_px: int = 224  # frames are squashed to a square of this side
    jpeg_quality: int = 90
    videos_per_shard: int = 4
    workers: int = 0  # 0: one for each core


@dataclass(frozen=True)
class SyntheticConfig:
    """Generated surveillance clips (dataset = "synthetic")."""

    train_videos: int = 24  # half of them abnormal
    test_videos: int = 12
    duration_sec: float = 12.0
    frames_per_sec: float = 10.0
    width_px: int = 160
    height_px: int = 120
    seed: int = 0


@dataclass(frozen=True)
class ExtractorConfig:
    """RelationAwareExtractor (Sec 3.2)."""

    backbone: str = "resnet50"  # resnet50 | mobilenet_v2 | small
    weights: str = "imagenet"  # none | imagenet | path of a .weights.h5
    train_backbone: bool = True
    scales: tuple[int, ...] = (1, 2, 3)
    pooling: str = "max"  # max | average
    gate_dim: int = 64
    relation_units: int = 256
    dropout: float = 0.8


@dataclass(frozen=True)
class TrainExtractorConfig:
    """Stage 1 (Sec 4.2): SGD under the TRN classifier."""

    epochs: int = 100
    batch_size: int = 16  # snippets
    snippets_per_video: int = 8  # drawn anew each epoch
    learning_rate: float = 1e-4
    warmup_epochs: int = 10
    momentum: float = 0.9
    weight_decay: float = 5e-4
    validation_fraction: float = 0.15  # of the training videos
    patience_epochs: int = 10


@dataclass(frozen=True)
class DetectorConfig:
    """AnomalyDetector (Sec 3.3, 3.4)."""

    key_dim: int = 64
    value_dim: int = 128
    temporal_localities: tuple[int, ...] = (1, 2, 4, 6, 8)
    alignment: str = "centered"  # centered | causal
    normalization: str = "softmax"  # softmax | none
    inference: str = "mean_field"  # mean_field | algorithm_1
    max_iterations: int = 10
    tolerance: float = 1e-4
    dropout: float = 0.3


@dataclass(frozen=True)
class TrainDetectorConfig:
    """Stage 2 (Sec 3.4, 4.2): contrastive multi-instance learning on bags of nodes."""

    model: str = "anomaly_detector"  # anomaly_detector | sultani
    epochs: int = 50
    batch_size: int = 32  # bags: half abnormal, half normal
    bag_frames: int = 64  # time steps a training bag is cut to
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    validation_fraction: float = 0.15
    patience_epochs: int = 10


@dataclass(frozen=True)
class EvaluateConfig:
    """What is reported, and how often the training is repeated for it."""

    folds: int = 0  # 0: the dataset's own split
    seeds: int = 1
    bootstrap_samples: int = 1000


@dataclass(frozen=True)
class ExportConfig:
    """SavedModel for TF Serving."""

    root: str = "savedmodels"
    name: str = "vad"


@dataclass(frozen=True)
class ScoreConfig:
    """Scoring of new videos with a SavedModel."""

    model: str = ""  # folder of a version, or of a model (the newest version is taken); empty: the exported one
    inputs: tuple[str, ...] = ()  # video files or folders
    output: str = ""  # empty: <work_dir>/scores
    threshold: float = 0.5


@dataclass(frozen=True)
class Config:
    """A whole run."""

    work_dir: str = "runs/default"
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    train_extractor: TrainExtractorConfig = field(default_factory=TrainExtractorConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    train_detector: TrainDetectorConfig = field(default_factory=TrainDetectorConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)

    @property
    def work_path(self):
        """The run's folder as a path."""
        return Path(self.work_dir)
