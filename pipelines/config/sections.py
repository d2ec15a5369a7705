"""Configuration: one TOML file, one frozen dataclass a section, and an error that names the key you meant."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.config.values import (
    CHOICES,
    LIMITS,
    UserError,
    check_value,
    convert,
    parse_override,
    read_toml,
    unknown_key,
    unknown_section,
)

__all__ = ["Config", "UserError", "change_config", "config_to_dict", "load_config"]


@dataclass(frozen=True)
class DataConfig:
    """Where the videos are and how they are cut into snippets."""

    dataset: str = "folder"  # folder | synthetic | ucf_crime | shanghaitech | xd_violence | ucsd_ped
    root: str = "videos"  # folder that holds labels.csv or the unpacked archives (synthetic: is generated there)
    annotations: str = ""  # folder with the lists and labels of a known dataset; empty: they are under root
    allow_missing: bool = False  # go on when listed videos are not there; the summary names them
    frames_per_sec: float = 0.0  # sampling rate; 0 takes every frame
    clip_frames: int = 8  # K
    image_size_px: int = 224  # frames are squashed to a square of this side
    jpeg_quality: int = 90
    videos_per_shard: int = 4
    workers: int = 0  # 0: one for each core
    default_subset: str = "train"  # train | test: of videos whose list names none
    stall_timeout_sec: float = 120.0  # a file whose decoding makes no progress for so long is skipped


@dataclass(frozen=True)
class SyntheticConfig:
    """Generated surveillance clips (dataset = "synthetic")."""

    train_videos: int = 24  # half of them abnormal
    test_videos: int = 12
    duration_sec: float = 12.0
    frames_per_sec: float = 10.0
    width_px: int = 160
    height_px: int = 120
    people_size: float = 1.0  # factor; a large one is a camera that hangs close
    seed: int = 0


@dataclass(frozen=True)
class FeaturesConfig:
    """Features somebody else extracted, in place of videos."""

    root: str = ""  # folder of feature files, or one .npz; empty: nodes come from the videos
    layout: str = "auto"  # auto | time_feature | time_crop_feature | crop_time_feature | segments
    frames_per_feature: int = 16  # original frames that one row stands for
    suffix: str = ""  # what follows a video's name in a file's; empty: nothing, _i3d or _C
    video_fps: float = 30.0  # of the original videos; for the time axis of pictures only


@dataclass(frozen=True)
class ExtractorConfig:
    """RelationAwareExtractor (Sec 3.2)."""

    backbone: str = "resnet50"  # resnet50 | mobilenet_v2 | small
    weights: str = "imagenet"  # none | imagenet | path of a .weights.h5
    train_backbone: bool = True  # false: it stays as it is, and its maps are computed once (maps/)
    scales: tuple[int, ...] = (1, 2, 3)
    pooling: str = "max"  # max | average
    gate_dim: int = 64  # 0: no relation gate
    motion: bool = False  # nodes also hold how much a patch differs from the frame before
    relation_units: int = 256
    dropout: float = 0.8


@dataclass(frozen=True)
class TrainExtractorConfig:
    """Stage 1 (Sec 4.2): SGD under the TRN classifier."""

    epochs: int = 100  # 0: the extractor stays as it starts
    batch_size: int = 16  # snippets
    snippets_per_video: int = 8  # drawn anew each epoch
    learning_rate: float = 1e-4
    warmup_epochs: int = 10
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip_norm: float = 1.0  # largest gradient of each weight: the gate adds up hundreds of positions; 0: not cut
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
    node_normalization: str = "layer"  # layer | unit | none
    projection_dim: int = 0  # nodes are first brought to this size; 0: not
    residual: bool = True  # a linear path around the attention
    self_attention_crf: bool = True  # false: each node is scored by itself (Table 1)
    hidden_units: int = 32  # of the scorer
    dropout: float = 0.3
    frame_pooling: str = "max"  # max | mean | whole_frame: patch scores -> frame score
    score_from: str = "scorer"  # scorer | marginals | mean


@dataclass(frozen=True)
class TrainDetectorConfig:
    """Stage 2 (Sec 3.4, 4.2): contrastive multi-instance learning on bags of nodes."""

    model: str = "anomaly_detector"  # or a baseline, such as sultani or rtfm
    model_options: tuple[str, ...] = ()  # of a baseline, beside its published settings: ["pairing=paired"]
    epochs: int = 50
    batch_size: int = 32  # bags: half abnormal, half normal
    bag_frames: int = 64  # time steps a training bag is cut to
    sampling: str = "mixed"  # window | segments | mixed | segment_mean: how it is cut
    cache_nodes: bool = True  # keep the training nodes in memory
    optimizer: str = "adam"  # adam | adagrad | rmsprop | sgd (momentum 0.9)
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    top_k: float = 0.1  # share of a bag's nodes that speak for it
    sparsity_weight: float = 8e-5  # alpha_1 of Eq. 9
    smoothness_weight: float = 8e-5  # alpha_2 of Eq. 9
    contrast_weight: float = 1.0
    contrast_form: str = "hinge"  # hinge | printed
    margin: float = 1.0
    normalize_embeddings: bool = True  # unit length before the contrast: distances lie in 0..2
    validation_fraction: float = 0.15  # of the training videos; 0: train all epochs, keep the last
    monitor: str = "val_loss"  # val_loss | val_bag_auc: the epoch that is kept has the lowest loss or the highest AUC
    patience_epochs: int = 10


@dataclass(frozen=True)
class EvaluateConfig:
    """What a report of scores holds."""

    bootstrap_samples: int = 1000
    smoothing_sec: float = 2.0  # moving average that is reported beside the plain scores; 0: none
    images: bool = True  # timelines, heat maps and curves


@dataclass(frozen=True)
class RepeatConfig:
    """How often `vad repeat`, `vad compare` and `vad ablate` train, and how."""

    folds: int = 0  # cross-validation over videos; 0: the dataset's own split
    seeds: int = 1  # train with seed, seed + 1, ...
    jobs: int = 1  # trainings that run at the same time and share the cores
    rivals: tuple[str, ...] = ("sultani",)  # baselines that `vad repeat` trains on the same folds
    backend: str = ""  # tensorflow | jax | torch: Keras backend of the detectors; empty: as the environment says


@dataclass(frozen=True)
class CompareConfig:
    """`vad compare`; folds, seeds and jobs are those of [repeat]."""

    rivals: tuple[str, ...] = ()  # names of configs/systems/rivals.toml; empty: all
    max_batch_size: int = 0  # bags; published batches are for a thousand videos and more; 0: as published
    max_bag_frames: int = 0  # time steps, for videos shorter than the published bags; 0: as published


@dataclass(frozen=True)
class AblateConfig:
    """`vad ablate`; folds, seeds and jobs are those of [repeat]."""

    rows: tuple[str, ...] = ()  # names of configs/systems/ablations.toml; empty: all


@dataclass(frozen=True)
class AlarmsConfig:
    """When a score is an alarm."""

    threshold: float = 0.5  # a score at or above it is an alarm; an export keeps it in model.json


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
    threshold: float = 0.0  # a score at or above it is an alarm; 0: the model's own
    force: bool = False  # score again what this model has already scored
    top_frames: int = 6  # frames shown under the timeline and as heat maps; 0: none


@dataclass(frozen=True)
class BenchConfig:
    """What `vad bench` measures; the rest is as in the other sections."""

    repeats: int = 3  # the median is reported
    backbones: tuple[str, ...] = ("mobilenet_v2", "resnet50")  # of the extraction; the first one scores
    batches: int = 2  # of 64 frames, times `repeats`, for the extraction
    feature_dim: int = 1280  # C of the nodes of a training step


@dataclass(frozen=True)
class Config:
    """A whole run."""

    work_dir: str = "runs/default"
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    train_extractor: TrainExtractorConfig = field(default_factory=TrainExtractorConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    train_detector: TrainDetectorConfig = field(default_factory=TrainDetectorConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    repeat: RepeatConfig = field(default_factory=RepeatConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    ablate: AblateConfig = field(default_factory=AblateConfig)
    alarms: AlarmsConfig = field(default_factory=AlarmsConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    bench: BenchConfig = field(default_factory=BenchConfig)

    @property
    def work_path(self):
        """The run's folder as a path."""
        return Path(self.work_dir)

    @property
    def data_name(self):
        """What reports call the dataset: the name of its folder."""
        return Path(self.data.root).resolve().name


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Reads a TOML file, then the `--set` overrides, on top of the defaults.

    Args:
        path: TOML file with one table a section; None takes the defaults. Paths in it start at the current folder.
        overrides: Strings `section.key=value`; the value is read as TOML, and a bare word is a string.

    Raises:
        UserError: For a missing or unreadable file, an unknown section or key, a wrong type or a value out of range.

    Example:
    >>> load_config(overrides=["detector.key_dim=32", "data.dataset=synthetic"]).detector.key_dim
    32
    """
    types = key_types()
    entries = [] if path is None else list(_entries(read_toml(Path(path)), Path(path).name, types))
    return change_config(_applied(Config(), entries, types), overrides)


def change_config(config: Config, overrides: Sequence[str], source: str = "--set") -> Config:
    """A configuration with `section.key=value` overrides applied, read and checked as those of `load_config`.

    Args:
        config: What is changed.
        overrides: As for `load_config`.
        source: Where they stand, for errors.
    """
    types = key_types()
    return _applied(config, [(*parse_override(override, types), source) for override in overrides], types)


def _applied(config, entries, types):
    """`(dotted key, value, source)` entries checked and put into the configuration."""
    for dotted, value, source in entries:
        if dotted not in types:
            raise unknown_key(dotted, source, types)
        where = f"`{dotted}` in {source}"
        value = convert(types[dotted], value, where)
        key = dotted.rpartition(".")[2]
        check_value(value, CHOICES.get(dotted), LIMITS.get(dotted, LIMITS.get(key, (0, math.inf))), where)
        config = _replaced(config, dotted, value)
    return config


def key_types() -> dict:
    """Every dotted key and its type, in the order of the sections."""
    types = {}
    for top in dataclasses.fields(Config):
        if dataclasses.is_dataclass(top.type):
            types |= {f"{top.name}.{key.name}": key.type for key in dataclasses.fields(top.type)}
        else:
            types[top.name] = top.type
    return types


def config_to_dict(config: Config) -> dict:
    """The effective configuration as nested plain values, ready for JSON."""
    return dataclasses.asdict(config)


def _entries(tables, source, types):
    """The keys of a TOML file as (dotted key, value, source)."""
    for name, value in tables.items():
        if not isinstance(value, dict):
            yield name, value, source
        elif not any(known.startswith(name + ".") for known in types):
            raise unknown_section(name, source, types)
        else:
            for key, entry in value.items():
                yield f"{name}.{key}", entry, source


def _replaced(config, dotted, value):
    section, dot, key = dotted.partition(".")
    if not dot:
        return dataclasses.replace(config, **{section: value})
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **{key: value})})
