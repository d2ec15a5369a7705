"""The health of a camera: a black, white, frozen, blurred or moved picture is a state of the camera, not an anomaly."""

from dataclasses import dataclass

import numpy as np

BLACK_LEVEL, WHITE_LEVEL = 40, 225  # of 255: nearly all pixels are darker, or brighter
FLAT_CONTRAST = 3.0  # standard deviation of a picture without content
CONFIRM_FRAMES, CONFIRM_SEC = 3, 2.0
STILL_DIFFERENCE = 2.0  # of 255, largest of a picture of 160 x 120; real cameras stay below it for 3.5 s at most
FROZEN_SEC = 30.0
LEARNING_SEC = 60.0  # of good pictures, before "blurred" and "moved" are judged
SHARPNESS_SEC = 600.0  # over so long the usual sharpness is learned
BLURRED_SHARE = 0.2  # of the usual sharpness
BLURRED_SEC = 10.0
SHORT_SEC, LONG_SEC = 5.0, 300.0  # what is seen now, and the reference that it is compared with
MOVED_CORRELATION = 0.4
MOVED_SEC = 10.0
ACCEPTED_SEC = 120.0  # a view that has stayed so long is the new reference
CELL_PX = 8

REASONS = {
    "ok": "",
    "black": "the picture is black",
    "white": "the picture is white",
    "frozen": "the picture does not change any more",
    "blurred": "the picture is blurred",
    "moved": "the camera shows another view",
}
HOLD_SEC = {"black": CONFIRM_SEC, "white": CONFIRM_SEC, "frozen": FROZEN_SEC, "blurred": BLURRED_SEC}
HOLD_SEC |= {"moved": MOVED_SEC, "ok": CONFIRM_SEC}


@dataclass(frozen=True)
class Health:
    """What is known after a frame.

    Args:
        state: One of ``pipelines.live.HEALTH``.
        usable: Whether the frame may be scored: the camera is well, and this frame is neither black nor white.
    """

    state: str
    usable: bool

    @property
    def reason(self):
        """The state in words."""
        return REASONS[self.state]


class HealthMonitor:
    """Judges the pictures of one camera. Memory and work per frame are constant.

    A state is reported when it has held for some seconds and for three frames in a row, so that a flash or a lost frame
    is none. "blurred" and "moved" compare with what the camera usually shows, which takes a minute to learn. A
    view that stays for two minutes becomes the usual one.
    """

    def __init__(self):
        self._state, self._candidate = "ok", ("ok", 0, 0.0)  # state, frames, since
        self._last, self._last_time, self._still_since = None, None, None
        self._learned_sec = 0.0
        self._sharpness = None
        self._short = self._long = None

    def update(self, time_sec, grey):
        """Take the next picture, uint8 ``(H, W)``, brightness, and return the ``Health``.

        Args:
            time_sec: Time of the frame, rising.
            grey: All pictures of a camera have the same shape.
        """
        gap = 0.0 if self._last_time is None else min(max(time_sec - self._last_time, 0.0), SHORT_SEC)
        flat = _without_content(grey)
        seen = flat or self._judged(time_sec, gap, grey.astype(np.float32))
        self._last_time = time_sec
        self._confirm(seen, time_sec)
        return Health(self._state, self._state == "ok" and not flat)

    def _judged(self, time_sec, gap, grey):
        still = self._last is not None and np.abs(grey - self._last).max() <= STILL_DIFFERENCE
        self._last = grey
        if still:
            return "frozen"
        view, sharpness = _view(grey), _sharpness(grey)
        self._short = _towards(self._short, view, gap, SHORT_SEC)
        if self._long is None:
            self._long, self._sharpness = view, sharpness
        is_learned = self._learned_sec >= LEARNING_SEC
        if is_learned and sharpness < BLURRED_SHARE * self._sharpness:
            return "blurred"
        if is_learned and _correlation(self._short, self._long) < MOVED_CORRELATION:
            if self._candidate[0] == "moved" and time_sec - self._candidate[2] >= ACCEPTED_SEC:
                self._long, self._sharpness = self._short, sharpness
                return "ok"
            return "moved"
        self._learned_sec += gap
        pace = LONG_SEC if is_learned else max(self._learned_sec, SHORT_SEC)
        self._long = _towards(self._long, view, gap, pace)
        self._sharpness = _towards(self._sharpness, sharpness, gap, min(pace, SHARPNESS_SEC))
        return "ok"

    def _confirm(self, seen, time_sec):
        state, frames, since = self._candidate
        self._candidate = (seen, frames + 1, since) if seen == state else (seen, 1, time_sec)
        _, frames, since = self._candidate
        if frames >= CONFIRM_FRAMES and time_sec - since >= HOLD_SEC[seen]:
            self._state = seen


def _without_content(grey):
    """Return "black" or "white" if the picture is, else an empty text."""
    low, high = np.percentile(grey, (2, 98))
    if high <= BLACK_LEVEL or (grey.std() < FLAT_CONTRAST and grey.mean() < 128):
        return "black"
    return "white" if low >= WHITE_LEVEL or grey.std() < FLAT_CONTRAST else ""


def _sharpness(grey):
    """Variance of the Laplacian."""
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def _view(grey):
    """The coarse picture with its brightness and contrast removed."""
    rows, columns = (size // CELL_PX for size in grey.shape)
    cells = grey[: rows * CELL_PX, : columns * CELL_PX].reshape(rows, CELL_PX, columns, CELL_PX).mean(axis=(1, 3))
    cells = cells - cells.mean()
    return cells / max(float(np.linalg.norm(cells)), 1e-6)


def _correlation(a, b):
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6))


def _towards(average, value, gap, pace_sec):
    return value if average is None else average + (value - average) * min(1.0, gap / pace_sec)
