"""Tests of pipelines.data.inspection."""

import dataclasses
from types import SimpleNamespace

import pytest
from PIL import Image

from pipelines.config import load_config
from pipelines.data.encode import Failed, encode_video
from pipelines.data.inspection import Inspected, inspect_video
from pipelines.data.video import VideoReader, known_length


def inspect(path, whole=True, missing="", **changes):
    settings = dataclasses.replace(load_config().data, image_size_px=32, **changes)
    (result,) = inspect_video(SimpleNamespace(path=path, missing=missing, fps=None), settings, whole=whole)
    return result


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_whole_file_is_measured_by_its_header_and_first_frame(tmp_path, make_video, suffix):
    path = make_video(tmp_path / f"a.{suffix}", 40, g="10")
    result = inspect(path)
    assert (result.num_sampled, result.warning) == (40, "") and 300 < result.jpeg_bytes < 1500
    assert inspect(path, frames_per_sec=2.0).num_sampled == 8


@pytest.mark.parametrize("suffix", ["mkv", "flv"])
def test_a_file_that_was_cut_off_is_told_but_can_be_used(tmp_path, make_video, suffix):
    path = make_video(tmp_path / f"a.{suffix}", 60, g="10")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert inspect(path).warning.startswith("cut off: it ends at ") and not inspect(path, whole=False).warning


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
@pytest.mark.parametrize("times_ms", [[0, 100, 200, 700, 800, 900], [0, 100, 200, 300, 1500, 1600]])
def test_frames_that_a_recorder_dropped_are_not_missing(tmp_path, make_video, codec, times_ms):
    path = make_video(tmp_path / "a.avi", 6, codec=codec, times_ms=times_ms, strict="unofficial")
    reader = VideoReader(path, size_px=32)
    frames = list(reader)
    assert [round(1000 * frame.time_sec) for frame in frames] == times_ms
    assert (reader.warning, inspect(path).warning, known_length(path)) == ("", "", 6)
    content = path.read_bytes()
    path.write_bytes(content[: (content.index(b"movi") + content.index(b"idx1")) // 2])
    list(reader)
    assert "frames decoded" in reader.warning and inspect(path).warning.startswith("cut off")


@pytest.mark.parametrize("content", [b"", b"no video at all" * 99])
def test_what_prepare_skips_fails_for_the_same_reason(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    video = SimpleNamespace(path=path, missing="", fps=None)
    assert inspect(path) == next(encode_video(video, load_config().data))
    assert inspect(path, missing="a.mp4 is not there") == Failed("a.mp4 is not there")


def test_all_pictures_of_a_folder_are_opened(tmp_path):
    for number in range(5):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    assert isinstance(inspect(tmp_path), Inspected) and inspect(tmp_path).num_sampled == 5
    (tmp_path / "3.png").write_bytes(b"no picture")
    assert "3.png is not an image" in inspect(tmp_path).reason
    assert inspect(tmp_path, whole=False).num_sampled == 5
