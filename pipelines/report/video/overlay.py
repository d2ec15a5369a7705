"""What is drawn over the frames of a scored video: the patch map, the border of an alarm and a score bar below."""

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont

from pipelines.report.plots.canvas import ALARM, MUTED, SCORE, format_time
from pipelines.report.plots.heat_map import COLORS, patch_heat_map

MAP_OPACITY = 0.55  # of a patch with score 1; a patch with score 0 is invisible
BAR_GROUND, BAR_INK = (18, 23, 28), (255, 255, 255)
BAR_PART, BAR_MIN_PX = 0.14, 36  # of the height of the picture
LABEL_EMS = 3.6  # width of the score and the time, in heights of their letters
NARROWEST_LABEL_PX = 160  # a narrower video has no room for text


def _rgb(color):
    return np.array([round(255 * part) for part in to_rgb(color)], np.uint8)


class Overlay:
    """Draws on the frames of one video. Each frame keeps its size; the bar is added below.

    Width and height of the result are even, as most decoders require; a column or row of an odd frame is repeated.

    Args:
        times_sec: ``(num_frames,)``.
        scores: ``(num_frames,)`` in [0, 1].
        threshold: The score at which an alarm starts.
        is_alarm: bool ``(num_frames,)``, which frames belong to an alarm.
        map_of_frame: ``(num_frames,)``, row of ``patch_scores`` that is shown with each frame.
        patch_scores: ``(T, G)``.
        scales: Scales of the patches.
        region: Parts of the rows and columns around the centre that the patches cover.
    """

    def __init__(self, times_sec, scores, threshold, is_alarm, map_of_frame, patch_scores, scales, region=(1.0, 1.0)):
        self.times_sec, self.scores, self.threshold = np.asarray(times_sec), np.asarray(scores), threshold
        self.is_alarm = np.asarray(is_alarm)
        self.map_of_frame, self.patch_scores = map_of_frame, patch_scores
        self.scales, self.region = scales, region
        self._size, self._shown = None, None

    def draw(self, frame, rgb):
        """Return the annotated frame, uint8 ``(H + bar, W, 3)``.

        Args:
            frame: Index of the frame.
            rgb: Its pixels, uint8 ``(H, W, 3)``, of the same size in each call.
        """
        if self._size is None:
            self._size = rgb.shape[:2]
            self._bar = self._empty_bar(*self._size)
        if self._shown != self.map_of_frame[frame]:
            self._shown = self.map_of_frame[frame]
            self._color, self._rest = self._map(self.patch_scores[self._shown])
        picture = ((rgb * self._rest + self._color) >> 8).astype(np.uint8)
        if self.is_alarm[frame]:
            _add_border(picture)
        picture = np.pad(picture, [(0, 0), (0, picture.shape[1] % 2), (0, 0)], mode="edge")
        return np.concatenate([picture, self._bar_at(frame)])

    def _map(self, patch_scores):
        """Return the colours times their opacity, uint16 ``(H, W, 3)``, and 256 minus the opacity, ``(H, W, 1)``."""
        height, width = self._size
        rows, columns = (max(1, round(part * size)) for part, size in zip(self.region, self._size, strict=True))
        top, left = (height - rows) // 2, (width - columns) // 2
        heat = np.zeros(self._size)
        heat[top : top + rows, left : left + columns] = patch_heat_map(patch_scores, self.scales, (rows, columns))
        opacity = np.round(256 * MAP_OPACITY * np.clip(heat, 0, 1)).astype(np.uint16)[..., None]
        colors = (255 * COLORS(np.clip(heat, 0, 1))[..., :3]).astype(np.uint16)
        return colors * opacity, 256 - opacity

    def _empty_bar(self, height, width):
        """Return the bar without cursor and numbers, and remember where its curve is."""
        bar_px = max(BAR_MIN_PX, round(BAR_PART * height))
        bar_px += (height + bar_px) % 2
        width += width % 2
        self._font = ImageFont.load_default(size=bar_px * 0.36)
        self._left = round(LABEL_EMS * bar_px * 0.36) if width >= NARROWEST_LABEL_PX else 0
        bar = np.full((bar_px, width, 3), BAR_GROUND, np.uint8)
        margin, columns = max(2, bar_px // 10), width - self._left
        end_sec = self.times_sec[-1] or 1.0
        self._column_of = self._left + np.minimum(self.times_sec / end_sec * (columns - 1), columns - 1).astype(int)
        highest = np.zeros(width)
        np.maximum.at(highest, self._column_of, self.scores)
        known = np.unique(self._column_of)
        highest = highest[known[np.maximum(np.searchsorted(known, np.arange(width), side="right") - 1, 0)]]
        from_bottom = np.arange(bar_px)[::-1, None] - margin
        room = bar_px - 2 * margin
        under = (from_bottom >= 0) & (from_bottom < np.maximum(1, room * highest)[None])
        under[:, : self._left] = False
        bar[under] = _rgb(SCORE)
        bar[under & (highest >= self.threshold)[None]] = _rgb(ALARM)
        line = bar_px - 1 - margin - round((room - 1) * self.threshold)
        bar[line, self._left :][np.arange(columns) % 8 < 4] = _rgb(MUTED)
        return bar

    def _bar_at(self, frame):
        """Return the bar with a cursor at a frame, its score and its time; what is to come is dimmed."""
        bar, column = self._bar.copy(), self._column_of[frame]
        bar[:, column + 1 :] = bar[:, column + 1 :] // 2 + np.array(BAR_GROUND, np.uint8) // 2
        bar[:, max(self._left, column - 1) : column + 1] = BAR_INK
        if not self._left:
            return bar
        picture = Image.fromarray(bar)
        texts = (f"{self.scores[frame]:.2f}", format_time(self.times_sec[frame], max(self.times_sec[-1], 60)))
        color = tuple(_rgb(ALARM)) if self.scores[frame] >= self.threshold else BAR_INK
        for text, middle, fill in zip(texts, (0.27, 0.74), (color, (190, 198, 206)), strict=True):
            place = self._left / 2, middle * bar.shape[0]
            ImageDraw.Draw(picture).text(place, text, fill=tuple(map(int, fill)), font=self._font, anchor="mm")
        return np.asarray(picture)


def _add_border(picture):
    width = max(2, min(picture.shape[:2]) // 60)
    for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        picture[edge] = _rgb(ALARM)
