"""The health of a camera: a black, white, frozen, blurred or moved picture is a state of the camera, not an anomaly."""

from dataclasses import dataclass

import numpy as np

BLACK_LEVEL, WHITE_LEVEL, NEARLY_ALL = 40, 225, 0.98  # of 255: nearly all pixels are darker, or brighter
FLAT_CONTRAST = 3.0  # standard deviation of a picture without content
CONFIRM_FRAMES, CONFIRM_SEC = 3, 2.0
# Two pictures of 160 x 120 are equal if no pixel differs by more, of 255. A stopped camera behind an encoder sends
# equal pictures, except at key frames. Of real cameras at most 17 % of the pictures of any 30 s are.
STILL_DIFFERENCE = 4
FROZEN_SHARE, FROZEN_SEC = 0.6, 30.0
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
HOLD_SEC = {"black": CONFIRM_SEC, "white": CONFIRM_SEC, "frozen": CONFIRM_SEC, "blurred": BLURRED_SEC}
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
        self._last, self._last_time, self._still_share = None, None, 0.0
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
        seen = flat or self._judged(time_sec, gap, grey.astype(np.int16))
        self._last_time = time_sec
        self._confirm(seen, time_sec)
        return Health(self._state, self._state == "ok" and not flat)

    def _judged(self, time_sec, gap, grey):
        is_still = self._last is not None and np.abs(grey - self._last).max() <= STILL_DIFFERENCE
        self._last = grey
        self._still_share = _towards(self._still_share, float(is_still), gap, FROZEN_SEC)
        if self._still_share >= FROZEN_SHARE:
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
    if (grey <= BLACK_LEVEL).mean() >= NEARLY_ALL:
        return "black"
    if (grey >= WHITE_LEVEL).mean() >= NEARLY_ALL:
        return "white"
    if grey.std() >= FLAT_CONTRAST:
        return ""
    return "black" if grey.mean() < 128 else "white"


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
