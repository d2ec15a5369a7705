"""A ``LiveView`` that does what a test says."""

import dataclasses
import io
import time
from queue import Full, Queue

import numpy as np
from PIL import Image

from pipelines.live import CameraStatus


def a_picture(seed=0, size=(160, 120)):
    """Return a JPEG that differs from one seed to the next."""
    width, height = size
    pixels = np.full((height, width, 3), 40 + 20 * (seed % 8), np.uint8)
    pixels[:, (9 * seed) % width : (9 * seed) % width + 30] = 220
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


class FakeView:
    """Cameras that a test changes by hand."""

    def __init__(self, *names):
        self.cameras, self.queues, self.pictures, self.patches = {}, [], {}, {}
        for name in names:
            self.add(name)

    def add(self, name, **values):
        now = time.time()
        live = {"state": "live", "since": now - 60, "score": 0.25, "score_time": now, "frames_scored": 120}
        self.cameras[name] = CameraStatus(name, **{**live, "latency_sec": 0.2, **values})
        self.pictures[name] = a_picture(len(self.cameras))
        self.patches[name] = (np.linspace(0, 0.9, 14), (1, 2, 3))

    def change(self, name, **values):
        """Change a camera and send its message."""
        self.cameras[name] = camera = dataclasses.replace(self.cameras[name], **values)
        message = {"type": "state", "camera": name, "time": camera.since, "state": camera.state}
        self.send({**message, "health": camera.health, "reason": camera.reason})

    def send(self, message):
        for queue in list(self.queues):
            try:
                queue.put_nowait(message)
            except Full:
                queue.get_nowait()
                queue.put_nowait(message)

    def statuses(self):
        return list(self.cameras.values())

    def picture(self, name):
        return self.pictures[name]

    def patch_scores(self, name):
        return self.patches[name]

    def pause(self, name, paused):
        self.change(name, state="paused" if paused else "live", since=time.time())

    def set_zones(self, name, zones):
        self.cameras[name] = dataclasses.replace(self.cameras[name], zones=tuple(zones))

    def subscribe(self):
        self.queues.append(Queue(500))
        return self.queues[-1]

    def unsubscribe(self, queue):
        self.queues.remove(queue)
