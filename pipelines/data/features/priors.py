"""A prior for feature files: numbers from elsewhere, higher where an abnormal event is more likely.

A pose model, an audio alarm or a zone of the picture gives one number per row of features, or one per row and patch, in
a file with the name of the video. NaN means that a number is not known. Imports no TensorFlow.
"""

import numpy as np

from pipelines.data.features.files import FeatureError, FeatureFolder


class PriorFolder(FeatureFolder):
    """The prior files under a folder, found by the name of their video as feature files are.

    Args:
        root: A folder, searched recursively, or one ``.npz`` file.
        suffix: ``features.suffix``, which the name of a prior file may have, too.

    Raises:
        UserError: The folder does not exist, or holds no file.
    """

    SETTING, CONTENT = "features.prior_root", "prior"
    CHOOSE = "Set `features.prior_root` to a folder that holds one of them."
    RENAME = "If {near} holds it, remove `{suffix}` from its name."
    UNNAMED = (["arr_0"], ["prior"])

    def __init__(self, root, suffix=""):
        super().__init__(root, suffix)
        self.suffixes = tuple(dict.fromkeys(["", *self.suffixes]))

    def read(self, video_id, num_rows, num_patches):
        """Read the prior of a video, float32 ``(num_rows, num_patches)``; one per row holds for all patches.

        Raises:
            FeatureError: There is none, or it does not fit. The text names the file and the fix.
        """
        found = self.find(video_id)
        first, shape = found.arrays[0], found.shapes[0]
        if len(found.arrays) > 1:  # one file per crop
            shape = (*shape, len(found.arrays))
        if shape not in ((num_rows,), (num_rows, 1), (num_rows, num_patches)):
            raise first.error(
                f"has shape {shape}, but the features have {num_rows} rows of {num_patches}. Save a number per row, "
                f"{(num_rows,)}, or per row and patch, {(num_rows, num_patches)}. Of a score per frame, save the mean "
                "or the maximum over the frames of each row"
            )
        with np.errstate(over="ignore"):
            values = np.stack([array.values() for array in found.arrays], axis=-1).astype(np.float32)
        if np.isinf(values).any():
            raise first.error(
                f"{np.isinf(values).sum():,} values are infinite or beyond float32. Limit them, for example log-odds "
                "to -10..10. NaN means that a value is not known"
            )
        return np.broadcast_to(values.reshape(num_rows, -1), (num_rows, num_patches))

    def stamp(self, video_id):
        """Return facts that change with the prior of a video; of one that cannot be used, why."""
        try:
            return [array.stamp() for array in self.find(video_id).arrays]
        except FeatureError as error:
            return str(error)
