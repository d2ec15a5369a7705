"""Multi-scale patches of a frame."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import keras
from keras import ops

from vad_keras import checks
from vad_keras.spec import DEFAULT_SCALES, num_patches
from vad_keras.typing import Shape, Tensor

Pooling = Literal["max", "average"]


def bin_edges(size: int, scale: int) -> list[tuple[int, int]]:
    """Adaptive bins ``[floor(i size / scale), ceil((i + 1) size / scale))``; they overlap where it does not divide.

    Example:

    >>> bin_edges(7, 3)
    [(0, 3), (2, 5), (4, 7)]
    """
    return [(i * size // scale, -(-(i + 1) * size // scale)) for i in range(scale)]


def window(edges: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Size and stride of bins that are alike and evenly spaced, else None.

    Example:

    >>> window(bin_edges(7, 3)), window(bin_edges(5, 3))
    ((3, 2), None)
    """
    sizes = {stop - start for start, stop in edges}
    strides = {second[0] - first[0] for first, second in pairwise(edges)} or {1}
    return (sizes.pop(), strides.pop()) if len(sizes) == len(strides) == 1 and 0 not in strides else None


@keras.saving.register_keras_serializable("vad_keras")
class MultiScalePatchPooling(keras.layers.Layer):
    """Pool feature maps into the patches of several grids.

    A scale ``s`` cuts a map into ``s * s`` patches; the whole frame is scale 1. Patches come scale by scale, row by
    row, so that patch 0 is the whole frame when scale 1 comes first.

    1. cut rows and columns into the adaptive bins of each scale (7 rows at scale 3: 0-2, 2-4 and 4-6);
    2. pool each bin globally, over its rows and then over its columns: ``(..., G, C)``, ``G = sum(s * s)``.

    Args:
        scales: grids, as patches along one side.
        mode: ``"max"`` (Sec 4.2, used in the experiments) or ``"average"`` (Sec 3.2).

    Call arguments:
        maps: ``(..., H, W, C)`` with static ``H`` and ``W``.

    Output shape:
        ``(..., G, C)``.

    Raises:
        ValueError: for an empty or non-positive scale, an unknown mode, or maps whose ``H`` or ``W`` is unknown.

    Example:

    >>> import numpy as np
    >>> maps = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    >>> ops.convert_to_numpy(MultiScalePatchPooling(scales=(1, 2))(maps))[0, :, 0].tolist()
    [15.0, 5.0, 7.0, 13.0, 15.0]

    Reference:
        Purwanto, Chen, Fang, ICCV 2021, Sec 3.2 and 4.2.
    """

    def __init__(self, scales: Sequence[int] = DEFAULT_SCALES, mode: Pooling = "max", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.integer_lists(1, scales=scales)
        checks.choice(get_args(Pooling), mode=mode)
        self.scales = tuple(int(scale) for scale in scales)
        self.mode = mode
        self.supports_masking = True

    def _grid(self, maps: Tensor, scale: int) -> Tensor:
        """Patches of one scale: ``(N, H, W, C)`` -> ``(N, s * s, C)``."""
        rows, columns = (bin_edges(size, scale) for size in maps.shape[1:3])
        of_rows, of_columns = window(rows), window(columns)
        if of_rows is None or of_columns is None:
            bands = self._slices(maps, rows)
            return ops.stack([patch for band in bands for patch in self._slices(band, columns)], axis=1)
        # One operation, and a gradient 12 times as fast as that of the slices.
        size, strides = zip(of_rows, of_columns, strict=True)
        pool = ops.max_pool if self.mode == "max" else ops.average_pool
        patches = pool(maps, size, strides, padding="valid", data_format="channels_last")
        return ops.reshape(patches, (-1, scale * scale, maps.shape[-1]))

    def _slices(self, maps: Tensor, edges: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Pool bins along axis 1: a list with a map for each bin, that axis removed."""
        reduce = ops.max if self.mode == "max" else ops.mean
        return [reduce(maps[:, start:stop], axis=1) for start, stop in edges]

    def call(self, maps: Tensor) -> Tensor:
        self._check(maps.shape)
        flat = ops.reshape(maps, (-1, *maps.shape[-3:]))
        patches = ops.concatenate([self._grid(flat, scale) for scale in self.scales], axis=1)
        return ops.reshape(patches, (*ops.shape(maps)[:-3], *patches.shape[1:]))

    def _check(self, shape: Shape) -> None:
        if len(shape) < 3 or shape[-3] is None or shape[-2] is None:
            raise ValueError(
                f"`maps` must have shape (..., H, W, C) with H and W known. Received: {tuple(shape)}. "
                "Fix the image size of the backbone's input."
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._check(input_shape)
        return (*input_shape[:-3], num_patches(self.scales), input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scales": self.scales, "mode": self.mode}
