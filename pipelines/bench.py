"""Measure the speed and peak memory of each part, each in a process of its own (``vad bench``)."""

import contextlib
import dataclasses
import io
import math
import platform
import shutil
import statistics
import time
from pathlib import Path
from typing import get_args

import numpy as np

from pipelines.config.sections_results import BenchPart
from pipelines.data.datasets import load_dataset
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import write_summary
from pipelines.report.terminal.tables import markdown_table, print_table
from pipelines.run.files import write_text
from pipelines.run.folder import RunFolder
from pipelines.run.workers import in_own_process, load_tensorflow_quietly, peak_memory_bytes, usable_cores

COLUMNS = {"part": "part", "work": "measured on", "result": "result", "memory": "peak memory (MB)"}
PARTS = get_args(BenchPart)
BATCH_FRAMES = 64  # in a batch of the extraction: 8 snippets of 8 frames


def run(config) -> Path:
    """Measure decoding, preparing, extraction, a training step and scoring; write ``bench.md`` into the run's folder.

    Each measurement is the median of ``bench.repeats`` runs on synthetic videos. The peak memory is that of the main
    process of a part, without the decoding processes of ``prepare``.

    Args:
        config: The run's ``Config``, such as ``pipelines/configs/bench.toml``.

    Returns:
        Path of ``bench.md``.
    """
    start = time.monotonic()
    load_dataset(config, lambda loop: track(loop, "Generating videos"))
    chosen = config.bench.parts or PARTS
    parts = [part for name in PARTS if name in chosen for part in _measurements(name, config)]
    if "extract" in chosen and "prepare" not in chosen:
        in_own_process(_measured, make_clips, config, tensorflow=False)
    if "score" in chosen:
        in_own_process(_measured, export_untrained, config, tensorflow=False)
    rows = [
        in_own_process(_measured, function, config, *more, tensorflow=False)
        for function, *more in track(parts, "Measuring", unit="parts")
    ]
    print_table(rows, COLUMNS, title=machine())
    output = write_text(RunFolder.of(config).bench, f"{machine()}\n\n{markdown_table(rows, COLUMNS)}\n")
    write_summary(config, "bench", f"{len(rows)} parts", output=output, seconds=time.monotonic() - start)
    return output


def _measurements(part, config):
    """Return the functions that measure a part, each with its arguments after the configuration."""
    if part == "extract":
        return [(measure_extract, backbone) for backbone in config.bench.backbones]
    functions = {"decode": measure_decode, "prepare": measure_prepare}
    functions |= {"train_detector": measure_training_step, "score": measure_score}
    return [(functions[part],)]


def machine():
    """Return processor, cores, system and Python version in one line."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    cores = usable_cores()
    return f"{name}, {cores} core{'s' * (cores > 1)}, {platform.system()}, Python {platform.python_version()}"


def _measured(function, *arguments):
    """Return the row of a measurement with the peak memory of this process under ``memory``."""
    with contextlib.redirect_stdout(io.StringIO()):  # hides the summaries of the stages
        row = function(*arguments)
    return {**row, "memory": round(peak_memory_bytes() / 1e6)} if row else None


def measure_decode(config):
    """Measure reading every frame of one video."""
    from pipelines.data.video import VideoReader

    def decode():
        reader = VideoReader(_video(config).path, 0.0, config.data.image_size_px)
        return sum(1 for _ in reader)

    frames = decode()
    rate = frames / _median_seconds(decode, config.bench.repeats)
    options = config.synthetic
    size = f"{options.width_px}×{options.height_px}, H.264, to {config.data.image_size_px}×{config.data.image_size_px}"
    return {"part": "decode", "work": f"{frames:,} frames, {size}, one process", "result": f"{rate:,.0f} frames/s"}


def measure_prepare(config):
    """Measure the stage ``prepare``, from videos to shards of JPEG snippets."""
    load_tensorflow_quietly()
    from pipelines.data.listing.manifest import read_manifest
    from pipelines.stages import prepare

    def from_nothing():
        shutil.rmtree(RunFolder.of(config).clips, ignore_errors=True)
        prepare.run(config)

    seconds = _median_seconds(from_nothing, config.bench.repeats)
    videos = read_manifest(RunFolder.of(config).clips).videos
    frames = sum(video.num_sampled for video in videos)
    work = f"{len(videos)} videos, {frames:,} frames, to JPEG records"
    return {"part": "prepare", "work": work, "result": f"{frames / seconds:,.0f} frames/s"}


def make_clips(config):
    """Prepare the clips that the extraction reads, if they are not there."""
    load_tensorflow_quietly()
    from pipelines.stages import prepare

    prepare.run(config)


def measure_extract(config, backbone):
    """Measure clips to nodes, and the backbone alone on frames in memory.

    The windows of a video network overlap, so that it computes some frames twice: the row says what this allows.
    """
    load_tensorflow_quietly()
    import tensorflow as tf

    from pipelines.data.listing.manifest import read_manifest
    from pipelines.data.window_maps import WINDOW_FRAMES, plan_maps
    from pipelines.stages import extract, train_extractor

    config = dataclasses.replace(config, extractor=dataclasses.replace(config.extractor, backbone=backbone))
    extractor = train_extractor.build_extractor(config)
    bare = tf.function(lambda images: extractor.backbone(images, training=False))
    shape, num_frames = [BATCH_FRAMES], BATCH_FRAMES
    if extractor.temporal_reach:  # two windows, which overlap
        shape, num_frames = [1, WINDOW_FRAMES], 2 * (WINDOW_FRAMES - extractor.temporal_reach)
    images = tf.random.uniform([*shape, extractor.image_size, extractor.image_size, 3], -1, 1)
    bare(images)
    video = read_manifest(RunFolder.of(config).clips).videos[0]
    num_frames = min(num_frames, video.num_sampled)
    video = dataclasses.replace(video, num_sampled=num_frames)
    batches, whole, alone = config.bench.repeats * config.bench.batches, [], []
    nodes = extract.extract_nodes(config, extractor, [video] * (1 + batches))
    next(nodes)  # traces the graph
    for _ in range(batches):  # batch by batch, so that both run under the same load
        whole.append(_seconds(lambda: next(nodes)))
        alone.append(_seconds(lambda: bare(images).numpy()))
    frames = batches * num_frames
    rate, bare_rate = num_frames / statistics.median(whole), math.prod(shape) / statistics.median(alone)
    result = f"{rate:,.1f} frames/s, {rate / bare_rate:.2f} of the backbone alone ({bare_rate:,.1f})"
    if extractor.temporal_reach:
        windows = plan_maps(extractor, num_frames, config.data.clip_frames)
        computed = sum(window.stop - window.start for window in windows)
        result += f", at most {num_frames / computed:.2f} by the overlap of windows"
    return {"part": f"extract, {backbone}", "work": f"{frames:,} frames, JPEG records to nodes", "result": result}


def measure_training_step(config):
    """Measure one training step of the detector on a batch in memory."""
    load_tensorflow_quietly()
    from pipelines.stages import train_detector
    from vad_keras import spec

    options, patches = config.train_detector, sum(scale**2 for scale in config.extractor.scales)
    shape = (options.batch_size, options.bag_frames, patches, config.bench.feature_dim)
    inputs = {
        spec.NODES: np.random.default_rng(0).random(shape, np.float32),
        spec.MASK: np.ones(shape[:2], bool),
    }
    labels = np.arange(options.batch_size, dtype=np.float32) % 2
    detector = train_detector.build_detector(config)

    def step():
        detector.train_on_batch(inputs, labels)

    step()
    half, work = options.batch_size // 2, "T={1}, G={2}, C={3}".format(*shape)
    result = f"{_median_seconds(step, config.bench.repeats):.3f} s per step"
    return {"part": "train the detector", "work": f"{half} + {half} videos, {work}", "result": result}


def export_untrained(config):
    """Export a SavedModel of the first backbone and a detector, both untrained: training does not change the speed."""
    load_tensorflow_quietly()
    from pipelines.stages import export, train_detector, train_extractor

    options = dataclasses.replace(config.extractor, backbone=config.bench.backbones[0])
    extractor = train_extractor.build_extractor(dataclasses.replace(config, extractor=options))
    detector = train_detector.build_detector(config)
    patches, channels = sum(scale**2 for scale in options.scales), sum(extractor.channel_groups)
    detector.build({"nodes": (None, None, patches, channels)})
    for model, name in ((extractor, "extractor"), (detector, "detector")):
        model.save(getattr(RunFolder.of(config), name))
    shutil.rmtree(Path(config.export.root) / config.export.name, ignore_errors=True)
    export.run(config)


def measure_score(config):
    """Measure the stage ``score`` on one video, with loading the model and plotting."""
    load_tensorflow_quietly()
    from pipelines.stages import score

    video, options = _video(config), config.synthetic
    asked = dataclasses.replace(config.score, inputs=(str(video.path),), force=True)
    asked = dataclasses.replace(config, score=asked)
    seconds = _median_seconds(lambda: score.run(asked), config.bench.repeats)
    work = f"{round(options.duration_sec * options.frames_per_sec):,} frames, {config.bench.backbones[0]}, every frame"
    result = f"{seconds:.1f} s, {options.duration_sec / seconds:.1f} × real time at {options.frames_per_sec:g} frames/s"
    return {"part": "score", "work": work, "result": result}


def _video(config):
    return load_dataset(config)[0]


def _median_seconds(function, repeats):
    return statistics.median(_seconds(function) for _ in range(repeats))


def _seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
