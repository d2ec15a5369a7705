"""Clips of a camera: cut from the packets of the last seconds, or from the file that is played."""

import threading
from collections import deque

import av

from pipelines.data.video_stream import choose_stream, open_container
from pipelines.live.packet_ring import PacketRing

MAX_RING_BYTES = 64 << 20
RECENT_FILES = 8
FIRST_FRAME_SEC = 60.0


class ClipSource:
    """Where the clips of a camera come from. Packets are copied, not decoded.

    Args:
        ring_sec: Seconds of packets that are kept.
    """

    def __init__(self, ring_sec):
        self.ring_sec = ring_sec
        self._lock, self._ring = threading.Lock(), None  # the reader adds packets, another thread writes clips
        self._files = deque(maxlen=RECENT_FILES)  # scoring may be that many files behind

    def use_file(self, path, start):
        """Cut clips from a file whose first frame has the Unix time ``start``."""
        with self._lock:
            self._files.append((path, start))

    def add(self, packet, unix_time):
        """Keep a packet of the stream."""
        with self._lock:
            if self._ring is None:
                self._ring = PacketRing(self.ring_sec, MAX_RING_BYTES)
            self._ring.add(packet, unix_time)

    def write(self, path, start, end):
        """Write what there is between two Unix times, from the key frame before; return why not, else an empty text."""
        with self._lock:
            try:
                if self._ring is not None:
                    seconds = self._ring.write(path, start, end)
                else:
                    seconds = self._write_from_file(path, start, end)
            except (av.error.FFmpegError, OSError, ValueError) as error:
                return getattr(error, "strerror", None) or type(error).__name__
        return "" if seconds else "no packets of that time are left"

    def _write_from_file(self, path, start, end):
        known = [entry for entry in self._files if entry[1] <= start + FIRST_FRAME_SEC] or list(self._files)[:1]
        if not known:
            return 0.0
        source, first = max(known, key=lambda entry: entry[1])
        with open_container(source) as container:
            stream, _ = choose_stream(source, container)
            begin = float((stream.start_time or 0) * stream.time_base)
            container.seek(round(max(start - first + begin, 0) / stream.time_base), stream=stream)
            ring = PacketRing(end - start + 60.0, MAX_RING_BYTES)
            for packet in container.demux(stream):
                if not packet.size:
                    break
                stamp = packet.pts if packet.pts is not None else packet.dts
                unix_time = first + float(stamp * packet.time_base) - begin if stamp is not None else end
                if unix_time > end:
                    break
                ring.add(packet, unix_time)
            return ring.write(path, start, end)
