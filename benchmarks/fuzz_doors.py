"""The doors that ``benchmarks.fuzz`` feeds: each takes bytes, and returns whether the command would use them.

A door raises what a command would not catch, and ``AssertionError`` for a value that cannot be true.
"""

import io
import json
import math
import tempfile
from pathlib import Path

import numpy as np

import pipelines.data.datasets.folder  # noqa: F401 - imported now, so that its coverage is seen
from pipelines.config import UserError, config_to_dict, load_config
from pipelines.config.toml import to_toml
from pipelines.data.datasets import load_dataset
from pipelines.data.features.files import FeatureError, FeatureFolder
from pipelines.data.features.layouts import choose_layout, row_frames
from pipelines.data.listing.manifest import MANIFEST_NAME, read_manifest
from pipelines.data.splits import training_problem
from pipelines.run.workers import peak_memory_bytes

NUM_FRAMES = 50
LABELS = b"""file,label,subset,class,num_frames
a.mp4,0,train,,50
b/c.mp4,abnormal,test,fight,50
"d, e.mkv",normal,,,
"""
INTERVALS = b"file,start_frame,end_frame\nb/c.mp4,3,9\nb/c.mp4,20,50\n"
MANIFEST_ENTRY = {"video_id": "a", "path": "a.mp4", "subset": "train", "label": 0, "class_name": "", "fps": 8.0}
MANIFEST_ENTRY |= {"num_frames": 9, "width": 8, "height": 8, "num_sampled": 3, "frame_labels": [[1, 3]], "warning": ""}


def labels(scratch):
    """``labels.csv`` of a folder of videos."""
    return _listed(scratch, "labels.csv", {})


def intervals(scratch):
    """``intervals.csv`` beside a ``labels.csv``."""
    return _listed(scratch, "intervals.csv", {"labels.csv": LABELS})


def frame_labels(scratch):
    """``frame_labels.npz`` beside a ``labels.csv``."""
    return _listed(scratch, "frame_labels.npz", {"labels.csv": LABELS})


def _listed(scratch, name, others):
    for other, content in others.items():
        (scratch / other).write_bytes(content)
    configs = [load_config(overrides=[f"data.root={scratch}", *more]) for more in ([], ["features.root=features"])]

    def door(content):
        (scratch / name).write_bytes(content)
        used = False
        for config in configs:
            try:
                videos = load_dataset(config)
                training_problem(videos, config)
            except UserError:
                continue
            used = True
            for video in videos:
                _check_video(video)
        return used

    return door


def _check_video(video):
    assert video.label in (0, 1) and video.subset in ("train", "test"), video
    assert video.video_id and isinstance(video.num_frames, int | None) and (video.num_frames or 1) > 0, video
    json.dumps([video.video_id, str(video.path), video.where, video.missing])
    try:
        found, _ = video.frame_intervals(NUM_FRAMES)
    except ValueError:  # as `encode_video` and `import_features` expect
        return
    for start, end in found or ():
        assert 0 <= start < end <= NUM_FRAMES, (video.video_id, start, end)


def toml(scratch):
    """A configuration file."""
    path, again = scratch / "c.toml", scratch / "again.toml"

    def door(content):
        path.write_bytes(content)
        try:
            config = load_config(path)
        except UserError:
            return False
        json.dumps(config_to_dict(config), allow_nan=False)
        again.write_text(to_toml(config), encoding="utf-8")
        assert load_config(again) == config, "does not survive being written"
        return True

    return door


def features(scratch):
    """A feature file; the first byte chooses its kind."""
    paths = [scratch / f"a{suffix}" for suffix in (".npy", ".npz", ".txt")]

    def door(content):
        for path in paths:
            path.unlink(missing_ok=True)
        paths[content[0] % 3 if content else 0].write_bytes(content[1:])
        try:
            found = FeatureFolder(scratch).find("a")
            layout = choose_layout({found.arrays[0]: found.shapes})
            nodes = found.read(layout)
            frames, num_frames, _ = row_frames(len(nodes), layout, None, 16)
        except (UserError, FeatureError):
            return False
        assert nodes.ndim == 3 and nodes.dtype == np.float16 and np.isfinite(nodes).all(), (nodes.shape, nodes.dtype)
        assert 0 < len(frames) <= len(nodes) and frames[-1] < num_frames and (np.diff(frames) > 0).all(), frames
        return True

    return door


def manifest(scratch):
    """``videos.json`` of a folder of records."""

    def door(content):
        (scratch / MANIFEST_NAME).write_bytes(content)
        try:
            found = read_manifest(scratch)
        except UserError:
            return False
        for video in found.videos:
            assert video.num_frames >= 0, video
            video.frame_label_array()
        return True

    return door


def records(scratch):
    """A shard: the first byte chooses clips or nodes, and whether the checksums are made right again."""
    import tensorflow as tf

    from pipelines.data.bags import read_bags
    from pipelines.data.clips import Clips
    from pipelines.data.listing.manifest import VideoInfo, shard_name, write_manifest

    video = VideoInfo(**MANIFEST_ENTRY | {"frame_labels": ((1, 3),)})
    folders = {prefix: scratch / prefix for prefix in ("clips", "nodes")}
    for folder in folders.values():
        folder.mkdir()
        write_manifest(folder, [video])
    shards = {prefix: folder / shard_name(prefix, 0, 1) for prefix, folder in folders.items()}

    def door(content):
        prefix = ("clips", "nodes")[content[0] & 1] if content else "clips"
        shards[prefix].unlink(missing_ok=True)
        if content and content[0] & 2:
            with tf.io.TFRecordWriter(str(shards[prefix])) as writer:
                writer.write(content[13:-4])  # between the header and the last checksum
        else:
            shards[prefix].write_bytes(content[1:])
        try:
            if prefix == "nodes":
                for bag in read_bags(folders["nodes"], [video]):
                    assert len(bag["nodes"].shape) == 3
            else:
                clips = Clips(folders["clips"], 4, 8)
                assert clips.read_frame(video, 1).shape == (8, 8, 3)
                for clip in clips.dataset(lambda: iter([("a", 0)])):
                    assert clip["frames"].shape == (4, 8, 8, 3)
        except UserError:
            return False
        return True

    return door


def video(scratch):
    """A video file, in another process as the commands read it: decoded, inspected, and its header read."""
    from pipelines.data.decode_pool import DecodeProcess
    from pipelines.data.encode import Failed

    path = scratch / "a.mp4"
    process = DecodeProcess(load_config(overrides=["data.stall_timeout_sec=8"]).data, look_at_video)

    def door(content):
        path.write_bytes(content)
        *_, last = process.results(path)
        if not isinstance(last, Failed):
            return True
        assert not last.reason.startswith("FINDING"), last.reason
        assert "the decoding process ended" not in last.reason and "no progress" not in last.reason, last.reason
        return False

    return door


def look_at_video(path, settings, on_frame):
    """Do what ``vad score``, ``vad datasets check`` and ``vad config init`` do with a file."""
    from pipelines.data.encode import Failed
    from pipelines.data.frame_reading import FrameRequest, read_frames
    from pipelines.data.inspection import inspect_video
    from pipelines.data.listing.dataset import ListedVideo
    from pipelines.data.video import probe

    try:
        facts, num_sampled = None, 0
        for result in read_frames(FrameRequest(path, 0.0, 32, False, 4), settings, on_frame):
            if isinstance(result, Failed):
                unclear = result.reason.partition(":")[0].endswith(("Error", "Exception"))
                yield Failed(f"{'FINDING ' if unclear else ''}{result.reason}")
                return
            num_sampled += int(result.mask.sum()) if hasattr(result, "mask") else 0
            facts = result
        times = facts.times_sec
        assert facts.num_frames == len(times) == num_sampled > 0, "number of frames"
        assert np.isfinite(times).all() and times[0] == 0 and (np.diff(times) > 0).all(), "times"
        assert math.isfinite(facts.fps) and facts.fps > 0 and facts.width > 0 and facts.height > 0, "facts"
        header = probe(path)
        assert header is None or (math.isfinite(header.duration_sec) and header.duration_sec >= 0), "duration"
        *_, found = inspect_video(ListedVideo("a", path, "train", 0), settings)
        unclear = getattr(found, "reason", "").partition(":")[0].endswith(("Error", "Exception"))
        assert not unclear, found
        peak_mb = peak_memory_bytes() >> 20
        assert peak_mb < 2048, f"memory of {peak_mb} MB"
        yield found if isinstance(found, Failed) else facts
    except Exception as error:
        yield Failed(f"FINDING {type(error).__name__}: {error}")


def seeds_of(door, videos=()):
    """Return inputs to start from."""
    return {
        "labels": [LABELS, LABELS.replace(b",", b";"), b"\xef\xbb\xbf" + LABELS.replace(b"\n", b"\r\n")],
        "intervals": [INTERVALS, INTERVALS.replace(b",", b";"), INTERVALS.replace(b"20,50", b"0,99999999")],
        "frame_labels": [_npz({"b/c": np.ones(NUM_FRAMES, "uint8")}), _npz({"c": np.ones(9, bool), "a": np.zeros(60)})],
        "toml": [path.read_bytes() for path in sorted(Path(__file__).parents[1].glob("pipelines/configs/*.toml"))],
        "features": _feature_seeds(),
        "manifest": [json.dumps({"videos": [MANIFEST_ENTRY], "skipped": [], "config": "x"}).encode()],
        "records": _record_seeds() if door == "records" else [],
        "video": [path.read_bytes() for path in _small_files(videos)],
    }[door]


def _npz(arrays, write=np.savez):
    buffer = io.BytesIO()
    write(buffer, **arrays)
    return buffer.getvalue()


def _feature_seeds():
    plain, crops = np.ones((3, 4), "float32"), np.ones((3, 10, 2), "float16")
    arrays = [io.BytesIO() for _ in range(2)]
    for buffer, array in zip(arrays, (plain, crops), strict=True):
        np.save(buffer, array)
    return [
        *(b"\0" + buffer.getvalue() for buffer in arrays),
        b"\1" + _npz({"a": plain}),
        b"\1" + _npz({"a__0": plain, "a__1": plain}, np.savez_compressed),
        b"\2" + b"\n".join(b"1.0 2.5e-3 -7" for _ in range(32)),
    ]


def _record_seeds():
    import tensorflow as tf

    from pipelines.data.encode import jpeg_bytes
    from pipelines.data.examples import serialize_bag, serialize_clip

    jpegs = [jpeg_bytes(np.full((8, 8, 3), level, "uint8"), 90) for level in (0, 90, 180)]
    clip = serialize_clip(jpegs, [0, 2, 4], [0.0, 0.2, 0.4], "a", 0, 1, 8.0)
    bag = serialize_bag(np.ones((3, 2, 2), "float16"), "a", 1, [0, 2, 4])
    found = []
    for kind, record in ((0, clip), (1, bag)):
        with tempfile.NamedTemporaryFile(suffix=".tfrecord") as file:
            with tf.io.TFRecordWriter(file.name) as writer:
                writer.write(record)
            content = Path(file.name).read_bytes()
        found += [bytes([kind]) + content, bytes([kind | 2]) + content]
    return found


def _small_files(paths, largest=60_000):
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [file for file in files if file.is_file() and 100 < file.stat().st_size < largest and file.suffix != ".csv"]
