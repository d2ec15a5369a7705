"""One video to its records, in this process."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.config import load_config
from pipelines.data import encode
from pipelines.data.encode import Failed, encode_video, jpeg_bytes
from pipelines.data.listing.dataset import ListedVideo
from pipelines.data.listing.manifest import VideoInfo
from pipelines.data.video import VideoReader

SETTINGS = load_config(overrides=["data.clip_frames=4", "data.image_size_px=32", "data.jpeg_quality=95"]).data


def a_video(path, **facts):
    return ListedVideo(**{"video_id": "train/door", "path": Path(path), "subset": "train", "label": 1, **facts})


def feature(record, name):
    values = tf.train.Example.FromString(record).features.feature[name]
    return list(getattr(values, values.WhichOneof("kind")).value)


def test_a_video_gives_a_record_per_snippet_and_then_its_description(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", 10)
    *records, info = encode_video(a_video(path, intervals=((2, 5),), class_name="Fight"), SETTINGS)
    assert info == VideoInfo(
        video_id="train/door",
        path=str(path),
        subset="train",
        label=1,
        class_name="Fight",
        fps=10.0,
        num_frames=10,
        width=64,
        height=48,
        num_sampled=10,
        frame_labels=((2, 5),),
    )
    assert [feature(record, "snippet_index") for record in records] == [[0], [1], [2]]
    indices = [feature(record, "frame_indices") for record in records]
    assert indices == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    np.testing.assert_allclose(feature(records[2], "times_sec"), [0.8, 0.9], rtol=1e-6)
    assert [feature(records[0], name) for name in ("video_id", "label", "fps")] == [[b"train/door"], [1], [10.0]]
    jpegs = [jpeg for record in records for jpeg in feature(record, "frames")]
    raw = [frame.rgb for frame in VideoReader(path, size_px=32)]
    for jpeg, rgb in zip(jpegs, raw, strict=True):
        assert np.abs(np.asarray(Image.open(io.BytesIO(jpeg))).astype(int) - rgb).mean() < 1.5


def test_a_folder_of_frames_takes_the_rate_of_its_video(tmp_path):
    for number in range(4):
        Image.new("L", (8, 8), 60 * number).save(tmp_path / f"{number}.png")
    record, info = encode_video(a_video(tmp_path, fps=8.0), SETTINGS)
    assert feature(record, "times_sec") == [0, 0.125, 0.25, 0.375]
    assert info.fps == 8.0


def test_every_sampled_frame_is_a_sign_of_progress(make_video, tmp_path):
    signs = []
    list(encode_video(a_video(make_video(tmp_path / "a.mp4", 10)), SETTINGS, on_frame=lambda: signs.append(1)))
    assert len(signs) == 10


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"missing": "door.mp4 (line 3 of list.txt) is not under videos"}, "door.mp4 (line 3"),
        ({"frame_labels": np.ones(7, np.uint8), "labels_from": "labels.npz"}, "labels.npz: 7 frame labels for 10"),
    ],
)
def test_a_video_whose_facts_do_not_fit_has_failed(make_video, tmp_path, facts, reason):
    *_, outcome = encode_video(a_video(make_video(tmp_path / "a.mp4", 10), **facts), SETTINGS)
    assert isinstance(outcome, Failed) and outcome.reason.startswith(reason) and not outcome.transient


def test_whatever_the_decoder_raises_fails_one_video(make_video, tmp_path, monkeypatch):
    def broken(self, *_):
        raise ArithmeticError("no such colour")

    path = make_video(tmp_path / "a.mp4", 3)
    monkeypatch.setattr(VideoReader, "_rgb", broken)
    assert list(encode_video(a_video(path), SETTINGS)) == [Failed("ArithmeticError: no such colour")]
    assert list(encode_video(a_video(tmp_path / "b.mp4"), SETTINGS)) == [Failed("no such file")]


@pytest.mark.parametrize("error, again", [(MemoryError(), True), (ZeroDivisionError("x"), False)])
def test_a_failure_of_the_machine_may_succeed_when_it_is_tried_again(make_video, tmp_path, monkeypatch, error, again):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(encode, "jpeg_bytes", fail)
    (outcome,) = encode_video(a_video(make_video(tmp_path / "a.mp4", 5)), SETTINGS)
    assert outcome.transient == again and outcome.reason == ("out of memory" if again else "ZeroDivisionError: x")


def test_colour_survives_the_compression_at_full_resolution():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 200, 200  # red and blue columns, one pixel wide
    decoded = np.asarray(Image.open(io.BytesIO(jpeg_bytes(stripes, 95))))
    assert np.abs(decoded.astype(int) - stripes).mean() < 6


def test_the_processes_load_no_tensorflow():
    code = "import sys, pipelines.data.decode_pool, pipelines.data.datasets; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
