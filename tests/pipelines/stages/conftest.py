"""A tiny prepared dataset for the stages that read clips."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import load_config
from pipelines.data.examples import serialize_clip
from pipelines.data.listing.manifest import VideoInfo, shard_name, write_manifest

FRAMES = {
    "train/n0": 7,
    "train/a0": 8,
    "train/n1": 3,
    "train/a1": 9,
    "train/n2": 6,
    "train/a2": 5,
    "test/n3": 4,
    "test/a3": 6,
}
CLIP_FRAMES, SIZE_PX, STRIDE, VIDEOS_PER_SHARD = 4, 32, 16, 3


def video_info(video_id, num_sampled):
    subset, name = video_id.split("/")
    return VideoInfo(
        video_id=video_id,
        path=f"{video_id}.mp4",
        subset=subset,
        label=int(name.startswith("a")),
        class_name="",
        fps=30.0,
        num_frames=num_sampled * STRIDE,
        width=SIZE_PX,
        height=SIZE_PX,
        num_sampled=num_sampled,
        frame_labels=None,
    )


def write_clips(folder, fingerprint="first"):
    """Noise of low contrast for normal videos, of high contrast for abnormal ones; returns the manifest's videos."""
    folder.mkdir(parents=True)
    videos = [video_info(video_id, count) for video_id, count in FRAMES.items()]
    groups = [videos[first : first + VIDEOS_PER_SHARD] for first in range(0, len(videos), VIDEOS_PER_SHARD)]
    rng = np.random.default_rng(0)
    for shard, group in enumerate(groups):
        with tf.io.TFRecordWriter(str(folder / shard_name("clips", shard, len(groups)))) as writer:
            for video in group:
                contrast = 255 if video.label else 40
                frames = rng.integers(0, contrast, (video.num_sampled, SIZE_PX, SIZE_PX, 3)).astype("uint8")
                jpegs = [tf.io.encode_jpeg(frame).numpy() for frame in frames]
                for snippet in range(0, len(jpegs), CLIP_FRAMES):
                    indices = [STRIDE * i for i in range(snippet, min(snippet + CLIP_FRAMES, len(jpegs)))]
                    times = [index / 30 for index in indices]
                    part = jpegs[snippet : snippet + CLIP_FRAMES]
                    number = snippet // CLIP_FRAMES
                    writer.write(serialize_clip(part, indices, times, video.video_id, number, video.label, 30.0))
    write_manifest(folder, videos, fingerprint=fingerprint)
    return videos


def tiny_config(folder, *overrides):
    """`Config` of a run in `folder`, small enough for a test."""
    settings = [
        f"work_dir={folder}",
        f"data.clip_frames={CLIP_FRAMES}",
        f"data.image_size_px={SIZE_PX}",
        f"data.videos_per_shard={VIDEOS_PER_SHARD}",
        "extractor.backbone=small",
        "extractor.weights=none",
        "extractor.gate_dim=4",
        "extractor.relation_units=8",
        "extractor.dropout=0.2",
        "train_extractor.epochs=3",
        "train_extractor.batch_size=4",
        "train_extractor.snippets_per_video=2",
        "train_extractor.learning_rate=0.01",
        "train_extractor.warmup_epochs=2",
        "train_extractor.validation_fraction=0.3",
    ]
    return load_config(overrides=[*settings, *overrides])


@pytest.fixture
def prepared(tmp_path):
    """Function that returns the `Config` of a run in `tmp_path` with 8 prepared videos; it takes overrides."""
    write_clips(tmp_path / "clips")
    return functools.partial(tiny_config, tmp_path)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """`Config` of a run whose extractor was trained on a frozen backbone; to be read, not changed."""
    from pipelines.stages import train_extractor

    folder = tmp_path_factory.mktemp("trained")
    write_clips(folder / "clips")
    config = tiny_config(folder, "extractor.train_backbone=false")
    train_extractor.run(config)
    return config


# subset, label and sampled frames of the videos of a run that begins with nodes
NODE_VIDEOS = {f"train/a{number}": ("train", 1, 8 + 5 * number) for number in range(5)}
NODE_VIDEOS |= {f"train/n{number}": ("train", 0, 5 + 7 * number) for number in range(5)}
NODE_VIDEOS |= {"test/a5": ("test", 1, 21), "test/n5": ("test", 0, 12), "test/a6": ("test", 1, 13)}
NODE_VIDEOS |= {"test/n6": ("test", 0, 30), "train/unknown": ("train", None, 9)}


def node_config(folder, *overrides):
    """`Config` of a run that begins with nodes, small enough for a test."""
    settings = [
        f"work_dir={folder}",
        "extractor.scales=[1, 2]",
        "detector.key_dim=4",
        "detector.value_dim=6",
        "detector.temporal_localities=[1, 3]",
        "detector.max_iterations=2",
        "detector.hidden_units=4",
        "train_detector.epochs=4",
        "train_detector.batch_size=4",
        "train_detector.bag_frames=8",
        "train_detector.learning_rate=0.01",
        "train_detector.margin=20.0",  # so that the contrast of so few channels is not 0
        "train_detector.validation_fraction=0.4",
        "evaluate.images=false",
    ]
    return load_config(overrides=[*settings, *overrides])


@pytest.fixture
def with_nodes(tmp_path, write_nodes):
    """Function that returns the `Config` of a run in `tmp_path` with nodes of 15 videos; it takes overrides."""
    write_nodes(tmp_path / "nodes", NODE_VIDEOS)
    return functools.partial(node_config, tmp_path)


@pytest.fixture(scope="session")
def detector_run(tmp_path_factory, write_nodes):
    """`Config` of a run whose detector was trained, with images of the last epoch; to be read, not changed."""
    from pipelines.stages import train_detector

    folder = tmp_path_factory.mktemp("detector")
    write_nodes(folder / "nodes", NODE_VIDEOS)
    config = node_config(folder, "evaluate.images=true")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_detector, "IMAGES_PER_TRAINING", 1)
        train_detector.run(config)
    return config


@pytest.fixture(scope="session")
def sultani_run(tmp_path_factory, write_nodes):
    """The same with Sultani's network on segment means."""
    from pipelines.stages import train_detector

    folder = tmp_path_factory.mktemp("sultani")
    write_nodes(folder / "nodes", NODE_VIDEOS)
    options = ("model=sultani", "sampling=segment_mean", "optimizer=adagrad", "bag_frames=6", "epochs=2")
    options += ('model_options=["segments=6"]',)
    config = node_config(folder, *(f"train_detector.{option}" for option in options))
    train_detector.run(config)
    return config
