"""Tests of pipelines.report.video.writer: a copy has the frames, the times, the length and the sound of its source."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.data.video import VideoReader
from pipelines.data.video_stream import open_sound
from pipelines.report.video.writer import write_video

COLOR = (200, 120, 40)
REAL = (
    *("decord_video_90.mov", "decord_video_270.mov", "gen_vfr_30_then_7.5fps.mp4", "torchcodec_h264_10bits.mp4"),
    *("torchcodec_h265_10bits.mp4", "gen_odd_size_mjpeg.avi", "decord_flipping_a_pancake.mkv", "gen_bitflips.mp4"),
)


def write_source(path, pixels="yuv420p", sound="", steps=(1,), rotation=0, start=0):
    """Twelve frames with so many tenths of a second between them, and two seconds of noise if `sound` is a codec."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"bf": "2"})
        video.width, video.height, video.pix_fmt, video.codec_context.time_base = 64, 48, pixels, Fraction(1, 10)
        if rotation:
            video.set_display_rotation(rotation)
        tone = container.add_stream(sound, rate=48_000, layout="mono") if sound else None
        noise = np.random.default_rng(0).integers(-9999, 9999, 94 * 1024, "int16")
        pts = start
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), COLOR, "uint8"), "rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = pts, Fraction(1, 10)
            pts += steps[number % len(steps)]
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for number in range(94 if tone else 0):
            samples = av.AudioFrame.from_ndarray(noise[None, 1024 * number :][:, :1024], format="s16", layout="mono")
            samples.sample_rate, samples.pts = 48_000, 1024 * number
            container.mux(tone.encode(samples))
        if tone:
            container.mux(tone.encode())
    return path


def copy(source, target):
    """Copy a video without drawing; returns the times of its frames and the note."""
    reader, times_sec = VideoReader(source), []

    def frames():
        for time_sec, rgb in reader.whole_frames():
            times_sec.append(time_sec)
            yield time_sec, rgb[: len(rgb) // 2 * 2, : rgb.shape[1] // 2 * 2]

    with open_sound(source) as sound:
        of_first = (lambda: (sound, reader.start_sec)) if sound else None
        note = write_video(target, frames(), 10, lambda: reader.end_sec, of_first)
    return times_sec, reader, note


def look_at(path):
    """Times and pictures of the frames, the length of the video, and the sound as packets `(time, bytes)`."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = []
        for stream in container.streams.audio[:1]:
            packets = [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.size]
            container.seek(0)
        frames = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video)]
        return [time for time, _ in frames], frames[0][1], float((video.duration or 0) * video.time_base), packets


@pytest.mark.parametrize(
    "options",
    [{}, {"rotation": 90}, {"steps": (1, 3, 2)}, {"pixels": "yuv420p10le"}, {"start": 25}, {"sound": "aac"}],
    ids=str,
)
def test_a_copy_has_the_frames_the_times_and_the_length_of_its_source(tmp_path, options):
    source, target = write_source(tmp_path / "source.mp4", **options), tmp_path / "copy.mp4"
    decoded_sec, _, note = copy(source, target)
    of_source, _, length_sec, sound = look_at(source)
    times_sec, picture, copied_sec, copied = look_at(target)
    assert len(times_sec) == len(of_source) == 12 and note == ""
    np.testing.assert_allclose(times_sec, decoded_sec, atol=1e-4)
    np.testing.assert_allclose(times_sec, np.array(of_source) - of_source[0], atol=1e-4)
    assert copied_sec == pytest.approx(length_sec, abs=1e-4)
    assert picture.shape == ((64, 48, 3) if "rotation" in options else (48, 64, 3))
    np.testing.assert_allclose(picture.mean(axis=(0, 1)), COLOR, atol=6)
    assert [packet for _, packet in copied] == [packet for time, packet in sound if time >= 0]
    assert bool(copied) == ("sound" in options)


def test_sound_stays_with_the_picture_when_the_clock_of_the_file_does_not_start_at_zero(tmp_path):
    source, target = write_source(tmp_path / "source.mkv", sound="libopus", start=5), tmp_path / "copy.mp4"
    copy(source, target)
    before, after = ({packet: time for time, packet in look_at(path)[3]} for path in (source, target))
    assert look_at(source)[0][0] == pytest.approx(0.5) and look_at(target)[0][0] == 0
    assert 20 < len(after) < len(before)  # what lies before the first frame is left out
    np.testing.assert_allclose(list(after.values()), [before[packet] - 0.5 for packet in after], atol=2e-3)


def test_sound_that_mp4_cannot_hold_is_named(tmp_path):
    source = write_source(tmp_path / "source.mkv", sound="pcm_s16le")
    _, _, note = copy(source, tmp_path / "copy.mp4")
    assert note == "the sound (pcm_s16le) is left out: MP4 cannot hold it"
    assert not look_at(tmp_path / "copy.mp4")[3]


def test_a_failure_in_the_middle_leaves_no_file(tmp_path):
    def frames():
        yield 0.0, np.zeros((48, 64, 3), "uint8")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_video(tmp_path / "copy.mp4", frames(), 10, lambda: 0.1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", REAL)
def test_real_videos_are_copied_frame_by_frame(shared_data, tmp_path, name):
    times_sec, reader, _ = copy(shared_data / "unit_videos" / name, tmp_path / "copy.mp4")
    copied_sec = look_at(tmp_path / "copy.mp4")
    np.testing.assert_allclose(copied_sec[0], times_sec, atol=1e-4)
    assert copied_sec[2] == pytest.approx(reader.end_sec, abs=1e-4)
