"""Stage 1: labelled videos -> shards of snippets (`clips/clips-*.tfrecord`) and their manifest (`clips/videos.json`).

A shard holds `data.videos_per_shard` videos in the order of the list; a second run keeps every shard that still fits.
"""

import hashlib
import json
import os
import shutil
import time

import tensorflow as tf

from pipelines.data.datasets import load_dataset
from pipelines.data.decode_pool import DecodePool, DecodeSettings, Failed, Finished
from pipelines.data.listing.files import stamp
from pipelines.data.listing.manifest import MANIFEST_NAME, VideoInfo
from pipelines.data.records import serialize_clip
from pipelines.data.shards import describe_warnings, plan_shards, remove_outdated, write_manifest_of
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import write_summary

RECORDS_VERSION = 1  # part of every fingerprint: raise it when the records change in meaning
PARTS = ".parts"


def run(config):
    """Decode the dataset into `<work_dir>/clips` and return that folder.

    Raises:
        UserError: The dataset cannot be loaded, or none of its videos can be decoded.
    """
    start = time.monotonic()
    videos = load_dataset(config, lambda loop: track(loop, "Generating videos"))
    folder = config.work_path / "clips"
    shards = plan_shards(
        folder, "clips", videos, config.data.videos_per_shard, lambda group: _fingerprint(config, group)
    )
    finished = [shard for shard in shards if shard.note() is not None]
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    outdated = remove_outdated(folder, "clips", finished)
    if len(finished) < len(shards):
        todo = [shard for shard in shards if shard not in finished]
        for _ in track(_decode(config, todo), "Preparing clips", sum(len(shard.videos) for shard in todo)):
            pass
        shutil.rmtree(folder / PARTS, ignore_errors=True)
    return _finish(config, folder, shards, len(finished), outdated, time.monotonic() - start)


def _fingerprint(config, videos):
    """Hash of all that decides the content of a shard: settings, files (size and time of change) and labels."""
    data = config.data
    settings = [data.frames_per_sec, data.clip_frames, data.image_size_px, data.jpeg_quality]
    digest = hashlib.sha256(json.dumps([RECORDS_VERSION, *settings]).encode())
    for video in videos:
        facts = [video.video_id, str(video.path), *stamp(video.path)]
        facts += [video.subset, video.label, video.class_name, video.intervals]
        facts += [fact for fact in (video.fps, video.missing) if fact]
        digest.update(json.dumps(facts).encode())
        digest.update(b"none" if video.frame_labels is None else video.frame_labels.tobytes())
    return digest.hexdigest()[:16]


def _decode(config, shards):
    """Write the shards; yields once for each video that is finished or skipped."""
    (shards[0].path.parent / MANIFEST_NAME).unlink(missing_ok=True)  # the manifest stands for complete records
    parts = shards[0].path.parent / PARTS
    parts.mkdir()
    data = config.data
    settings = DecodeSettings(data.frames_per_sec, data.image_size_px, data.jpeg_quality)
    jobs = [(shard, video) for shard in shards for video in shard.videos]
    members = {}  # shard -> its jobs
    for job, (shard, _) in enumerate(jobs):
        members.setdefault(shard, []).append(job)
    open_parts, outcomes = {}, {}
    videos = [video for _, video in jobs]
    pool = DecodePool(settings, data.workers, data.stall_timeout_sec)
    for event in pool.run([video.path for video in videos], [video.fps for video in videos]):
        shard, video = jobs[event.job]
        if event.job not in open_parts:
            open_parts[event.job] = _Part(parts / f"{event.job:06d}", video, data.clip_frames)
        if not isinstance(event, (Finished, Failed)):
            open_parts[event.job].add(event)
            continue
        outcomes[event.job] = open_parts.pop(event.job).close(event)
        if all(job in outcomes for job in members[shard]):
            _assemble(shard, [(parts / f"{job:06d}", outcomes.pop(job)) for job in members[shard]])
        yield


class _Part:
    """The records of one video, until its shard is complete."""

    def __init__(self, path, video, clip_frames):
        self.path, self.video, self.clip_frames = path, video, clip_frames
        self.writer, self.frames, self.num_snippets = tf.io.TFRecordWriter(str(path)), [], 0

    def add(self, frame):
        self.frames.append(frame)
        if len(self.frames) == self.clip_frames:
            self._write()

    def _write(self):
        clip = serialize_clip(
            [frame.jpeg for frame in self.frames],
            [frame.frame_index for frame in self.frames],
            [frame.time_sec for frame in self.frames],
            self.video.video_id,
            self.num_snippets,
            self.video.label,
            self.frames[0].fps,
        )
        self.writer.write(clip)
        self.frames, self.num_snippets = [], self.num_snippets + 1

    def close(self, event):
        """The `VideoInfo` of a finished video, or the `Failed` event; a failed video leaves no record."""
        if self.frames and isinstance(event, Finished):
            self._write()
        self.writer.close()
        result = event if isinstance(event, Failed) else _video_info(self.video, event)
        if self.video.missing:
            result = Failed(event.job, self.video.missing)
        if isinstance(result, Failed):
            self.path.write_bytes(b"")
        return result


def _video_info(video, event):
    try:
        intervals, cut = video.frame_intervals(event.num_frames)
    except ValueError as error:
        return Failed(event.job, str(error))
    return VideoInfo(
        video_id=video.video_id,
        path=str(video.path),
        subset=video.subset,
        label=video.label,
        class_name=video.class_name,
        fps=event.fps,
        num_frames=event.num_frames,
        width=event.width,
        height=event.height,
        num_sampled=event.num_sampled,
        frame_labels=intervals,
        warning="; ".join(text for text in (event.warning, cut) if text),
    )


def _assemble(shard, parts):
    """Join the parts (a TFRecord file is a plain sequence of records) and write the note."""
    temporary = shard.path.with_name(f".{shard.path.name}.tmp")
    with open(temporary, "wb") as target:
        for path, _ in parts:
            with open(path, "rb") as source:
                shutil.copyfileobj(source, target)
            path.unlink()
    os.replace(temporary, shard.path)
    infos = [outcome for _, outcome in parts if isinstance(outcome, VideoInfo)]
    outcomes = zip(shard.videos, (outcome for _, outcome in parts), strict=True)
    failures = [(video, outcome) for video, outcome in outcomes if isinstance(outcome, Failed)]
    retry = any(failed.transient for _, failed in failures)
    shard.write_note(infos, [(video.path, failed.reason) for video, failed in failures], retry)


def _finish(config, folder, shards, num_kept, outdated, seconds):
    held = write_manifest_of(folder, shards)
    num_snippets = sum(-(-video.num_sampled // config.data.clip_frames) for video in held.videos)
    done = f"{len(held.videos):,} videos, {num_snippets:,} snippets, {held.bytes / 1e6:,.1f} MB"
    if num_kept:
        done += f"; {num_kept} of {len(shards)} shards were finished before"
    if outdated:
        done += f"; {outdated} shards of changed settings, files or labels were done anew"
    done += describe_warnings(held.videos)
    write_summary(config, "prepare", done=done, skipped=held.skipped, output=folder, seconds=seconds)
    return folder
