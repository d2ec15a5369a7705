"""Prepare: labelled videos -> shards of snippets (``clips/clips-*.tfrecord``) and a manifest (``clips/videos.json``).

A shard holds ``data.videos_per_shard`` videos in the order of the list. A second run keeps every shard that still fits.
"""

import functools
import shutil
import time
from pathlib import Path

import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.datasets import load_dataset, synthetic
from pipelines.data.decode_pool import DecodePool
from pipelines.data.encode import Failed
from pipelines.data.inspection import Inspected, inspect_video
from pipelines.data.listing.files import size_bytes, stamp
from pipelines.data.listing.manifest import MANIFEST_NAME, VideoInfo
from pipelines.data.shards import describe_warnings, plan_shards, reuse_finished, write_manifest_of
from pipelines.data.splits import training_problem
from pipelines.report.terminal.progress import print_line, track
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.disk import check_space
from pipelines.run.files import fingerprint, quick_hash, replacing
from pipelines.run.folder import RunFolder

RECORDS_VERSION = 1  # part of every fingerprint: raise it when the records change in meaning
PARTS = ".parts"
SIZED_VIDEOS = 16  # that are opened for the estimate of the space
RECORD_BYTES, FRAME_BYTES = 200, 20  # beside the JPEGs


def run(config):
    """Decode the dataset into the folder ``clips`` of the run and return that folder.

    Raises:
        UserError: The dataset cannot be loaded, or none of its videos can be decoded.
        MachineError: The records do not fit on the disk.
    """
    start = time.monotonic()
    videos = load_dataset(config, lambda loop: track(loop, "Generating videos"))
    problem = training_problem(videos, config)
    if problem:
        print_line(f"warning: {problem}")
    folder = RunFolder.of(config).clips
    shards = _shards(config, videos)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    reuse = reuse_finished(folder, "clips", shards)
    if reuse.todo:
        _check_space(config, folder, [video for shard in reuse.todo for video in shard.videos])
        num_videos = sum(len(shard.videos) for shard in reuse.todo)
        try:
            for _ in track(_write_shards(config, reuse.todo), "Preparing clips", num_videos):
                pass
        finally:  # they may be what fills the disk
            shutil.rmtree(folder / PARTS, ignore_errors=True)
    return _finish(config, folder, shards, reuse, time.monotonic() - start)


def plan(config):
    """Return what ``run`` would do, in words; ``""`` if the records are up to date.

    Raises:
        UserError: The dataset cannot be loaded.
    """
    folder = RunFolder.of(config).clips
    if config.data.dataset == "synthetic":  # `load_dataset` would generate them
        videos = synthetic.planned(Path(config.data.root), config.synthetic)
        missing = sum(not video.path.exists() for video in videos)
        if missing:
            return f"generate {counted(missing, 'video')} in {config.data.root} and decode them into {folder}"
    else:
        videos = load_dataset(config)
    todo = [shard for shard in _shards(config, videos) if shard.note() is None]
    number = sum(len(shard.videos) for shard in todo)
    return f"decode {number:,} of {counted(len(videos), 'video')} into {folder}" if todo else ""


def _shards(config, videos):
    folder, size = RunFolder.of(config).clips, config.data.videos_per_shard
    return plan_shards(folder, "clips", videos, size, lambda group: _fingerprint(config, group))


def _check_space(config, folder, videos):
    """Estimate the size of the records from the headers and first frames of some videos, and print it."""
    sizes = [size_bytes(video.path) for video in videos]
    chosen = sorted({round(i * (len(videos) - 1) / (SIZED_VIDEOS - 1)) for i in range(SIZED_VIDEOS)})
    pool = DecodePool(config.data, functools.partial(inspect_video, whole=False))
    read = written = 0
    for job, result in pool.run([videos[position] for position in chosen]):
        if isinstance(result, Inspected):
            snippets = -(-result.num_sampled // config.data.clip_frames)
            read += sizes[chosen[job]]
            written += result.num_sampled * (result.jpeg_bytes + FRAME_BYTES) + snippets * RECORD_BYTES
    if read:
        remedy = "lower `data.frames_per_sec`, `data.image_size_px` or `data.jpeg_quality`."
        print_line(check_space(folder, written * sum(sizes) / read, "clips/", remedy))


def _fingerprint(config, videos):
    """Hash everything that decides the content of a shard: settings, files (size, time, head and tail) and labels."""
    data = config.data
    facts: list = [[RECORDS_VERSION, data.frames_per_sec, data.clip_frames, data.image_size_px, data.jpeg_quality]]
    if data.crop:
        facts[0].append("crop")
    for video in videos:
        known = [video.video_id, str(video.path), *_stamp(video.path)]
        known += [video.subset, video.label, video.class_name, video.intervals]
        known += [fact for fact in (video.fps, video.missing) if fact]
        facts += [known, b"none" if video.frame_labels is None else video.frame_labels.tobytes()]
    return fingerprint(*facts)


def _stamp(path):
    """Return what changes with a video; an empty list when it cannot be read, which skips it later."""
    try:
        return [*stamp(path), quick_hash(path)]
    except OSError:
        return []


def _write_shards(config, shards):
    """Write the shards; yield once per video that is finished or skipped.

    The records of a video go to a file of its own until all videos of its shard are done.
    """
    parts = shards[0].path.parent / PARTS
    (parts.parent / MANIFEST_NAME).unlink(missing_ok=True)  # the manifest stands for complete records
    parts.mkdir()
    jobs = [(shard, video) for shard in shards for video in shard.videos]
    paths = [parts / f"{job:06d}" for job in range(len(jobs))]
    members = {}  # shard -> its jobs
    for job, (shard, _) in enumerate(jobs):
        members.setdefault(shard, []).append(job)
    writers, outcomes = {}, {}
    for job, result in DecodePool(config.data).run([video for _, video in jobs]):
        if job not in writers:
            writers[job] = tf.io.TFRecordWriter(str(paths[job]))
        if isinstance(result, bytes):
            writers[job].write(result)
            continue
        writers.pop(job).close()
        outcomes[job] = result
        shard = jobs[job][0]
        if all(member in outcomes for member in members[shard]):
            _assemble(shard, [(paths[member], outcomes.pop(member)) for member in members[shard]])
        yield


def _assemble(shard, parts):
    """Join the parts (a TFRecord file is a plain sequence of records) and write the note."""
    with replacing(shard.path) as temporary, open(temporary, "wb") as target:
        for path, outcome in parts:
            if isinstance(outcome, VideoInfo):
                with open(path, "rb") as source:
                    shutil.copyfileobj(source, target)
            path.unlink()
    infos = [outcome for _, outcome in parts if isinstance(outcome, VideoInfo)]
    outcomes = zip(shard.videos, (outcome for _, outcome in parts), strict=True)
    failures = [(video, outcome) for video, outcome in outcomes if isinstance(outcome, Failed)]
    retry = any(failed.transient for _, failed in failures)
    shard.write_note(infos, [(video.path, failed.reason) for video, failed in failures], retry)


def _finish(config, folder, shards, reuse, seconds):
    """Write the manifest and the summary, and return the folder; remove it if no video can be used."""
    try:
        held = write_manifest_of(folder, shards)
    except UserError:
        shutil.rmtree(folder)
        raise
    num_snippets = sum(-(-video.num_sampled // config.data.clip_frames) for video in held.videos)
    done = f"{counted(len(held.videos), 'video')}, {counted(num_snippets, 'snippet')}, {held.bytes / 1e6:,.1f} MB"
    done += f"{reuse}{describe_warnings(held.videos)}"
    write_summary(config, "prepare", done=done, skipped=held.skipped, output=folder, seconds=seconds)
    return folder
