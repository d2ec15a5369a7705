"""Clips, cut from packets that were kept or from a file."""

import av
import pytest

from pipelines.live.clips import ClipSource
from tests.pipelines.live.sources import write_video

START = 1_700_000_000.0


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """20 s at 5 frames a second, a key frame every 2 s."""
    return write_video(tmp_path_factory.mktemp("clips") / "a.mp4", num_frames=100)


def length_sec(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert frames[0].key_frame
    return len(frames) / 5


def test_a_clip_of_packets_begins_at_the_key_frame_before_the_event(video, tmp_path):
    source = ClipSource(ring_sec=60)
    with av.open(str(video)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                source.add(packet, START + float(packet.pts * packet.time_base))
    assert source.write(tmp_path / "clip.mp4", START + 5, START + 9) == ""
    assert length_sec(tmp_path / "clip.mp4") == pytest.approx(5.0, abs=0.3)


def test_a_clip_of_a_file_is_cut_from_the_file(video, tmp_path):
    source = ClipSource(ring_sec=1)
    source.use_file(video, START)
    source.use_file(video, START + 3600)  # scoring is a file behind
    for start in (START, START + 3600):
        assert source.write(tmp_path / "clip.mp4", start + 5, start + 9) == ""
        assert length_sec(tmp_path / "clip.mp4") == pytest.approx(5.0, abs=0.3)
    assert source.write(tmp_path / "first.mp4", START - 5, START + 1) == ""
    assert length_sec(tmp_path / "first.mp4") == pytest.approx(1.2, abs=0.3)


def test_no_packets_are_a_reason_and_no_file(video, tmp_path):
    source = ClipSource(ring_sec=60)
    assert source.write(tmp_path / "clip.mp4", START, START + 5) == "no packets of that time are left"
    source.use_file(video, START)
    assert source.write(tmp_path / "clip.mp4", START + 500, START + 505) == "no packets of that time are left"
    source.use_file(tmp_path / "gone.mp4", START + 9000)
    assert "No such file" in source.write(tmp_path / "clip.mp4", START + 9000, START + 9005)
    assert not list(tmp_path.iterdir())
