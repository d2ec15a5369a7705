"""The ring of encoded packets, on real streams."""

import itertools
import sys

import av
import numpy as np
import pytest

from pipelines.live.packet_ring import PACKET_BYTES, PacketRing, parameter_sets

FPS, GOP, NUM_FRAMES = 10, 10, 40
SIZE = (64, 48)
NOON = 1_790_000_000.0


def encode(path, codec, b_frames=0, size=SIZE, container=None):
    """Write a video whose frame `n` has the grey value `5 n`, a key frame every second."""
    cuts = "0" if codec.startswith("lib") else "1000000000"
    options = {"g": str(GOP), "sc_threshold": cuts, "x265-params": "log-level=none:scenecut=0", "qscale": "1"}
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=FPS, options=options | {"bf": str(b_frames)})
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = GOP, b_frames
        for number in range(NUM_FRAMES):
            picture = np.full((size[1], size[0], 3), 5 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    av.logging.set_level(av.logging.FATAL)
    made = {}

    def get(name, *arguments, **options):
        if name not in made:
            made[name] = encode(folder / name, *arguments, **options)
        return made[name]

    return get


def feed(ring, path, first_time=NOON, skip=0, without=()):
    """Add the packets of a file as they arrive, ten per second, and return the time after the last."""
    with av.open(str(path)) as source:
        for number, packet in enumerate(source.demux(video=0)):
            for name in without:
                setattr(packet, name, None)
            if number >= skip:
                ring.add(packet, first_time + (number - skip) / FPS)
    return first_time + (number - skip) / FPS


def shown(path):
    """Grey values, presentation times and size of a clip; the first packet must be a key frame."""
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        packets = [packet for packet in clip.demux(stream) if packet.size]
        assert packets[0].is_keyframe and all(packet.dts is not None for packet in packets)
        assert all(first.dts < second.dts for first, second in itertools.pairwise(packets))
    with av.open(str(path)) as clip:
        pictures = list(clip.decode(video=0))
        times = [picture.time for picture in pictures]
        greys = [round(picture.to_ndarray(format="gray").mean() / 5 + 0.1) for picture in pictures]
        return greys, times, (pictures[0].width, pictures[0].height), clip.streams.video[0].codec_context.name


STREAMS = {
    "b.mp4": ("libx264", 2),
    "plain.ts": ("libx264", 0),
    "b.ts": ("libx264", 2),
    "hevc.ts": ("libx265", 2),
    "hevc.mp4": ("libx265", 0),
    "mpeg4.avi": ("mpeg4", 2),
    "mpeg4.ts": ("mpeg4", 0),
    "mpeg2.ts": ("mpeg2video", 2),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_clip_begins_at_a_key_frame_and_plays(videos, tmp_path, name):
    ring = PacketRing(60, 10**7)
    feed(ring, videos(name, *STREAMS[name]))
    seconds = ring.write(tmp_path / "clip.mp4", NOON + 1.55, NOON + 2.95)
    greys, times, size, codec = shown(tmp_path / "clip.mp4")
    assert 8 <= greys[0] <= 13 and size == SIZE, "the first key frame before the start is that of second 1"
    # MPEG-2 and -4 round the grey values. At the end, a picture between two that were decoded before it may be missing.
    assert np.abs(greys[:-2] - (greys[0] + np.arange(len(greys) - 2))).max() <= 1 and 26 <= greys[-1] <= 33
    assert times[0] == pytest.approx(0, abs=0.25) and seconds == pytest.approx(len(greys) / FPS, abs=0.35)
    names = {"libx264": "h264", "libx265": "hevc"}
    assert np.diff(times)[:-2] == pytest.approx(0.1, abs=0.02)
    assert codec == names.get(STREAMS[name][0], STREAMS[name][0])


@pytest.mark.parametrize("without", [("pts",), ("dts",), ("pts", "dts")])
def test_a_stream_without_time_stamps_plays(videos, tmp_path, without):
    ring = PacketRing(60, 10**7)
    feed(ring, videos("b.mp4", "libx264", 2), without=without)
    assert ring.write(tmp_path / "clip.mp4", NOON, NOON + 9) == pytest.approx(4, abs=0.5)
    greys, *_ = shown(tmp_path / "clip.mp4")
    assert greys == list(range(NUM_FRAMES))


def test_a_stream_that_begins_inside_a_group_waits_for_a_key_frame(videos, tmp_path):
    ring = PacketRing(60, 10**7)
    feed(ring, videos("plain.ts", "libx264", 0), skip=3)
    ring.write(tmp_path / "clip.mp4", NOON - 5, NOON + 9)
    assert shown(tmp_path / "clip.mp4")[0] == list(range(10, NUM_FRAMES))


@pytest.mark.parametrize("name", ["jpeg.avi", "raw.avi"])
def test_motion_jpeg_and_raw_video_become_h264(videos, tmp_path, name):
    ring = PacketRing(60, 10**7)
    feed(ring, videos(name, "mjpeg" if name == "jpeg.avi" else "rawvideo"))
    assert ring.write(tmp_path / "clip.mp4", NOON + 0.5, NOON + 1.45) == pytest.approx(1.0)
    greys, times, size, codec = shown(tmp_path / "clip.mp4")
    assert (greys, size, codec) == (list(range(5, 15)), SIZE, "h264")
    assert times == pytest.approx(np.arange(10) / 10, abs=1e-3)


def test_time_stamps_that_reset_cut_the_clip(videos, tmp_path):
    ring, path = PacketRing(60, 10**7), videos("b.ts", "libx264", 2)
    with av.open(str(path)) as source:  # the same stream goes on with its time stamps from the beginning
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number, packet in enumerate(packets + packets):
            ring.add(packet, NOON + number / FPS)
    ring.write(tmp_path / "before.mp4", NOON + 1, NOON + 5)
    ring.write(tmp_path / "after.mp4", NOON + 3, NOON + 8)
    assert shown(tmp_path / "before.mp4")[0] == list(range(10, 40))
    assert shown(tmp_path / "after.mp4")[0] == list(range(40))


def test_a_connection_that_is_opened_again_cuts_the_clip(videos, tmp_path):
    ring = PacketRing(60, 10**7)
    end = feed(ring, videos("plain.ts", "libx264", 0))
    feed(ring, videos("hevc.ts", "libx265", 2), end + 5)  # the first container is closed by now
    for name, start in (("old", NOON), ("new", end + 5)):
        assert ring.write(tmp_path / f"{name}.mp4", start, start + 4) > 0
    assert (shown(tmp_path / "old.mp4")[3], shown(tmp_path / "new.mp4")[3]) == ("h264", "hevc")


@pytest.mark.parametrize(("suffix", "codec"), [("h264", "libx264"), ("hevc", "libx265"), ("m4v", "mpeg4")])
def test_a_picture_size_that_changes_in_the_stream_cuts_the_clip(videos, tmp_path, suffix, codec):
    small = videos(f"small-{suffix}", codec, 0, container=suffix)
    large = videos(f"large-{suffix}", codec, 0, size=(128, 96), container=suffix)
    joined = tmp_path / "joined"  # a camera that is switched over: only the parameters in the packets change
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    ring = PacketRing(60, 10**7)
    feed(ring, joined, without=("pts", "dts"))
    ring.write(tmp_path / "small.mp4", NOON, NOON + 4.5)
    ring.write(tmp_path / "large.mp4", NOON + 3.5, NOON + 9)
    for name, size in (("small", SIZE), ("large", (128, 96))):
        greys, _, found, _ = shown(tmp_path / f"{name}.mp4")
        assert np.abs(np.subtract(greys, range(NUM_FRAMES))).max() <= (suffix == "m4v") and found == size
        with av.open(str(tmp_path / f"{name}.mp4")) as clip:
            assert (clip.streams.video[0].width, clip.streams.video[0].height) == size


def test_a_connection_that_is_opened_again_lets_go_of_the_stream_before_it(videos):
    ring, path = PacketRing(60, 10**7), videos("plain.ts", *STREAMS["plain.ts"])
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        for packet in source.demux(stream):
            ring.add(packet, NOON)
        del packet
    held, num_bytes = sys.getrefcount(stream), ring.num_bytes
    feed(ring, path, NOON + 10)
    assert sys.getrefcount(stream) == held - 1 and ring.num_bytes == 2 * num_bytes


def test_the_ring_is_bounded_in_seconds_and_in_bytes(videos, tmp_path):
    path = videos("plain.ts", "libx264", 0)
    ring, time = PacketRing(2, 10**7), NOON
    for _ in range(3):
        time = feed(ring, path, time)
        assert ring.write(tmp_path / "clip.mp4", 0, time + 1) <= 2 + GOP / FPS + 0.1
    small = PacketRing(60, 20 * PACKET_BYTES + 3000)
    for number in range(3):
        feed(small, path, NOON + 10 * number)
        assert 0 < small.num_bytes <= small.max_bytes
    assert small.write(tmp_path / "clip.mp4", 0, NOON + 99) <= 2.1
    tiny = PacketRing(60, 100)
    feed(tiny, path)
    assert tiny.num_bytes == 0 and tiny.write(tmp_path / "none.mp4", 0, NOON + 99) == 0.0


def test_a_span_without_packets_writes_no_file(videos, tmp_path):
    ring = PacketRing(60, 10**7)
    assert ring.write(tmp_path / "clip.mp4", NOON, NOON + 9) == 0.0
    feed(ring, videos("plain.ts", "libx264", 0))
    assert ring.write(tmp_path / "clip.mp4", NOON + 90, NOON + 99) == 0.0
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_is_set_back_empties_the_ring(videos, tmp_path):
    ring = PacketRing(60, 10**7)
    feed(ring, videos("plain.ts", "libx264", 0))
    feed(ring, videos("plain.ts", "libx264", 0), NOON - 3600)
    assert ring.write(tmp_path / "clip.mp4", NOON, NOON + 9) == 0.0
    assert ring.write(tmp_path / "clip.mp4", NOON - 3600, NOON) == pytest.approx(4.0)


def test_parameters_are_found_in_streams_with_start_codes_only():
    class Context:
        codec, extradata = av.Codec("h264", "r"), None

    key = b"\0\0\0\1\x67SPS\0\0\1\x68PPS\0\0\1\x65picture"
    assert parameter_sets(Context, key) == b"\0\0\0\1\x67SPS\0\0\0\1\x68PPS"
    assert parameter_sets(Context, b"\0\0\1\x65picture") is None
    Context.extradata = b"\x01avcC"
    assert parameter_sets(Context, key) is None
