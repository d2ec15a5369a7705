"""Sections on what is made of trained models: reports, comparisons, exports, scores. None decides a result."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from pipelines.config import settings
from pipelines.config.sections_training import Backbone
from pipelines.config.settings import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt

ExportType = Literal["float32", "bfloat16"]
BenchPart = Literal["decode", "prepare", "extract", "train_detector", "score"]

# Each training of an experiment gets its own seed, videos and changed settings; those are what decides.
setting = partial(settings.setting, decides=False)


@dataclass(frozen=True)
class EvaluateConfig:
    """Contents of a report."""

    smoothing_sec: NonNegativeFloat = setting(2.0, "Moving average reported beside the plain scores; 0: none", "s")
    images: bool = setting(True, "Plot timelines, heat maps and curves")


@dataclass(frozen=True)
class RepeatConfig:
    """How `vad repeat`, `vad compare` and `vad ablate` train."""

    folds: NonNegativeInt = setting(0, "Folds of a cross-validation over videos; 0: the split of the dataset")
    seeds: PositiveInt = setting(1, "Trainings per system: with seed, seed + 1, and so on")
    jobs: PositiveInt = setting(1, "Trainings that run at the same time and share the cores")
    rivals: tuple[str, ...] = setting(("sultani",), "Baselines that `vad repeat` trains on the same folds")
    # Like the machine, the backend is noted with each training, and a stopped experiment may continue on another.
    backend: Literal["", "tensorflow", "jax", "torch"] = setting("", "Keras backend; empty: the current one")


@dataclass(frozen=True)
class CompareConfig:
    """`vad compare`. Folds, seeds and jobs are those of [repeat]."""

    rivals: tuple[str, ...] = setting((), "Rivals to train, by their names in configs/systems/rivals.toml; empty: all")
    # Published batches are made for a thousand videos and more.
    max_batch_size: NonNegativeInt = setting(0, "Largest batch size of the rivals; 0: as published", "bags")
    max_bag_frames: NonNegativeInt = setting(0, "Longest bag of the rivals; 0: as published", "frames")
    fewer_seeds: tuple[str, ...] = setting((), 'Rivals with fewer seeds than the others: ["rtfm=1"]')


@dataclass(frozen=True)
class AblateConfig:
    """`vad ablate`. Folds, seeds and jobs are those of [repeat]."""

    rows: tuple[str, ...] = setting((), "Rows to train, by their names in configs/systems/ablations.toml; empty: all")


@dataclass(frozen=True)
class AlarmsConfig:
    """When scores are an alarm (docs/alarms.md). Recorded videos have no notices and no cool-down."""

    threshold: Fraction = setting(0.5, "A score at or above it is an alarm; an export keeps it in model.json")
    notice_threshold: Fraction = setting(0.0, "A score at or above it is a notice; 0: no notices")
    hysteresis: Fraction = setting(0.05, "How far below a threshold a score may fall before the event ends")
    min_length_sec: NonNegativeFloat = setting(1.0, "Shorter events do not count", "s")
    merge_gap_sec: NonNegativeFloat = setting(5.0, "Events with a shorter pause between them are one", "s")
    cooldown_sec: NonNegativeFloat = setting(60.0, "No event starts so long after the end of an alarm", "s")
    max_gap_sec: NonNegativeFloat = setting(10.0, "An event ends when there is no score for so long", "s")


@dataclass(frozen=True)
class ExportConfig:
    """The SavedModel for TensorFlow Serving."""

    root: str = setting("savedmodels", "Folder of the exported models")
    name: str = setting("vad", "Name of the model, a folder in root; its versions are 1, 2, and so on")
    dtype: ExportType = setting("float32", "Type in which the extractor computes; all outputs are float32")


@dataclass(frozen=True)
class ScoreConfig:
    """Scoring of new videos with an exported model."""

    model: str = setting("", "Folder of a model or of one of its versions; empty: the model that this run exported")
    server: str = setting("", "Server in place of a folder: grpc://HOST:8500 or http://HOST:8501; empty: none")
    server_model: str = setting("", "Name of the model on the server; empty: export.name")
    server_version: str = setting("", "Version on the server; empty: the newest, or that of the label")
    server_label: str = setting("", "Label of the version on the server, such as stable; empty: none")
    server_timeout_sec: PositiveInt = setting(60, "Time for a request to the server with its retries", "s")
    inputs: tuple[str, ...] = setting((), "Video files or folders")
    output: str = setting("", "Folder of the results; empty: scores/ in work_dir")
    threshold: Fraction = setting(0.0, "A score at or above it is an alarm; 0: the threshold of the model")
    zones: tuple[tuple[tuple[float, ...], ...], ...] = setting(
        (), "Polygons that count, in fractions of the picture, as in cameras.toml; empty: all of it"
    )
    force: bool = setting(False, "Score again what this model has already scored")
    annotate: bool = setting(False, "Also write each video with its score, its patch map and its alarms drawn over it")
    top_frames: NonNegativeInt = setting(6, "Frames shown under the timeline and as heat maps; 0: none", "frames")


@dataclass(frozen=True)
class CollectConfig:
    """Reviewed events of `vad watch` as videos for the next training."""

    store: str = setting("", "Folder of the events of `vad watch`; empty: live/ in work_dir")
    output: str = setting("", "Folder of the videos and of labels.csv; empty: collected/ in work_dir")
    test_fraction: Fraction = setting(0.2, "Share of the videos of each label for evaluation")


@dataclass(frozen=True)
class BenchConfig:
    """What `vad bench` measures. Sizes and models are those of the other sections."""

    parts: tuple[BenchPart, ...] = setting((), "Parts to measure; empty: all")
    repeats: PositiveInt = setting(3, "Repetitions, of which the median is reported")
    backbones: tuple[Backbone, ...] = setting(("mobilenet_v2", "resnet50"), "Backbones to time; the first one scores")
    batches: PositiveInt = setting(2, "Batches of 64 frames (video networks: 246) per repetition", "batches")
    feature_dim: PositiveInt = setting(1280, "Channels of the nodes of a training step")
