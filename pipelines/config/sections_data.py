"""Sections on the videos: where they are, how they are sampled, and what may take their place."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from pipelines.config.settings import NonNegativeFloat, NonNegativeInt, PositiveInt, Seed, setting
from pipelines.config.values import at_least, between

Dataset = Literal["folder", "synthetic", "ucf_crime", "shanghaitech", "xd_violence", "ucsd_ped"]
Layout = Literal["auto", "time_feature", "time_crop_feature", "crop_time_feature", "segments"]

# Settings that decide no result, by reason:
location = partial(setting, decides=False)  # where the inputs are: the records' fingerprint covers their content
speed = partial(setting, decides=False)  # how the work is split: the same records in the same order


@dataclass(frozen=True)
class DataConfig:
    """The videos, and how they are sampled and cut into snippets."""

    dataset: Dataset = setting("folder", "Kind of dataset; `vad datasets` describes them")
    root: str = location("videos", "Folder with labels.csv or the unpacked archives; synthetic videos go there")
    annotations: str = location("", "Folder of the lists and labels of a known dataset; empty: as root")
    allow_missing: bool = location(False, "Continue when listed videos are missing; the summary names them")
    frames_per_sec: NonNegativeFloat = setting(0.0, "Sampling rate; 0: every frame", "frames/s")
    clip_frames: PositiveInt = setting(8, "Length K of a snippet, the frames that the extractor sees at once", "frames")
    image_size_px: PositiveInt = setting(224, "Side of the square that frames are resized to; mc3_18 alone: 112", "px")
    crop: bool = setting(False, "Cut the centre, as published for mc3_18; false: events at the rim stay in the picture")
    jpeg_quality: Annotated[int, between(1, 100)] = setting(90, "JPEG quality of the frames in the records")
    videos_per_shard: PositiveInt = speed(4, "Videos per record file", "videos")
    workers: NonNegativeInt = speed(0, "Decoding processes; 0: one per core")
    default_subset: Literal["train", "test"] = setting("train", "Subset of videos whose list names none")
    stall_timeout_sec: NonNegativeFloat = speed(120.0, "A file that decodes no frame for so long is skipped", "s")


@dataclass(frozen=True)
class SyntheticConfig:
    """Generated surveillance videos (`data.dataset = "synthetic"`)."""

    train_videos: NonNegativeInt = setting(24, "Training videos; half of them are abnormal", "videos")
    test_videos: NonNegativeInt = setting(12, "Test videos; half of them are abnormal", "videos")
    duration_sec: NonNegativeFloat = setting(12.0, "Length of a video", "s")
    frames_per_sec: NonNegativeFloat = setting(10.0, "Frame rate of the videos", "frames/s")
    width_px: Annotated[int, at_least(16)] = setting(160, "Width of the videos", "px")
    height_px: Annotated[int, at_least(16)] = setting(120, "Height of the videos", "px")
    people_size: NonNegativeFloat = setting(1.0, "Size of the people as a factor; a camera close by has a large one")
    seed: Seed = setting(0, "Seed of the generated videos")


@dataclass(frozen=True)
class FeaturesConfig:
    """Features extracted elsewhere, used in place of videos."""

    # Unlike data.root it decides: other features of the same videos make another system.
    root: str = setting("", "Folder of feature files, or one .npz; empty: nodes are extracted from the videos")
    prior_root: str = setting("", "Folder of prior files, or one .npz: a number per row, or per row and patch")
    layout: Layout = setting("auto", "Meaning of the axes of a feature file")
    frames_per_feature: PositiveInt = setting(16, "Original frames per row of features", "frames")
    suffix: str = setting("", "Filename suffix after the video name; empty: none, _i3d or _C")
    video_fps: Annotated[float, at_least(1)] = setting(30.0, "Frame rate of videos that name none", "frames/s")
