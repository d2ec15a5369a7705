"""An RTSP server for tests, run by the system's Python: `/usr/bin/python3 rtsp_server.py PORT NAME=FILE.mp4 ...`.

Each H.264 file is served at `rtsp://127.0.0.1:PORT/NAME`, again and again, at its own pace, over TCP and UDP. A client
begins where the stream is: inside a group of pictures. It prints "ready" and ends with its standard input.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


class LoopedFile(GstRtspServer.RTSPMediaFactory):
    """One file, seen by all clients at the same position; at its end it starts again."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.set_shared(True)
        self.set_suspend_mode(GstRtspServer.RTSPSuspendMode.NONE)

    def do_create_element(self, url):
        loop = f'multifilesrc location="{self.path}" loop=true ! h264parse ! video/x-h264,framerate=25/1'
        return Gst.parse_launch(f"( {loop} ! identity sync=true ! rtph264pay name=pay0 pt=96 config-interval=-1 )")


def main(port, files):
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    for name, path in (entry.split("=", 1) for entry in files):
        server.get_mount_points().add_factory(f"/{name}", LoopedFile(path))
    server.attach(None)
    loop = GLib.MainLoop()
    print("ready", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
