"""Small videos, a fake engine, and a real RTSP server."""

import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.serving.model_info import ModelInfo
from tests import videos

SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = Path("/usr/bin/python3")
IMPORT = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def write_video(path, num_frames=25, fps=5, **options):
    """A file as a camera encodes it: no reordered frames, a key frame every ten, with its parameters."""
    encoder = {"bf": "0", "g": "10", "preset": "ultrafast", "x264-params": "aud=1:repeat-headers=1"}
    return videos.write_video(path, num_frames, fps, stream_options=encoder, **options)


def wait_until(condition, timeout_sec=60.0):
    """Wait for a thread or a process; fail when it takes too long."""
    end = time.monotonic() + timeout_sec
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class BrightnessEngine:
    """The score of a frame is its brightness; cliques are causal, so it is known at once."""

    version, sha256 = "1", ""

    def __init__(self, clip_frames=2, fps=0.0, alignment="causal"):
        facts = {"clip_frames": clip_frames, "image_size_px": 16, "num_patches": 5, "scales": (1, 2)}
        facts |= {"jpeg_quality": 100, "temporal_reach": (0, 0), "frames_per_sec": fps, "crop": False}
        facts |= {"name": "brightness", "threshold": 0.5, "takes_prior": False, "feature_dim": 1}
        config = {"detector": {"temporal_localities": [1, 3], "alignment": alignment}}
        self.info = ModelInfo(**facts, config=config)
        self.num_extracted = 0

    def extract(self, frames):
        self.num_extracted += len(frames)
        return {"nodes": np.repeat(frames.mean(axis=(1, 2, 3))[:, None, None] / 255, 5, axis=1)}

    def score_nodes(self, inputs):
        nodes = inputs["nodes"][..., 0]
        return {"anomaly_score": nodes.max(axis=1), "patch_score": nodes}


@pytest.fixture(scope="session")
def rtsp_server(tmp_path_factory):
    """Function that starts a real RTSP server on a port with the stream `/a`, and returns its process."""
    if not SYSTEM_PYTHON.exists() or subprocess.run([SYSTEM_PYTHON, "-c", IMPORT], capture_output=True).returncode:
        pytest.skip("gst-rtsp-server is not installed: apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi")
    stream = write_video(tmp_path_factory.mktemp("rtsp") / "a.h264", 50, 25, format="h264")
    processes = []

    def start(port):
        command = [SYSTEM_PYTHON, SERVER, str(port), f"a={stream}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def lying_server():
    """Function that starts a server that accepts and sends `answer`; returns its port."""
    listeners, connections = [], []

    def start(answer=b""):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                    connections.append(connection)
                    connection.sendall(answer)
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for one in (*listeners, *connections):
        one.close()
