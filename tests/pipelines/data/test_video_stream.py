"""Tests of pipelines.data.video_stream."""

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.stream import Disposition

from pipelines.data.listing.files import VIDEO_SUFFIXES
from pipelines.data.video import VideoError, VideoReader, known_length, probe
from pipelines.data.video_stream import TimeStamps, choose_stream, open_container

DEFAULT, NONE = Disposition.default, Disposition(0)
THUMBNAIL = ("mjpeg", (320, 240), 1)  # codec, size, number of frames
SMALL, LARGE = ("libx264", (64, 48), 12), ("libx264", (128, 96), 9)


def write_streams(path, *streams):
    """Write a file of several video streams, each `((codec, size, number of frames), disposition)`."""
    with av.open(str(path), "w") as container:
        outputs = []
        for (codec, size, num_frames), disposition in streams:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = disposition
            outputs.append((stream, num_frames))
        for stream, num_frames in outputs:
            random = np.random.default_rng(0)
            for number in range(num_frames):
                pixels = random.integers(0, 256, (stream.height, stream.width, 3), np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


# The streams of a file, the one that is read, whether it is FFmpeg's best.
CASES = {
    "a thumbnail comes first": ([(THUMBNAIL, NONE), (SMALL, DEFAULT)], 1, True),
    "a thumbnail is a default too": ([(THUMBNAIL, DEFAULT), (SMALL, DEFAULT)], 1, True),
    "a thumbnail alone is the default": ([(THUMBNAIL, DEFAULT), (SMALL, NONE)], 1, False),
    "a thumbnail alone is the default, of two videos": ([(SMALL, NONE), (THUMBNAIL, DEFAULT), (LARGE, NONE)], 2, False),
    "a thumbnail is a still image": ([(THUMBNAIL, DEFAULT | Disposition.still_image), (SMALL, NONE)], 1, False),
    "a cover comes first": ([(THUMBNAIL, DEFAULT | Disposition.attached_pic), (SMALL, NONE)], 1, False),
    "the second video is the default": ([(LARGE, NONE), (SMALL, DEFAULT)], 1, True),
    "the first video is for the visually impaired": ([(LARGE, Disposition.visual_impaired), (SMALL, NONE)], 1, True),
    "a thumbnail is all there is": ([(THUMBNAIL, DEFAULT)], 0, True),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("case", CASES)
def test_the_best_video_is_read_and_never_a_picture_beside_it(tmp_path, suffix, case):
    streams, expected, is_best = CASES[case]
    lost = {".mkv": Disposition.attached_pic, ".mp4": Disposition.visual_impaired}[suffix]
    if any(disposition & lost for _, disposition in streams):
        pytest.skip(f"{suffix} does not keep this disposition of a track")
    path = write_streams(tmp_path / f"a{suffix}", *streams)
    with open_container(path) as container:
        stream, _ = choose_stream(path, container)
        assert stream.index == expected
        if suffix == ".mp4":  # Matroska does not keep every disposition
            assert (container.streams.best("video").index == expected) == is_best
    (_, size, num_frames), _ = streams[expected]
    reader = VideoReader(path, size_px=16)
    assert len(list(reader)) == num_frames and (reader.width, reader.height) == size
    assert probe(path)[:2] == size and known_length(path) in (num_frames, None)


def test_another_video_of_the_file_is_named(tmp_path):
    reader = VideoReader(write_streams(tmp_path / "a.mp4", (LARGE, NONE), (SMALL, DEFAULT)), size_px=16)
    list(reader)
    assert reader.warning == "reads video stream #1 (64x48), not #0 (128x96)"
    reader = VideoReader(write_streams(tmp_path / "b.mp4", (THUMBNAIL, NONE), (SMALL, DEFAULT)), size_px=16)
    list(reader)
    assert not reader.warning


def test_the_best_of_the_unit_videos_is_that_of_ffmpeg(shared_data):
    for path in sorted((shared_data / "unit_videos").glob("*.m*")):
        if probe(path):
            with open_container(path) as container:
                assert choose_stream(path, container)[0] is container.streams.best("video")


# The program `ffmpeg -i FILE -vf showinfo`, version 9.0.2, shows the last frame at the same times.
RAW = {
    "a.h264": ("libx264", Fraction(15), 15.0),
    "a.h265": ("libx265", Fraction(15), 15.0),
    "a.264": ("libx264", Fraction(25, 2), 12.5),  # FFmpeg's guessed rate is 25
    "a.hevc": ("libx265", Fraction(30000, 1001), 30000 / 1001),
    "a.m4v": ("mpeg4", Fraction(15), 15.0),
    "a.m2v": ("mpeg2video", Fraction(30), 30.0),
    "a.obu": ("libsvtav1", Fraction(15), 25.0),  # it states no rate
}
FORMATS = {".h264": "h264", ".264": "h264", ".h265": "hevc", ".hevc": "hevc", ".m2v": "mpeg2video"}


@pytest.mark.parametrize("name", RAW)
def test_a_raw_stream_has_the_rate_that_it_states(tmp_path, name):
    codec, rate, expected = RAW[name]
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec}")
    path = tmp_path / name
    with av.open(str(path), "w", format=FORMATS.get(path.suffix, path.suffix[1:])) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 176, 144, "yuv420p"
        for number in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((144, 176, 3), 4 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert path.suffix in (*VIDEO_SUFFIXES, ".obu")
    reader = VideoReader(path, frames_per_sec=5.0, size_px=16)
    sampled = list(reader)
    assert reader.fps == pytest.approx(expected) and reader.num_frames == 60 and not reader.warning
    np.testing.assert_allclose(reader.frame_times_sec, np.arange(60) / expected, atol=1e-6)
    assert len(sampled) == len(np.unique(np.floor(5 * (np.arange(60) / expected + 1e-3))))
    assert probe(path).fps == pytest.approx(expected)


def test_decode_times_replace_presentation_times_that_go_back():
    """Worked out by hand after `guess_correct_pts` of FFmpeg."""
    stamps = TimeStamps(SimpleNamespace(format=SimpleNamespace(flags=0, name="mov")))
    frames = [(0, 0), (2, 1), (1, 2), (4, 3), (3, None), (None, 5), (None, None)]
    found = [stamps.of(SimpleNamespace(pts=pts, dts=dts, time_base=Fraction(1, 2))) for pts, dts in frames]
    assert found == [0.0, 1.0, 1.0, 1.5, 1.5, 2.5, None]


@pytest.mark.parametrize("unknown", [0, 1])
def test_a_video_without_a_decoder_costs_the_one_beside_it_nothing(tmp_path, unknown):
    path = write_streams(tmp_path / "a.mkv", (SMALL, NONE), (LARGE, NONE))
    parts = path.read_bytes().split(b"V_MPEG4/ISO/AVC")
    assert len(parts) == 3
    names = [b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/AVC"]
    names[unknown] = b"V_NOTHING/KNOWN"
    path.write_bytes(parts[0] + names[0] + parts[1] + names[1] + parts[2])
    reader = VideoReader(path, size_px=32)
    assert len(list(reader)) == (9, 12)[unknown]
    assert f"not #{unknown} (no decoder)" in reader.warning
    path.write_bytes(b"V_NOTHING/KNOWN".join(parts))
    assert probe(path) is None and known_length(path) is None
    with pytest.raises(VideoError, match="no decoder for its codec"):
        list(VideoReader(path))
