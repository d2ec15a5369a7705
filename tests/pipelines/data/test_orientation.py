"""Tests of pipelines.data.orientation."""

import gc
import io
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from PIL import Image

from pipelines.data.orientation import Orientation, upright
from pipelines.data.video import VideoReader

PICTURE = np.array([[250, 170], [90, 10]], np.uint8)  # top left, top right; bottom left, bottom right
TURNED = {"clockwise": [[90, 250], [10, 170]], "anticlockwise": [[170, 10], [250, 90]], "half": [[10, 90], [170, 250]]}
TURNED |= {"mirrored": [[170, 250], [10, 90]]}
FLIPPED_AND_TURNED = [[250, 90], [170, 10]]


def large_picture():
    return PICTURE.repeat(24, axis=0).repeat(32, axis=1)[..., None].repeat(3, axis=2)


def seen(path, num_frames=None):
    """Return the four grey levels of the frames, which must be equal in all, the size and the warning."""
    reader = VideoReader(path, size_px=40)
    corners = [frame.rgb[10::20, 10::20, 0] for frame in reader]
    assert num_frames in (None, len(corners))
    for corner in corners:
        np.testing.assert_allclose(corner, corners[0], atol=4)
    return corners[0], (reader.width, reader.height), reader.warning


def write_video(path, prepare=lambda stream: None, codec="libx264", filtered="", num_frames=8):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"crf": "5", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        prepare(stream)
        bits = BitStreamFilterContext(filtered, stream) if filtered else None
        for number in range(num_frames + 1):
            frame = av.VideoFrame.from_ndarray(large_picture(), format="rgb24") if number < num_frames else None
            if frame:
                frame.pts, frame.time_base = number, Fraction(1, 10)
            for packet in stream.encode(frame):
                container.mux(bits.filter(packet) if bits else packet)
    return path


def matrices(path):
    """Return whether FFmpeg gives a display matrix, for each frame."""
    with av.open(str(path)) as container:
        return ["DISPLAYMATRIX" in {data.type.name for data in frame.side_data} for frame in container.decode(video=0)]


def remuxed(source, path):
    with av.open(str(source)) as read, av.open(str(path), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                written.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("stated", "expected"),
    [((90, False), "anticlockwise"), ((-90, False), "clockwise"), ((180, False), "half"), ((0, True), "mirrored")],
)
def test_a_matrix_of_the_track_is_applied(tmp_path, suffix, stated, expected):
    path = write_video(tmp_path / f"a{suffix}", lambda stream: stream.set_display_rotation(*stated))
    corners, size, warning = seen(path)
    np.testing.assert_allclose(corners, TURNED[expected], atol=4)
    assert size == ((64, 48) if expected in ("half", "mirrored") else (48, 64)) and not warning


# A display matrix -> the filters that the program ffmpeg inserts for it (`configure_input_video_filter`).
FILTERS = {
    (0, 1, -1, 0): [("transpose", "clock")],
    (0, -1, 1, 0): [("transpose", "cclock")],
    (0, 1, 1, 0): [("transpose", "cclock_flip")],
    (0, -1, -1, 0): [("transpose", "clock_flip")],
    (-1, 0, 0, -1): [("hflip", None), ("vflip", None)],
    (-1, 0, 0, 1): [("hflip", None)],
    (1, 0, 0, -1): [("vflip", None)],
}


@pytest.mark.parametrize("matrix", FILTERS)
def test_pictures_are_turned_as_by_the_filters_of_ffmpeg(matrix):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    graph = av.filter.Graph()
    nodes = [graph.add_buffer(width=16, height=16, format="rgb24", time_base=Fraction(1, 10))]
    nodes += [graph.add(name, argument) for name, argument in FILTERS[matrix]] + [graph.add("buffersink")]
    for first, second in pairwise(nodes):
        first.link_to(second)
    graph.configure()
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts, frame.time_base = 0, Fraction(1, 10)
    graph.push(frame)
    np.testing.assert_array_equal(upright(pixels, (matrix[:2], matrix[2:])), graph.pull().to_ndarray(format="rgb24"))


@pytest.mark.parametrize(("degrees", "shown"), [(45, 315), (30, 330), (2, 358)])
def test_a_rest_of_the_rotation_is_named(tmp_path, degrees, shown):
    path = write_video(tmp_path / "a.mp4", lambda stream: stream.set_display_rotation(degrees))
    corners, _, warning = seen(path)
    np.testing.assert_allclose(corners, PICTURE, atol=4)
    assert warning == f"a clockwise rotation by {shown} degrees is applied as the nearest multiple of 90"


def test_an_angle_beside_a_multiple_of_90_is_rounded_to_it(tmp_path):
    path = write_video(tmp_path / "a.mp4", lambda stream: stream.set_display_rotation(-89.5))
    corners, size, warning = seen(path)
    np.testing.assert_allclose(corners, TURNED["clockwise"], atol=4)
    assert size == (48, 64) and not warning


def test_a_matrix_of_zeros_is_named(tmp_path):
    path = write_video(tmp_path / "a.mp4", lambda stream: stream.set_display_rotation(90))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 16] = content[at + 12 : at + 28] = bytes(16)
    path.write_bytes(content)
    corners, _, warning = seen(path)
    np.testing.assert_allclose(corners, PICTURE, atol=4)
    assert warning == "the display matrix is not a rotation and is not applied"


STATED = [("rotate=90", "anticlockwise"), ("rotate=270", "clockwise"), ("flip=horizontal", "mirrored")]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".h264"])
@pytest.mark.parametrize(("stated", "expected"), STATED)
def test_the_orientation_that_key_frames_of_h264_state_holds_for_all_frames(tmp_path, suffix, stated, expected):
    """FFmpeg's library gives it with the first frame only; the program turns all frames."""
    path = tmp_path / ("a.h264" if suffix == ".h264" else "a.ts")
    write_video(path, filtered=f"h264_metadata=display_orientation=insert:{stated}")
    assert [number for number, matrix in enumerate(matrices(path)) if matrix] == [0]
    if suffix in (".mp4", ".mkv"):
        path = remuxed(path, tmp_path / f"a{suffix}")
    corners, size, warning = seen(path, 8)
    np.testing.assert_allclose(corners, TURNED[expected], atol=4)
    assert size == ((64, 48) if expected == "mirrored" else (48, 64)) and not warning


def test_the_orientation_that_hevc_states_holds_for_all_frames(tmp_path):
    path = write_video(tmp_path / "a.h265", codec="libx265")
    content = path.read_bytes()
    # payload 47 of 3 bytes: not cancelled, no flip, 90 degrees anticlockwise in 1/65536 of a turn, it persists
    message = bytes([0x4E, 0x01, 47, 3]) + int("000" + f"{0x4000:016b}" + "1" + "1000", 2).to_bytes(3, "big") + b"\x80"
    starts = [at for at in range(len(content) - 4) if content[at : at + 3] == b"\0\0\1"]
    picture = next(at for at in starts if content[at + 3] >> 1 < 32)
    path.write_bytes(content[:picture] + b"\0\0\1" + message + content[picture:])
    corners, size, warning = seen(path, 8)
    np.testing.assert_allclose(corners, TURNED["anticlockwise"], atol=4)
    assert size == (48, 64) and not warning


@pytest.mark.parametrize(("tag", "expected"), [("90", "clockwise"), ("180", "half"), ("270", "anticlockwise")])
def test_the_rotate_tag_that_ffmpeg_ignores_is_applied(tmp_path, tag, expected):
    path = write_video(tmp_path / "a.mkv", lambda stream: stream.metadata.update({"rotate": tag}))
    assert not any(matrices(path))  # the program ffmpeg turned such a file in version 4 and does not now
    corners, size, warning = seen(path)
    np.testing.assert_allclose(corners, TURNED[expected], atol=4)
    assert size == ((64, 48) if expected == "half" else (48, 64)) and not warning


def test_a_matrix_counts_more_than_a_tag_and_other_tags_are_named(tmp_path):
    def prepare(stream):
        stream.metadata.update({"rotate": "180", "VIDEO-ORIENTATION": "6"})
        stream.set_display_rotation(90)

    corners, _, warning = seen(write_video(tmp_path / "a.mkv", prepare))
    np.testing.assert_allclose(corners, TURNED["anticlockwise"], atol=4)
    assert warning == "orientation VIDEO-ORIENTATION=6 is not applied"


EXIF = {
    1: PICTURE,
    2: TURNED["mirrored"],
    3: TURNED["half"],
    4: PICTURE[::-1],
    5: FLIPPED_AND_TURNED,
    6: TURNED["clockwise"],
    7: [[10, 170], [90, 250]],
    8: TURNED["anticlockwise"],
}


def picture_bytes(suffix, orientation):
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if suffix == "TIFF" else {"exif": exif}
    Image.fromarray(large_picture()).save(buffer, suffix, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", EXIF)
@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "TIFF"])
def test_the_orientation_of_pictures_in_a_folder_is_applied(tmp_path, suffix, orientation):
    for number in range(2):
        (tmp_path / f"{number}.{suffix.lower()}").write_bytes(picture_bytes(suffix, orientation))
    corners, size, warning = seen(tmp_path, 2)
    np.testing.assert_allclose(corners, EXIF[orientation], atol=4)
    assert size == ((48, 64) if orientation > 4 else (64, 48)) and not warning


def test_each_picture_of_a_folder_has_its_own_orientation(tmp_path):
    for number, orientation in enumerate((6, 1)):
        (tmp_path / f"{number}.jpg").write_bytes(picture_bytes("JPEG", orientation))
    Image.fromarray(large_picture()).save(tmp_path / "2.jpg")
    frames = [frame.rgb[10::20, 10::20, 0] for frame in VideoReader(tmp_path, size_px=40)]
    np.testing.assert_allclose(frames, [EXIF[6], EXIF[1], EXIF[1]], atol=4)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mov"])
def test_the_orientation_of_the_frames_of_motion_jpeg_is_applied(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(4):
            packet = av.Packet(picture_bytes("JPEG", 6))
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 10)
            packet.is_keyframe = True
            container.mux(packet)
    corners, size, warning = seen(path, 4)
    np.testing.assert_allclose(corners, EXIF[6], atol=4)
    assert size == (48, 64) and not warning


def test_frames_are_freed_without_waiting_for_the_garbage_collector(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", {"g": "99"}
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    def num_frames():
        return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = num_frames()  # of other tests
        with av.open(str(path)) as container:
            orientation = Orientation()
            for frame in container.decode(video=0):
                orientation.of(frame)
            left = num_frames() - before
    finally:
        gc.enable()
    assert left <= 3
