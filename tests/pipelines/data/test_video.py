import csv
import os
import socket
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.data import frame_limits, video
from pipelines.data.frame_times import FrameTimes
from pipelines.data.video import TICK_TOLERANCE_SEC, VideoError, VideoReader, known_length, probe

UNUSABLE = {
    "gen_audio_only.mp4": r"no video stream \(only audio\)",
    "gen_random_bytes.avi": "not a video",
    "gen_text_renamed.mp4": "not a video",
    "gen_truncated_no_moov.mp4": "not a video, or cut off before its index",
    "gen_zero_bytes.mp4": r"the file is empty \(0 bytes\)",
}
# Where we decode more than OpenCV did (observed.csv): it stops at the first damage and had no AV1 decoder.
MORE_THAN_OPENCV = {
    "decord_corrupted.mp4": 49,  # of 50; one packet is broken
    "gen_bitflips.mp4": 179,  # of 180; one packet is broken
    "gen_truncated_half_faststart.mp4": 88,  # of 180; the two whole frames before the cut come out too
    "torchcodec_av1_video.mkv": 125,
}
DAMAGED = ("decord_corrupted.mp4", "gen_bitflips.mp4", "gen_truncated_half_faststart.mp4")
# OpenCV reads the first of its two video streams, the program ffmpeg the same one as we.
TWO_STREAMS = {"torchcodec_nasa_13013.mp4": (390, (270, 480))}


def observed(shared_data):
    with open(shared_data / "unit_videos" / "observed.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_all_unit_videos_decode_to_their_length_or_name_the_reason(shared_data):
    rows = observed(shared_data)
    assert len(rows) == 27
    for row in rows:
        name = row["file"]
        reader = VideoReader(shared_data / "unit_videos" / name, size_px=32)
        if name in UNUSABLE:
            with pytest.raises(VideoError, match=f"{name}: {UNUSABLE[name]}"):
                list(reader)
            continue
        frames = list(reader)
        expected, shape = int(row["opencv_decoded_frames"]), row["frame_shape"]
        expected = MORE_THAN_OPENCV.get(name, expected)
        if name in TWO_STREAMS:
            expected, shape = TWO_STREAMS[name][0], str((*TWO_STREAMS[name][1], 3))
        assert (name, reader.num_frames, len(frames)) == (name, expected, expected)
        assert all(frame.rgb.shape == (32, 32, 3) for frame in frames)
        assert (np.diff(reader.frame_times_sec) > 0).all() and reader.frame_times_sec[0] == 0
        assert bool(reader.warning) == (name in (*DAMAGED, *TWO_STREAMS)), reader.warning
        if shape:  # OpenCV turns pictures upright as well
            assert f"({reader.height}, {reader.width}, 3)" == shape


def test_damage_in_the_middle_is_passed_over_and_told(shared_data):
    reader = VideoReader(shared_data / "unit_videos" / "gen_bitflips.mp4", size_px=16)
    assert len(list(reader)) == 179
    assert reader.warning == "1 x Invalid data found when processing input; 179 of 180 frames decoded"


def four_colours():
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:], picture[24:, :32], picture[24:, 32:] = 250, 170, 90, 10
    return picture


# Display matrix (a, b, c, d) -> what it does to [[top left, top right], [bottom left, bottom right]].
ORIENTATIONS = {
    "as it is": ((1, 0, 0, 1), [[250, 170], [90, 10]]),
    "quarter turn clockwise": ((0, 1, -1, 0), [[90, 250], [10, 170]]),
    "half turn": ((-1, 0, 0, -1), [[10, 90], [170, 250]]),
    "quarter turn anticlockwise": ((0, -1, 1, 0), [[170, 10], [250, 90]]),
    "mirrored left to right": ((-1, 0, 0, 1), [[170, 250], [10, 90]]),
    "mirrored top to bottom": ((1, 0, 0, -1), [[90, 10], [250, 170]]),
    "transposed": ((0, 1, 1, 0), [[250, 90], [170, 10]]),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_display_matrix_turns_pictures_upright(make_video, tmp_path, name):
    matrix, expected = ORIENTATIONS[name]
    path = make_video(tmp_path / "a.mp4", 3, picture=four_colours())
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # matrix of the track header, version 0
    a, b, c, d = (int(value * 65536).to_bytes(4, "big", signed=True) for value in matrix)
    content[at : at + 36] = a + b + bytes(4) + c + d + bytes(4) + bytes(8) + (1 << 30).to_bytes(4, "big")
    path.write_bytes(content)
    reader = VideoReader(path, size_px=40)
    rgb = next(iter(reader)).rgb
    np.testing.assert_allclose(rgb[10::20, 10::20, 0], expected, atol=8)
    assert (reader.width, reader.height) == ((48, 64) if matrix[0] == 0 else (64, 48))


def test_variable_frame_rate_is_sampled_by_presentation_time(make_video, tmp_path):
    times_ms = [*range(0, 1000, 33), *range(1000, 4000, 400)]  # 30 frames/s, then 2.5
    path = make_video(tmp_path / "vfr.mkv", len(times_ms), fps=30, times_ms=times_ms)
    reader = VideoReader(path, frames_per_sec=2.0, size_px=16)
    picked = [(frame.frame_index, round(1000 * frame.time_sec)) for frame in reader]
    assert picked == [(0, 0), (16, 528), (31, 1000), (33, 1800), (34, 2200), (35, 2600), (36, 3000), (38, 3800)]
    assert reader.num_frames == 39 and reader.num_sampled == 8
    np.testing.assert_allclose(reader.frame_times_sec, np.array(times_ms) / 1000, atol=1e-9)


WRONG_STAMPS = {  # number of the frame, its stamp in ms -> the stamp in the file
    "one in the future": (lambda i, ms: ms + 1_000_000 * (i == 8), "1 x wrong time stamp replaced"),
    "two in the near future": (lambda i, ms: ms + 1_000 * (i in (8, 9)), "2 x wrong time stamp replaced"),
    "ten in the far future": (lambda i, ms: ms + 150_000_000 * (5 <= i < 15), "10 x wrong time stamp replaced"),
    "one in the past": (lambda i, ms: ms - 500 * (i == 8), "1 x wrong time stamp replaced"),
    "one twice": (lambda i, ms: ms - 100 * (i == 8), "1 x wrong time stamp replaced"),
    "the first": (lambda i, ms: ms + 1_000_000 * (i == 0), "1 x change of the clock closed"),
    "the last": (lambda i, ms: ms + 150_000_000 * (i == 19), "1 x change of the clock closed"),
    "a reset": (lambda i, ms: ms - 900 * (i >= 9), "1 x change of the clock closed"),
    "a jump of 40 hours": (lambda i, ms: ms + 144_000_000 * (i >= 8), "1 x change of the clock closed"),
}


@pytest.mark.parametrize("kind", WRONG_STAMPS)
@pytest.mark.parametrize("suffix", [".flv", ".ts"])
def test_a_wrong_time_stamp_displaces_no_other_frame(make_video, tmp_path, suffix, kind):
    wrong, warning = WRONG_STAMPS[kind]
    path = make_video(tmp_path / f"a{suffix}", 20, bf="0")
    restamp(path, wrong)
    with av.open(str(path)) as container:  # FFmpeg's library passes them on
        stamps = [frame.time for frame in container.decode(video=0)]
    assert not np.allclose(np.diff(stamps), 0.1, atol=1e-3)
    reader = VideoReader(path, frames_per_sec=5.0, size_px=16)
    assert [frame.frame_index for frame in reader] == list(range(0, 20, 2))
    np.testing.assert_allclose(reader.frame_times_sec, np.arange(20) / 10, atol=1e-3)
    assert reader.warning == warning


@pytest.mark.parametrize(("suffix", "last_sec"), [(".flv", 61.9), (".ts", 1.9)])
def test_a_pause_is_kept_unless_the_format_allows_jumps_as_in_ffmpeg(make_video, tmp_path, suffix, last_sec):
    path = make_video(tmp_path / f"a{suffix}", 20, bf="0")
    restamp(path, lambda i, ms: ms + 60_000 * (i >= 8))
    reader = VideoReader(path, size_px=16)
    list(reader)
    # `ffmpeg -i FILE -fps_mode passthrough -vf showinfo`, version 9.0.2, shows the same
    assert reader.frame_times_sec[-1] == pytest.approx(last_sec, abs=1e-3)


def test_reordered_frames_of_an_avi_are_timed_in_their_order(make_video, tmp_path):
    path = tmp_path / "a.avi"
    with av.open(str(make_video(tmp_path / "a.mp4", 20, bf="2"))) as source, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "2", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 10), 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert (np.diff([frame.pts for frame in container.decode(video=0)]) < 0).any()
    reader = VideoReader(path, size_px=16)
    grey = [frame.rgb.mean() for frame in reader]
    assert (np.diff(grey) > 0).all() and not reader.warning
    np.testing.assert_allclose(reader.frame_times_sec, np.arange(20) / 10, atol=1e-9)


def restamp(path, change):
    """Change the time stamps of the video in an FLV or MPEG-TS file, `change(number of the frame, ms)`."""
    content = bytearray(path.read_bytes())
    (_restamp_flv if path.suffix == ".flv" else _restamp_ts)(content, change)
    path.write_bytes(content)


def _restamp_flv(content, change):
    at, number = 13, 0
    while at + 12 < len(content):
        size = int.from_bytes(content[at + 1 : at + 4], "big")
        if content[at] == 9 and content[at + 12] == 1:  # a video tag with a frame
            stamp = change(number, int.from_bytes(content[at + 4 : at + 7], "big"))
            content[at + 4 : at + 7], content[at + 7] = (stamp & 0xFFFFFF).to_bytes(3, "big"), stamp >> 24
            number += 1
        at += 11 + size + 4


def _restamp_ts(content, change):
    number = 0
    for packet in range(0, len(content), 188):
        field = packet + 4 + (1 + content[packet + 4] if content[packet + 3] & 0x20 else 0)
        if not content[packet + 1] & 0x40 or content[field : field + 4] != b"\0\0\1\xe0":
            continue
        for at, present in ((field + 9, 0x80), (field + 14, 0x40)):  # PTS, DTS
            if content[field + 7] & present:
                bits = int.from_bytes(content[at : at + 5], "big")
                ticks = (bits >> 33 & 7) << 30 | (bits >> 17 & 0x7FFF) << 15 | (bits >> 1 & 0x7FFF)
                ticks += 90 * change(number, 0)
                marked = (ticks >> 30 & 7) << 33 | (ticks >> 15 & 0x7FFF) << 17 | (ticks & 0x7FFF) << 1 | 0x100010001
                content[at : at + 5] = (bits >> 36 << 36 | marked).to_bytes(5, "big")
        number += 1


class TimedReader(VideoReader):
    """A reader of frames that have times and no pictures."""

    def __init__(self, times_sec, frames_per_sec):
        super().__init__("timed", frames_per_sec)
        self.times_sec = times_sec

    def _decoded(self):
        self.fps = 10.0
        stamped = ((time, None) for time in self.times_sec)
        return ((time, frame, None) for time, frame in FrameTimes(1 / self.fps).of(stamped))

    def _rgb(self, frame, matrix):
        return None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(1, 900), min_size=0, max_size=80),
    st.sampled_from([0.5, 1.0, 2.0, 3.0, 7.5, 10.0, 30.0]),
    st.integers(-5000, 10**9),
)
def test_each_tick_takes_the_first_frame_at_or_after_it(gaps_ms, rate, start_ms):
    times = np.concatenate([[0], np.cumsum(gaps_ms)]) / 1000
    reader = TimedReader([start_ms / 1000 + time for time in times], rate)
    picked = [frame.frame_index for frame in reader]
    times = np.asarray(reader.frame_times_sec)
    reached = (times + TICK_TOLERANCE_SEC) * rate
    expected = sorted({int(np.argmax(reached >= tick)) for tick in range(int(reached[-1]) + 1)})
    assert picked == expected
    assert reader.num_frames == len(times) and reader.num_sampled == len(picked)


def test_snippets_are_consecutive_and_the_last_is_padded(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", 19)
    cut = list(VideoReader(path, size_px=16).snippets(clip_frames=8))
    assert [snippet.mask.sum() for snippet in cut] == [8, 8, 3]
    assert np.concatenate([snippet.frame_indices for snippet in cut]).tolist() == [*range(19), *[-1] * 5]
    assert all(snippet.frames.shape == (8, 16, 16, 3) for snippet in cut)
    assert not cut[-1].frames[3:].any() and (cut[-1].times_sec[3:] == -1).all()
    grey = np.concatenate([snippet.frames[snippet.mask].mean((1, 2, 3)) for snippet in cut])
    np.testing.assert_allclose(grey, 20 + 7 * np.arange(19), atol=3)  # each frame is the one it claims to be


def test_a_reader_can_be_read_twice(make_video, tmp_path):
    reader = VideoReader(make_video(tmp_path / "a.mp4", 5), size_px=16)
    assert len(list(reader)) == len(list(reader)) == reader.num_frames == 5


def test_odd_names_are_files_and_never_addresses(make_video, tmp_path):
    for name in ("http:a b.mp4", "ä %03d [x].mp4", "-i.mp4"):
        path = make_video(tmp_path / "plain.mp4", 3).rename(tmp_path / name)
        assert len(list(VideoReader(path, size_px=16))) == 3
    with pytest.raises(VideoError, match=r"missing\.mp4: no such file"):
        list(VideoReader(tmp_path / "missing.mp4"))


@pytest.mark.parametrize("size", [(2, 1200), (1200, 2)])
def test_extreme_proportions_are_refused_before_anything_is_decoded(make_video, tmp_path, size):
    path = tmp_path / "strip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(3):
            frame = np.zeros((*reversed(size), 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match=f"frames of {size[0]} x {size[1]} pixels are too narrow"):
        list(VideoReader(path))


def test_frames_that_grow_in_the_middle_of_a_file_are_not_decoded(make_video, tmp_path, monkeypatch):
    small, large = ((tmp_path / f"{size[0]}.h264") for size in ((64, 48), (640, 480)))
    make_video(small, 4)
    make_video(large, 4, size=(640, 480))
    path = tmp_path / "grows.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes() + small.read_bytes())
    assert len(list(VideoReader(path))) == 12
    monkeypatch.setattr(video, "DECODER_OPTIONS", {"max_pixels": "10000"})
    reader = VideoReader(path)
    assert len(list(reader)) == 8 and "Invalid data found" in reader.warning


def test_only_so_many_streams_are_looked_at(tmp_path):
    path = tmp_path / "many.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mjpeg", rate=10) for _ in range(frame_limits.MAX_STREAMS + 10)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24").reformat(format="yuvj420p")
        for time in range(2):
            frame.pts = time
            for stream in streams:
                container.mux(stream.encode(frame))
    reader = VideoReader(path)
    assert len(list(reader)) == 2
    assert "and 247 more" in reader.warning and "only its first 256 streams were looked at" in reader.warning


def test_pictures_of_a_folder_are_bounded_too(tmp_path, monkeypatch):
    Image.new("RGB", (640, 480)).save(tmp_path / "1.png")
    monkeypatch.setattr(frame_limits, "MAX_FRAME_PIXELS", 10_000)
    with pytest.raises(VideoError, match="frames of 640 x 480 pixels are too large"):
        list(VideoReader(tmp_path))


def test_a_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux([*cover.encode(picture.reformat(format="yuvj420p")), *cover.encode(None)])
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44100
        container.mux([*sound.encode(silence), *sound.encode(None)])
    with pytest.raises(VideoError, match=r"no video stream \(only audio"):
        list(VideoReader(path))


def test_a_playlist_never_reaches_the_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        (tmp_path / "list.m3u8").write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(VideoError, match=r"list\.m3u8"):
            list(VideoReader(tmp_path / "list.m3u8"))
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_folder_of_pictures_is_a_video_in_the_order_of_their_numbers(tmp_path):
    folder = tmp_path / "Test 001 %d"
    folder.mkdir()
    for number, grey in ((8, 10), (9, 90), (10, 200)):
        Image.fromarray(np.full((24, 36), grey, np.uint8)).save(folder / f"{number}.tif")
    (folder / "._8.tif").write_bytes(b"a hidden file of the archive")
    reader = VideoReader(folder, size_px=16, folder_fps=10.0)
    frames = list(reader)
    assert [frame.rgb.mean().round() for frame in frames] == [10, 90, 200]
    assert [frame.frame_index for frame in frames] == [0, 1, 2]
    assert np.allclose([frame.time_sec for frame in frames], [0, 0.1, 0.2])
    assert (reader.fps, reader.num_frames, reader.width, reader.height) == (10.0, 3, 36, 24)
    (folder / "9.tif").write_bytes(b"no picture")
    with pytest.raises(VideoError, match=r"9\.tif is not an image .*copy it again"):
        list(VideoReader(folder))


def test_the_length_is_known_without_decoding(make_video, tmp_path):
    (tmp_path / "frames").mkdir()
    for number in range(3):
        Image.new("L", (8, 8)).save(tmp_path / "frames" / f"{number}.png")
    (tmp_path / "text.mp4").write_text("no video")
    assert known_length(make_video(tmp_path / "a.mp4", 7)) == 7
    assert known_length(tmp_path / "frames") == 3
    assert known_length(tmp_path / "text.mp4") is None
    assert probe(tmp_path / "a.mp4")[2:] == (10.0, 7, 0.7) and probe(tmp_path / "text.mp4") is None


MEMORY = """
import sys
from pipelines.run.workers import peak_memory_bytes
from pipelines.data.video import VideoReader
for frame in VideoReader(sys.argv[1], size_px=224).snippets(8):
    pass
print(peak_memory_bytes() >> 10)
"""


def test_memory_does_not_grow_with_the_length(make_video, tmp_path):
    def peak_kib(num_frames):
        path = make_video(tmp_path / f"{num_frames}.mp4", num_frames, size=(320, 240), preset="ultrafast")
        output = subprocess.run(
            [sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True, cwd=ROOT
        )
        return int(output.stdout)

    short, long = peak_kib(100), peak_kib(1000)
    assert long < short + 12 * 1024, (short, long)  # 900 more frames of 224 x 224 x 3 would be 132 MiB


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def test_a_crop_keeps_the_centre_of_a_larger_picture(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (128, 171, 3)).astype("uint8")
    Image.fromarray(picture).save(tmp_path / "0001.png")
    (frame,) = VideoReader(tmp_path, size_px=112, crop=True)
    np.testing.assert_array_equal(frame.rgb, picture[8:120, 29:141])
    (squashed,) = VideoReader(tmp_path, size_px=112)
    assert squashed.rgb.shape == frame.rgb.shape and not np.array_equal(squashed.rgb, frame.rgb)
