import dataclasses
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError, load_config
from pipelines.data.datasets import load_dataset
from pipelines.data.listing.manifest import read_manifest, shard_paths
from pipelines.data.records import parse_clip
from pipelines.data.video import VideoReader
from pipelines.run.failures import MachineError
from pipelines.run.folder import RunFolder
from pipelines.stages import prepare

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = ("data.clip_frames=4", "data.image_size_px=48", "data.videos_per_shard=2", "data.jpeg_quality=95")


def settings(work, root, *overrides):
    return load_config(overrides=[f"work_dir={work}", f"data.root={root}", *SMALL, *overrides])


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """Six short videos with labels and intervals."""
    root = tmp_path_factory.mktemp("generated") / "videos"
    overrides = ["data.dataset=synthetic", "synthetic.train_videos=4", "synthetic.test_videos=2"]
    load_dataset(settings("unused", root, *overrides, "synthetic.duration_sec=2.5", "synthetic.width_px=96"))
    return root


@pytest.fixture
def videos(generated, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(generated, tmp_path / "videos")
    return tmp_path / "videos"


@pytest.fixture(scope="session")
def prepared(generated, tmp_path_factory):
    config = settings(tmp_path_factory.mktemp("prepared"), generated)
    return config, prepare.run(config)


def clips_of(config, folder):
    dataset = tf.data.TFRecordDataset([str(path) for path in shard_paths(folder, "clips")])
    data = config.data
    return list(
        dataset.map(lambda record: parse_clip(record, data.clip_frames, data.image_size_px)).as_numpy_iterator()
    )


def summary(config):
    return json.loads((RunFolder.of(config).summaries / "prepare.json").read_text())


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tfrecord"))}


def test_records_hold_the_snippets_of_every_video_in_order(prepared):
    config, folder = prepared
    manifest = read_manifest(folder)
    videos = load_dataset(config)
    assert [info.video_id for info in manifest.videos] == [video.video_id for video in videos]
    clips = clips_of(config, folder)
    expected = [(info.video_id, index) for info in manifest.videos for index in range(-(-info.num_sampled // 4))]
    assert [(clip["video_id"].decode(), clip["snippet_index"]) for clip in clips] == expected
    assert {path.name for path in folder.iterdir() if path.suffix == ".tfrecord"} == {
        f"clips-{index:05d}-of-00003.tfrecord" for index in range(3)
    }
    for info, video in zip(manifest.videos, videos, strict=True):
        assert (info.num_frames, info.num_sampled, info.width, info.height, info.fps) == (25, 25, 96, 120, 10.0)
        assert (info.frame_labels, info.label, info.subset) == (video.intervals, video.label, video.subset)


def test_frames_from_records_are_close_to_frames_fed_straight(prepared):
    config, folder = prepared
    clips = clips_of(config, folder)
    readers = [VideoReader(video.path, size_px=config.data.image_size_px) for video in load_dataset(config)]
    straight = [snippet for reader in readers for snippet in reader.snippets(config.data.clip_frames)]
    for clip, snippet in zip(clips, straight, strict=True):
        np.testing.assert_array_equal(clip["mask"], snippet.mask)
        np.testing.assert_array_equal(clip["frame_indices"], snippet.frame_indices)
        np.testing.assert_allclose(clip["times_sec"], snippet.times_sec, rtol=1e-6)
        difference = np.abs(clip["frames"].astype(int) - snippet.frames)[snippet.mask]
        assert difference.mean() < 2.0  # of 255: the price of the JPEG, here on grainy pictures


def test_a_second_run_keeps_everything(prepared):
    config, folder = prepared
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("clips-*")}
    prepare.run(config)
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("clips-*")} == before
    assert "3 of 3 shards were finished before" in summary(config)["done"]


def test_only_shards_of_changed_labels_are_written_again(videos, tmp_path):
    config = settings(tmp_path / "work", videos)
    folder = prepare.run(config)
    before = {path.name: path.stat().st_mtime_ns for path in shard_paths(folder, "clips")}
    labels = (videos / "labels.csv").read_text()
    (videos / "labels.csv").write_text(
        labels.replace("train/normal_000.mp4,0,train,normal", "train/normal_000.mp4,0,train,calm")
    )
    prepare.run(config)
    changed = [before[path.name] != path.stat().st_mtime_ns for path in shard_paths(folder, "clips")]
    assert changed == [True, False, False]
    assert (
        "2 of 3 shards were finished before; 1 outdated shards were written again" in summary(config)["done"]
    )
    assert read_manifest(folder).by_id["train/normal_000"].class_name == "calm"


def test_another_file_of_the_same_name_size_and_time_is_another_video(videos, tmp_path):
    config = settings(tmp_path / "work", videos)
    listed = load_dataset(config)
    before, path = prepare._fingerprint(config, listed), listed[0].path
    stat, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert prepare._fingerprint(config, listed) != before
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert prepare._fingerprint(config, listed) == before


def test_other_settings_leave_nothing_of_the_old_records(videos, tmp_path):
    folder = prepare.run(settings(tmp_path / "work", videos))
    prepare.run(settings(tmp_path / "work", videos, "data.videos_per_shard=6", "data.frames_per_sec=2.0"))
    assert sorted(path.name for path in folder.iterdir()) == [
        "clips-00000-of-00001.json",
        "clips-00000-of-00001.tfrecord",
        "videos.json",
    ]
    assert {info.num_sampled for info in read_manifest(folder).videos} == {5}


def test_faulty_videos_are_named_and_their_neighbours_survive(videos, tmp_path):
    (videos / "train" / "fight_001.mp4").write_text("no video")
    (videos / "intervals.csv").unlink()
    labels = {
        "train/fight_003": np.ones(7, int),
        "train/fight_001": np.ones(40, int),
        "train/normal_000": np.zeros(30, int),
    }
    np.savez(videos / "frame_labels.npz", **labels)
    config = settings(tmp_path / "work", videos)
    manifest = read_manifest(prepare.run(config))
    assert [info.video_id for info in manifest.videos] == [
        "train/normal_000",
        "train/normal_002",
        "test/normal_000",
        "test/fight_001",
    ]
    skipped = {Path(file).relative_to(videos).as_posix(): reason for file, reason in manifest.skipped}
    assert skipped.keys() == {"train/fight_001.mp4", "train/fight_003.mp4"}
    assert skipped["train/fight_001.mp4"].startswith("not a video")
    assert "frame_labels.npz: 7 frame labels for 25 decoded frames" in skipped["train/fight_003.mp4"]
    assert manifest.videos[0].warning.endswith("frame_labels.npz: 30 frame labels cut to 25 decoded frames")
    assert len(summary(config)["skipped"]) == 2
    assert "1 used with a warning" in summary(config)["done"]
    assert {clip["video_id"].decode() for clip in clips_of(config, RunFolder.of(config).clips)} == manifest.by_id.keys()


def test_a_folder_without_any_usable_video_is_an_error(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    (tmp_path / "labels.csv").write_text("file,label\na.mp4,1\n")
    with pytest.raises(UserError, match=r"none of the 1 videos can be used\. The first: .*a\.mp4: not a video"):
        prepare.run(settings(tmp_path / "work", tmp_path))
    assert not (tmp_path / "work/clips").exists()


def test_a_disk_that_is_full_leaves_no_parts_and_the_same_command_goes_on(videos, tmp_path, monkeypatch):
    config, written = settings(tmp_path / "work", videos), []

    class FullDisk(tf.io.TFRecordWriter):
        def write(self, record):
            written.append(record)
            if len(written) > 3:
                raise tf.errors.ResourceExhaustedError(None, None, "clips/.parts/000003; No space left on device")
            super().write(record)

    with monkeypatch.context() as patch:
        patch.setattr(tf.io, "TFRecordWriter", FullDisk)
        with pytest.raises(tf.errors.ResourceExhaustedError):
            prepare.run(config)
    folder = RunFolder.of(config).clips
    assert not (folder / ".parts").exists() and not (folder / "videos.json").exists()
    assert len(read_manifest(prepare.run(config)).videos) == 6


def test_all_unit_videos_are_prepared_or_skipped(shared_data, generated, tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    names = sorted(path.name for path in (shared_data / "unit_videos").iterdir() if path.suffix != ".csv")
    assert len(names) == 27
    for name in names:
        (root / name).symlink_to(shared_data / "unit_videos" / name)
    shutil.copy(generated / "train" / "normal_000.mp4", root / "neighbour.mp4")
    lines = [f"{name},{index % 2}" for index, name in enumerate([*names, "neighbour.mp4"])]
    (root / "labels.csv").write_text("\n".join(["file,label", *lines]) + "\n")
    config = settings(tmp_path / "work", root, "data.frames_per_sec=4")
    manifest = read_manifest(prepare.run(config))
    assert {Path(file).name for file, _ in manifest.skipped} == {
        "gen_audio_only.mp4",
        "gen_random_bytes.avi",
        "gen_text_renamed.mp4",
        "gen_truncated_no_moov.mp4",
        "gen_zero_bytes.mp4",
    }
    assert all(reason for _, reason in manifest.skipped)
    assert len(manifest.videos) == 23 and manifest.by_id["neighbour"].num_frames == 25
    turned = [
        (manifest.by_id[f"decord_video_{angle}"].width, manifest.by_id[f"decord_video_{angle}"].height)
        for angle in (0, 90, 180, 270)
    ]
    assert turned == [(568, 320), (320, 568), (568, 320), (320, 568)]
    assert len(clips_of(config, RunFolder.of(config).clips)) == sum(
        -(-info.num_sampled // 4) for info in manifest.videos
    )


COMMAND = "import sys\nfrom pipelines.config import load_config\nfrom pipelines.stages import prepare\n"
COMMAND += "if __name__ == '__main__':\n    prepare.run(load_config(None, sys.argv[1:]))\n"


def start(tmp_path, config_overrides):
    script = tmp_path / "run_prepare.py"
    script.write_text(COMMAND)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, script, *config_overrides],
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
    )


def interrupt(process, folder, sign):
    """Send a signal as soon as the first shard is there; returns the ids of the decoding processes."""
    deadline = time.monotonic() + 300
    while not list(folder.glob("clips-*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    process.send_signal(sign)
    process.wait(60)
    return workers


def gone(pids):
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


LARGE = ("data.videos_per_shard=1", "data.image_size_px=672", "data.workers=1")  # slow enough to catch


@pytest.fixture(scope="module")
def undisturbed(generated, tmp_path_factory):
    """Folder of the records of a run that nothing interrupts."""
    return prepare.run(settings(tmp_path_factory.mktemp("undisturbed"), generated, *LARGE))


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_ends_with_the_records_of_an_undisturbed_one(generated, undisturbed, tmp_path, sign):
    for attempt in range(5):  # on a busy machine a run may end before the signal reaches it
        work = tmp_path / f"interrupted-{attempt}"
        process = start(tmp_path, [f"work_dir={work}", f"data.root={generated}", *SMALL, *LARGE])
        workers = interrupt(process, work / "clips", sign)
        if process.returncode:
            break
    assert process.returncode != 0, "it ended before it could be interrupted"
    finished = content(work / "clips")
    assert 1 <= len(finished) < 6
    assert not (work / "clips" / "videos.json").exists()
    assert gone(workers)
    kept = {name: (work / "clips" / name).stat().st_mtime_ns for name in finished}
    folder = prepare.run(settings(work, generated, *LARGE))
    assert content(folder) == content(undisturbed)
    assert {name: (folder / name).stat().st_mtime_ns for name in finished} == kept
    assert read_manifest(folder) == read_manifest(undisturbed)
    assert not (folder / ".parts").exists()


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: data[:-50] + b"?" + data[-49:]])
def test_a_damaged_shard_is_written_again(prepared, tmp_path, damage):
    config, folder = prepared
    shutil.copytree(RunFolder.of(config).path, tmp_path / "work")
    copy = dataclasses.replace(config, work_dir=str(tmp_path / "work"))
    shard = shard_paths(RunFolder.of(copy).clips, "clips")[1]
    shard.write_bytes(damage(shard.read_bytes()))
    assert content(prepare.run(copy)) == content(folder)
    reused = f"; 2 of 3 shards were finished before; damaged and written again: {shard.name}"
    assert summary(copy)["done"].endswith(reused)


def test_synthetic_videos_are_made_on_the_way(tmp_path):
    overrides = [
        "data.dataset=synthetic",
        "synthetic.train_videos=2",
        "synthetic.test_videos=0",
        "synthetic.duration_sec=2",
    ]
    manifest = read_manifest(prepare.run(settings(tmp_path / "work", tmp_path / "videos", *overrides)))
    assert [info.label for info in manifest.videos] == [0, 1]
    start_frame, end_frame = manifest.videos[1].frame_labels[0]
    assert manifest.videos[1].frame_label_array().sum() == end_frame - start_frame


def test_the_space_is_estimated_and_what_does_not_fit_is_refused_before_anything_is_decoded(
    generated, tmp_path, capsys, monkeypatch
):
    config = settings(tmp_path / "work", generated)
    folder = prepare.run(config)
    found = re.search(r"^clips/ needs about ([\d.]+) kB; .* are free$", capsys.readouterr().err, re.M)
    written = sum(path.stat().st_size for path in folder.glob("*.tfrecord"))
    assert float(found[1]) * 1000 == pytest.approx(written, rel=0.3)
    prepare.run(config)
    assert "needs about" not in capsys.readouterr().err, "all is written"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=written // 4))
    other = settings(tmp_path / "other", generated)
    with pytest.raises(MachineError, match=r"clips/ in .*needs about .* kB, but .* are free.*`data\.frames_per_sec`"):
        prepare.run(other)
    assert not list(RunFolder.of(other).clips.iterdir())


def test_videos_of_one_label_are_prepared_with_a_warning_first(videos, tmp_path, capsys):
    (videos / "labels.csv").write_text("file,label\ntrain/normal_000.mp4,0\n")
    (videos / "intervals.csv").unlink()
    prepare.run(settings(tmp_path / "work", videos))
    error = capsys.readouterr().err
    assert error.startswith("warning: training needs normal and abnormal videos. Received: 1 normal and 0 abnormal")
