"""An RTSP server for tests: `/usr/bin/python3 rtsp_server.py PORT NAME=FILE.h264[,FILE] ...` (the system's Python).

Raw H.264 with access unit delimiters is served at `rtsp://127.0.0.1:PORT/NAME`, 25 frames a second, one file after the
other, again and again, over TCP and UDP. All clients see the same picture, so a new one begins inside a group of
pictures. It prints "ready" and ends with its standard input.
"""

import re
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

FRAMES_PER_SEC = 25
DELIMITER = re.compile(rb"(?=\x00\x00\x00\x01\x09)")
SOURCE = "appsrc name=source is-live=true format=time do-timestamp=true"
CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"


class LoopedFiles(GstRtspServer.RTSPMediaFactory):
    """Files that are played one after the other, for ever."""

    def __init__(self, paths):
        super().__init__()
        self.frames = []
        for path in paths:
            with open(path, "rb") as file:
                self.frames += [unit for unit in DELIMITER.split(file.read()) if unit]
        self.set_shared(True)
        self.connect("media-configure", self.play)

    def do_create_element(self, url):
        return Gst.parse_launch(f"( {SOURCE} caps={CAPS} ! h264parse ! rtph264pay name=pay0 )")

    def play(self, _, media):
        source = media.get_element().get_by_name_recurse_up("source")
        threading.Thread(target=self.push, args=(source,), daemon=True).start()

    def push(self, source):
        start, number = time.monotonic(), 0
        while True:
            buffer = Gst.Buffer.new_wrapped(self.frames[number % len(self.frames)])
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            number += 1
            time.sleep(max(0.0, start + number / FRAMES_PER_SEC - time.monotonic()))


def main(port, entries):
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    for name, paths in (entry.split("=", 1) for entry in entries):
        server.get_mount_points().add_factory(f"/{name}", LoopedFiles(paths.split(",")))
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
