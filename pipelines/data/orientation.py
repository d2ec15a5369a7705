"""How the pictures of a video are turned upright: multiples of 90 degrees and mirroring, however the file states it."""

import math

import numpy as np
from av.sidedata.sidedata import Type

LARGEST_REST_DEGREES = 1.0  # as in the program ffmpeg


def _unnamed_kind(cls, value):
    kind = object.__new__(cls)
    kind._name_, kind._value_ = f"KIND_{value}", value
    return kind


Type._missing_ = classmethod(_unnamed_kind)  # else PyAV reads no side data of a frame that has EXIF data too


class Orientation:
    """Orientation of the frames of one stream.

    FFmpeg gives each of these as a display matrix with the frame, and the program ``ffmpeg`` applies it: the matrix of
    a track (MP4, MOV), the roll of a projection (Matroska), EXIF data (JPEG, PNG, TIFF), the display orientation SEI
    (H.264, HEVC). The SEI comes with key frames only and holds until the next one. Other angles than multiples of 90
    degrees ``ffmpeg`` applies with black corners; here the nearest multiple is applied, and ``lost`` names the angle.
    The tag ``rotate``, which FFmpeg wrote into Matroska until version 4 and now ignores, is applied where there is no
    matrix.

    Args:
        tags: Metadata of the file and the stream.

    Attributes:
        lost: Texts about what was not applied.
    """

    def __init__(self, tags=()):
        self.lost, self._has_seen = set(), False
        self._matrix = self._of_tags(dict(tags))

    def of(self, frame):
        """Return the matrix of the next frame, ``((a, b), (c, d))`` of -1, 0 and 1; None if there is none.

        It maps (x, y) to (a x + c y, b x + d y), y downwards.
        """
        if self._has_seen and not frame.key_frame:  # PyAV frees a frame whose side data was read only when it collects
            return self._matrix
        self._has_seen = True
        try:
            data = frame.side_data["DISPLAYMATRIX"]
        except KeyError:
            return self._matrix
        rows = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].astype(float)
        self._matrix = self._quarter_turns(rows)
        return self._matrix

    def _of_tags(self, tags):
        matrix = None
        for key, value in tags.items():
            if key.lower() == "rotate" and _number(value) is not None:
                angle = math.radians(_number(value))  # clockwise
                rows = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
                matrix = self._quarter_turns(np.array(rows))
            elif ("rotat" in key.lower() or "orientation" in key.lower()) and _number(value) != 0:
                self.lost.add(f"orientation {key}={value} is not applied")
        return matrix

    def _quarter_turns(self, rows):
        """Return the nearest matrix of quarter turns and mirroring; name what is left."""
        lengths = np.linalg.norm(rows, axis=1)
        if not lengths.all():
            self.lost.add("the display matrix is not a rotation and is not applied")
            return None
        unit = rows / lengths[:, None]
        (a, b), (c, d) = unit
        signs = np.where(unit < 0, -1, 1)
        found = signs * (np.array([[0, 1], [1, 0]]) if abs(a) + abs(d) < abs(b) + abs(c) else np.eye(2, dtype=int))
        rest = math.degrees(math.acos(min(1.0, (unit * found).sum(axis=1).min())))
        if rest > LARGEST_REST_DEGREES:
            stated = math.degrees(math.atan2(b, a)) % 360
            self.lost.add(f"a clockwise rotation by {stated:.0f} degrees is applied as the nearest multiple of 90")
        return tuple(map(tuple, found.tolist()))


def is_transposed(matrix):
    """Whether width and height are exchanged."""
    return matrix is not None and matrix[0][0] == 0


def upright(rgb, matrix):
    """Apply a matrix of ``Orientation`` to (square) pixels ``(H, W, 3)``.

    Example:
    >>> upright(np.array([[[1], [2]], [[3], [4]]]), ((0, 1), (-1, 0)))[..., 0].tolist()
    [[3, 1], [4, 2]]
    """
    if matrix is None:
        return rgb
    (a, b), (c, d) = matrix
    if is_transposed(matrix):
        rgb, a, d = rgb.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None
