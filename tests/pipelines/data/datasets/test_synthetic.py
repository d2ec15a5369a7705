import dataclasses
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import av
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.config import UserError, load_config
from pipelines.data.datasets import load_dataset
from pipelines.data.listing.masks import MASKS_NAME, PixelMasks

SMALL = ["data.dataset=synthetic", "synthetic.duration_sec=2.0", "synthetic.width_px=64", "synthetic.height_px=48"]


def settings(root, *overrides):
    return load_config(overrides=[f"data.root={root}", *SMALL, *overrides])


def pixels(video):
    with av.open(str(video.path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    config = settings(
        tmp_path_factory.mktemp("small") / "videos", "synthetic.train_videos=4", "synthetic.test_videos=2"
    )
    return config, load_dataset(config)


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    root = tmp_path_factory.mktemp("full") / "videos"
    overrides = ["synthetic.train_videos=12", "synthetic.test_videos=0", "data.dataset=synthetic"]
    return load_dataset(load_config(overrides=[f"data.root={root}", *overrides]))


def test_videos_are_real_files_that_the_folder_dataset_reads_alike(small):
    config, videos = small
    assert [video.label for video in videos] == [0, 1, 0, 1, 0, 1]
    assert [video.subset for video in videos] == ["train"] * 4 + ["test"] * 2
    for video in videos:
        with av.open(str(video.path)) as container:
            assert container.streams.video[0].codec_context.name == "h264"
        assert pixels(video).shape == (20, 48, 64, 3)
    read = load_dataset(dataclasses.replace(config, data=dataclasses.replace(config.data, dataset="folder")))
    for video, again in zip(videos, read, strict=True):
        assert dataclasses.astuple(video) == dataclasses.astuple(dataclasses.replace(again, where="", labels_from=""))


KILLED = """
import os, signal, sys, threading, time
from pipelines.config import load_config
from pipelines.data.datasets import load_dataset

def kill():
    while not any(name.endswith(".mp4") for _, _, names in os.walk(sys.argv[1]) for name in names):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    threading.Thread(target=kill, daemon=True).start()
    load_dataset(load_config(overrides=[f"data.root={sys.argv[1]}", "data.dataset=synthetic", "data.workers=2"]))
"""


def test_no_process_generates_on_when_the_command_was_killed(tmp_path):
    (tmp_path / "script.py").write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, tmp_path / "script.py", tmp_path / "videos"]
    with (tmp_path / "out").open("w") as out:  # not a pipe: a worker would hold it open
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        assert process.wait(60) == -signal.SIGKILL, (tmp_path / "out").read_text()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("a process is left")


def test_the_masks_show_the_two_people_who_fight(small):
    config, videos = small
    path = videos[0].path.parents[1] / MASKS_NAME
    content, masks = path.read_bytes(), PixelMasks(config.data, videos)
    for video in videos:
        frames = pixels(video).astype(np.float32)
        info = SimpleNamespace(video_id=video.video_id, num_frames=20, height=48, width=64)
        mask = masks.of(info)
        if not video.label:
            assert mask is None
            continue
        ((start, end),) = video.intervals
        assert mask.any(axis=(1, 2)).tolist() == [start <= frame < end for frame in range(20)]
        shares = mask[start:end].mean(axis=(1, 2))
        assert shares.min() > 0.005 and shares.max() < 0.4
        people = np.abs(frames - np.median(frames, axis=0)).mean(axis=-1)
        assert people[mask].mean() > 2 * people[~mask].mean()
    path.unlink()
    load_dataset(config)
    assert path.read_bytes() == content


def test_the_event_takes_15_to_35_percent(full_size):
    for video in full_size:
        shares = [(end - start) / 120 for start, end in video.intervals]
        assert len(shares) == video.label and all(0.14 <= share <= 0.36 for share in shares)


def test_the_same_seed_gives_the_same_labels_and_pixels(small, tmp_path):
    _, videos = small
    again = load_dataset(settings(tmp_path / "again", "synthetic.train_videos=2", "synthetic.test_videos=0"))
    other = load_dataset(
        settings(tmp_path / "other", "synthetic.train_videos=2", "synthetic.test_videos=0", "synthetic.seed=1")
    )
    for first, second, third in zip(videos[:2], again, other, strict=True):
        np.testing.assert_array_equal(pixels(first), pixels(second))
        assert first.path.read_bytes() == second.path.read_bytes()
        assert first.intervals == second.intervals
        assert not np.array_equal(pixels(first), pixels(third))
    lines = [
        (root / "labels.csv").read_text().splitlines()[:3] for root in (videos[0].path.parents[1], tmp_path / "again")
    ]
    assert lines[0] == lines[1]


def test_the_bytes_do_not_depend_on_memory_that_nothing_wrote_to(small, tmp_path):
    """glibc fills fresh memory with the byte of `MALLOC_PERTURB_`; other C libraries ignore it."""
    _, videos = small
    program = (
        "import sys, pathlib; from pipelines.config import load_config; from pipelines.data.datasets import synthetic; "
        "synthetic.render(pathlib.Path(sys.argv[1]), load_config(overrides=sys.argv[2:]).synthetic, 0, ())"
    )
    for byte in ("1", "77", "128"):
        path = tmp_path / byte / "normal.mp4"
        subprocess.run(
            [sys.executable, "-c", program, str(path), *SMALL],
            env={**os.environ, "MALLOC_PERTURB_": byte},
            check=True,
        )
        assert path.read_bytes() == videos[0].path.read_bytes(), f"differs when fresh memory is filled with {byte}"


def test_only_what_is_missing_is_made_again(small):
    config, videos = small
    content = videos[1].path.read_bytes()
    times = [video.path.stat().st_mtime_ns for video in videos]
    os.remove(videos[1].path)
    load_dataset(config)
    assert videos[1].path.read_bytes() == content
    assert [video.path.stat().st_mtime_ns == time for video, time in zip(videos, times, strict=True)] == [
        True,
        False,
        *[True] * 4,
    ]


def test_other_settings_replace_the_videos(tmp_path):
    first = load_dataset(settings(tmp_path / "v", "synthetic.train_videos=2", "synthetic.test_videos=2"))
    second = load_dataset(
        settings(tmp_path / "v", "synthetic.train_videos=2", "synthetic.test_videos=0", "synthetic.seed=3")
    )
    assert len(first) == 4 and not first[3].path.exists()
    assert sorted(path.name for path in (tmp_path / "v").glob("*/*.mp4")) == [video.path.name for video in second][::-1]


def test_a_damaged_note_generates_the_videos_again(tmp_path):
    config = settings(tmp_path / "videos", "synthetic.train_videos=2", "synthetic.test_videos=0")
    content = [video.path.read_bytes() for video in load_dataset(config)]
    note = tmp_path / "videos" / "synthetic.json"
    text = note.read_text()
    note.write_text(text[:-5])
    assert [video.path.read_bytes() for video in load_dataset(config)] == content and note.read_text() == text


def test_a_folder_in_which_a_killed_command_had_just_begun_is_used(tmp_path):
    (tmp_path / ".tmp-synthetic.json").write_text("{")
    assert len(load_dataset(settings(tmp_path, "synthetic.train_videos=2", "synthetic.test_videos=0"))) == 2
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine.mp4").touch()
    with pytest.raises(
        UserError, match=r"holds files that were not generated\. Set `data\.root` to an empty or new folder"
    ):
        load_dataset(settings(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.mp4"]


def test_too_short_a_video_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"at least 20 frames\. Received: .*\. Raise `synthetic\.duration_sec`"):
        load_dataset(settings(tmp_path / "v", "synthetic.duration_sec=1.0"))


def test_motion_tells_the_event_and_appearance_does_not(full_size):
    """The median picture is the empty background; people are where a frame differs from it."""
    statistics = {"red": [], "green": [], "blue": [], "contrast": [], "people": [], "motion": []}
    labels = []
    for video in full_size:
        frames = pixels(video).astype(np.float32)
        people = np.abs(frames - np.median(frames, 0)).mean(-1) > 18
        for channel, name in enumerate(("red", "green", "blue")):
            statistics[name].append(frames[..., channel].mean((1, 2)))
        statistics["contrast"].append(frames.std((1, 2, 3)))
        statistics["people"].append(people.mean((1, 2)))
        change = np.abs(np.diff(frames, axis=0)).mean(-1)
        where = people[1:] | people[:-1]
        energy = (change * where).sum((1, 2)) / np.maximum(where.sum((1, 2)), 1)
        energy = np.concatenate([energy[:1], energy])
        statistics["motion"].append(np.convolve(np.pad(energy, 4, mode="edge"), np.ones(9) / 9, "valid"))
        labels.append(np.zeros(len(frames), int))
        for start, end in video.intervals:
            labels[-1][start:end] = 1
    auc = {name: roc_auc_score(np.concatenate(labels), np.concatenate(values)) for name, values in statistics.items()}
    motion = auc.pop("motion")
    assert motion > 0.8, motion
    assert all(abs(value - 0.5) < 0.15 for value in auc.values()), auc
