"""What one video may cost: the size and proportions of its frames and the number of its streams."""

MAX_FRAME_PIXELS = 36_000_000  # 8192 x 4320 pixels are 35.4 million
MAX_PROPORTION = 32  # longer side to shorter one; a panorama of four cameras has 7
MAX_STREAMS = 256

OPEN_OPTIONS = {"max_streams": str(MAX_STREAMS)}
DECODER_OPTIONS = {"max_pixels": str(MAX_FRAME_PIXELS)}  # also of frames that grow in the middle of a file


def refusal(width, height):
    """Return why frames of this size are not read, ``""`` if they are.

    Args:
        width, height: In pixels; 0 when they are unknown.

    Example:
    >>> refusal(1920, 1080), refusal(2, 1200)
    ('', 'frames of 2 x 1200 pixels are too narrow: one side may be at most 32 times the other. Crop them first')
    """
    if width * height > MAX_FRAME_PIXELS:
        return (
            f"frames of {width} x {height} pixels are too large: at most {MAX_FRAME_PIXELS / 1e6:g} million pixels are "
            "read. Scale them down first"
        )
    if min(width, height) > 0 and max(width, height) > MAX_PROPORTION * min(width, height):
        return (
            f"frames of {width} x {height} pixels are too narrow: one side may be at most {MAX_PROPORTION} times the "
            "other. Crop them first"
        )
    return ""
