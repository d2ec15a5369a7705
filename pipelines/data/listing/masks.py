"""Pixel masks of the events in a dataset, used to measure where a detector finds them, never to train.

``pixel_masks.npz``, under ``data.root`` or ``data.annotations``, has one array per abnormal video. Its key is the id of
the video or the last part of it. The array is ``np.packbits`` along the last axis of a bool array
``(num_frames, height, width)`` of the original frames.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from pipelines.config import UserError
from pipelines.data.listing.lists import read_arrays

MASKS_NAME = "pixel_masks.npz"


class PixelMasks:
    """The masks of a dataset; without a file there are none.

    Args:
        data: Section ``data`` of the run's ``Config``.
    """

    def __init__(self, data):
        folders = [Path(folder) for folder in (data.annotations, data.root) if folder]
        self.path = next((folder / MASKS_NAME for folder in folders if (folder / MASKS_NAME).is_file()), None)
        self._arrays = read_arrays(self.path) if self.path else {}

    def of(self, video):
        """Return the mask of a ``VideoInfo``, bool ``(num_frames, height, width)``; None when there is none.

        Raises:
            UserError: It has another size or fewer frames than the video.
        """
        name = PurePosixPath(video.video_id).name
        packed = self._arrays.get(video.video_id, self._arrays.get(name))
        if packed is None:
            return None
        size = (video.num_frames, video.height, -(-video.width // 8))
        if packed.ndim != 3 or packed.shape[1:] != size[1:] or len(packed) < video.num_frames:
            raise UserError(
                f"{self.path}: the mask of `{video.video_id}` must have the packed shape {size}. "
                f"Received: {packed.shape}. Write it again, or remove it."
            )
        return np.unpackbits(packed[: video.num_frames], axis=-1, count=video.width).astype(bool)
