"""Pixel masks of the events in a dataset, used to measure where a detector finds them, never to train.

``pixel_masks.npz``, under ``data.root`` or ``data.annotations``, has one array per abnormal video. Its key is the path
of the video, with or without suffix, or its last part if that is unique. The array is ``np.packbits`` along the last
axis of a bool array ``(num_frames, height, width)`` of the original frames.
"""

from pathlib import Path

import numpy as np

from pipelines.config import UserError
from pipelines.data.listing.lists import match_keys, read_array, read_keys

MASKS_NAME = "pixel_masks.npz"


class PixelMasks:
    """The masks of a dataset; without a file there are none.

    Args:
        data: Section ``data`` of the run's ``Config``.
        videos: ``VideoInfo`` entries of the dataset.

    Raises:
        UserError: The file cannot be read, or a key fits several videos.
    """

    def __init__(self, data, videos):
        folders = [Path(folder) for folder in (data.annotations, data.root) if folder]
        self.path = next((folder / MASKS_NAME for folder in folders if (folder / MASKS_NAME).is_file()), None)
        self._keys = match_keys(self.path, read_keys(self.path), videos) if self.path else {}

    def of(self, video):
        """Return the mask of a ``VideoInfo``, bool ``(num_frames, height, width)``; None when there is none.

        Raises:
            UserError: It cannot be read, or has another size or fewer frames than the video.
        """
        if video.video_id not in self._keys:
            return None
        packed = read_array(self.path, self._keys[video.video_id])
        size = (video.num_frames, video.height, -(-video.width // 8))
        fits = packed.ndim == 3 and packed.shape[1:] == size[1:] and len(packed) >= video.num_frames
        if not fits or packed.dtype != np.uint8:
            raise UserError(
                f"{self.path}: the mask of `{video.video_id}` must have the packed shape {size}. "
                f"Received: {packed.shape}, {packed.dtype}. Write it again, or remove it."
            )
        return np.unpackbits(packed[: video.num_frames], axis=-1, count=video.width).astype(bool)
