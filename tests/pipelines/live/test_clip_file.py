"""Time stamps of a clip, and files that appear whole."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.live.clip_file import EncodedFrame, clip_ticks, write_clip


def frames(pts, dts, times=None):
    times = times or [0.0] * len(pts)
    return [EncodedFrame(b"", p, d, n == 0, time) for n, (p, d, time) in enumerate(zip(pts, dts, times, strict=True))]


def ticks(*arguments):
    return [stamps.tolist() for stamps in clip_ticks(frames(*arguments), 1 / 90_000)]


def test_the_first_frame_is_presented_at_zero():
    assert ticks([500, 800, 600], [400, 500, 600]) == [[0, 300, 100], [-100, 0, 100]]


def test_missing_presentation_times_are_those_of_decoding():
    assert ticks([None, None], [10, 20]) == [[0, 10], [0, 10]]


def test_missing_decoding_times_rise_and_are_never_after_the_presentation():
    pts, dts = ticks([0, 30, 10, 20, 60, 40, 50], [None] * 7)
    assert pts == [0, 30, 10, 20, 60, 40, 50] and dts == [-10, 0, 10, 20, 30, 40, 50]


def test_when_both_are_missing_the_arrival_counts():
    assert ticks([None, None, 3], [None, 1, None], [7.0, 7.5, 7.5]) == [[0, 45_000, 45_001], [0, 45_000, 45_001]]


def test_decoding_times_that_repeat_are_moved_apart():
    pts, dts = ticks([0, 5, 5, 4], [0, 5, 5, 4])
    assert dts == [0, 5, 6, 7] and pts == [0, 5, 6, 7]


def test_a_clip_that_fails_leaves_no_file(tmp_path):
    with av.open(io.BytesIO(), "w", format="nut") as holder:
        template = holder.add_stream("mjpeg", rate=10)
        template.width = template.height = 64
        template.pix_fmt, template.time_base = "yuvj420p", Fraction(1, 10)
        broken = EncodedFrame(bytes(np.arange(99, dtype=np.uint8)), 0, 0, True, 0.0)
        with pytest.raises((av.FFmpegError, ValueError)):
            write_clip(tmp_path / "clip.mp4", template, [broken])
    assert list(tmp_path.iterdir()) == []
