"""Network streams: a real RTSP server, servers that lie, and the clock of a stream."""

import itertools
import time

import pytest

from pipelines.data.camera_stream import CameraStream, StreamClock
from pipelines.data.video import VideoError
from tests.pipelines.live.sources import free_port, lying_server, rtsp_server  # noqa: F401


@pytest.fixture(scope="module")
def address(request):
    port = free_port()
    request.getfixturevalue("rtsp_server")(port)
    return f"rtsp://user:secret@127.0.0.1:{port}/a"


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_real_stream_gives_frames_in_order_from_its_first_key_frame_on(address, transport):
    stream, packets = CameraStream(address, "door", transport, 20.0), []
    found = list(itertools.islice(stream.frames(lambda packet: packets.append(packet.is_keyframe) or True), 30))
    stream.close()
    times = [time_sec for time_sec, _, _ in found]
    assert times[0] == 0.0 and times == sorted(times) and len(set(times)) == 30
    assert times[-1] == pytest.approx(29 / 25, abs=0.5)
    assert (stream.width, stream.height) == (64, 48) and len(packets) - packets.index(True) >= 30


def test_nothing_is_decoded_after_a_skip_until_the_next_key_frame(address):
    stream, decoded = CameraStream(address, "door", "tcp", 20.0), []
    for count, (_, frame, _) in enumerate(stream.frames(lambda packet: True)):
        decoded.append(bool(frame.key_frame))
        if count == 3:
            stream.skip()
        if count == 20:
            break
    stream.close()
    assert decoded[0] and decoded[4]


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_says_nothing_is_given_up_without_its_password_being_named(lying_server, scheme):  # noqa: F811
    start = time.monotonic()
    with pytest.raises(VideoError) as error:
        CameraStream(f"{scheme}://user:secret@127.0.0.1:{lying_server()}/a", "door", timeout_sec=0.2)
    assert "no data for 0.2 s" in str(error.value) and "secret" not in str(error.value)
    assert time.monotonic() - start < 20


def test_garbage_and_a_closed_port_are_errors(lying_server):  # noqa: F811
    garbage = lying_server(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(range(256)) * 800)
    for port, reason in ((garbage, "invalid data|no data"), (free_port(), "connection refused")):
        with pytest.raises(VideoError, match=reason):
            CameraStream(f"http://127.0.0.1:{port}/a", "door", timeout_sec=0.5)


def test_a_stream_cannot_reach_local_files(tmp_path):
    with pytest.raises(VideoError):
        CameraStream(f"concat:{tmp_path}/a.ts", "door", timeout_sec=0.5)


def test_the_clock_follows_the_sender_and_ignores_late_arrivals():
    clock = StreamClock()
    assert clock.unix_time(0.0, 1000.5) == 1000.5
    assert clock.unix_time(1.0, 1001.0) == 1001.0  # the first frame came late, from a buffer
    assert clock.unix_time(2.0, 1004.0) == pytest.approx(1002.001)  # the network was slow
    assert clock.unix_time(3.0, 1063.0) == 1063.0  # the sender stood still for a minute


def test_the_clock_follows_a_slow_drift():
    clock = StreamClock()
    times = [clock.unix_time(second, second * 1.0005) for second in range(10_000)]
    assert times[-1] == pytest.approx(9_999 * 1.0005, abs=0.1)
