"""Decoded frames to pixels: the square that a model sees, a picture for people, and a small grey one."""

import io

from PIL import Image

from pipelines.data.orientation import is_transposed, upright
from vad_keras.spec import CENTER_CROP


def square_rgb(frame, matrix, size_px, crop=False):
    """Return a frame as an upright square, uint8 ``(size_px, size_px, 3)``.

    Args:
        frame: ``av.VideoFrame``.
        matrix: Its orientation, see ``Orientation``.
        size_px: Side of the square.
        crop: Cut the centre: the frame is resized to more than the square, of which the rim is dropped.
    """
    height = width = size_px
    if crop:
        height, width = (round(size_px / part) for part in CENTER_CROP)
    if is_transposed(matrix):
        height, width = width, height
    rgb = frame.reformat(width=width, height=height, format="rgb24", threads=1).to_ndarray()
    top, left = (height - size_px) // 2, (width - size_px) // 2
    return upright(rgb[top : top + size_px, left : left + size_px], matrix)


def picture_jpeg(frame, matrix, longest_px, quality=80):
    """Return a frame as an upright JPEG picture in its proportions, no side longer than ``longest_px``."""
    scale = min(1.0, longest_px / max(frame.width, frame.height))
    size = {"width": max(1, round(frame.width * scale)), "height": max(1, round(frame.height * scale))}
    rgb = upright(frame.reformat(**size, format="rgb24", threads=1).to_ndarray(), matrix)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def grey_picture(frame, width_px=160, height_px=120):
    """Return the brightness of a frame, uint8 ``(height_px, width_px)``, as it is stored, not turned upright."""
    return frame.reformat(width=width_px, height=height_px, format="gray", threads=1).to_ndarray()
