"""Distance of nodes to nodes of normal videos: a prior with a place, from videos that are normal everywhere."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from vad_keras import checks
from vad_keras.typing import Shape, Tensor

ROWS_PER_STEP = 128  # distances to so many rows are in memory at once


@keras.saving.register_keras_serializable("vad_keras")
class NormalMemory(keras.layers.Layer):
    """Keep nodes of normal videos, and give each node the Euclidean distance to the nearest of them.

    A normal video is normal in each of its frames and patches, so its nodes need no further labels. ``adapt`` draws
    them evenly; a coreset that covers them is no better on UCSD Ped2 and takes far longer. They are weights that are
    not trained: a saved model holds them.

    Args:
        size: number of nodes to keep.

    Call arguments:
        nodes: ``(..., C)``.

    Output shape:
        ``(...)``, float32. No gradient passes.

    Raises:
        ValueError: for a size below 1, or bags without a node.

    Example:

    >>> import numpy as np
    >>> memory = NormalMemory(size=2)
    >>> bags = memory.adapt([np.array([[[0.0, 0.0]]]), np.array([[[3.0, 0.0]]])])
    >>> bags.tolist(), float(memory(np.array([3.0, 4.0], "float32")))
    ([0, 1], 4.0)

    Reference:
        Roth, Pemula, Zepeda, Schoelkopf, Brox, Gehler: Towards Total Recall in Industrial Anomaly Detection, CVPR 2022
        (PatchCore), whose memory holds patches of normal pictures.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        checks.integers(1, size=size)
        self.size = size

    def build(self, input_shape: Shape) -> None:
        self.rows = self.add_weight(
            name="rows", shape=(self.size, input_shape[-1]), initializer="zeros", trainable=False, autocast=False
        )
        self.built = True

    def adapt(self, bags: Sequence[NDArray[Any]], seed: int = 0) -> NDArray[np.intp]:
        """Draw the rows from the nodes of normal videos.

        Args:
            bags: list with the nodes of each video, ``(T, G, C)``.
            seed: of the draw.

        Returns:
            int ``(size,)``, the position in ``bags`` of the video of each row.
        """
        counts = np.array([bag.shape[0] * bag.shape[1] for bag in bags], dtype=int)
        if not counts.sum():
            raise ValueError("`bags` must hold at least one node of a normal video.")
        if not self.built:
            self.build(bags[0].shape)
        random = np.random.default_rng(seed)
        drawn = np.sort(random.choice(counts.sum(), self.size, replace=self.size > counts.sum(), shuffle=False))
        ends = np.cumsum(counts)
        owners = np.searchsorted(ends, drawn, side="right")
        places = drawn - (ends - counts)[owners]
        rows = [np.reshape(bag, (-1, bag.shape[-1]))[places[owners == i]] for i, bag in enumerate(bags)]
        self.rows.assign(np.concatenate(rows).astype("float32"))
        return owners

    def call(self, nodes: Tensor) -> Tensor:
        return self.distances(nodes, ops.convert_to_tensor(self.rows))

    def distances(self, nodes: Tensor, rows: Tensor) -> Tensor:
        """Distance of nodes ``(..., C)`` to the nearest of some rows ``(M, C)``: ``(...)``."""
        nodes, rows = ops.stop_gradient(ops.cast(nodes, "float32")), ops.cast(rows, "float32")
        missing = -rows.shape[0] % min(ROWS_PER_STEP, rows.shape[0])
        rows = ops.concatenate([rows, rows[:missing]], axis=0)  # again: no other distance
        steps = ops.reshape(rows, (-1, min(ROWS_PER_STEP, rows.shape[0]), rows.shape[-1]))
        flat = ops.reshape(nodes, (-1, nodes.shape[-1]))

        def nearer(nearest: Tensor, rows: Tensor) -> tuple[Tensor, None]:
            parts = ops.sum(ops.square(rows), axis=-1) - 2.0 * ops.matmul(flat, ops.transpose(rows))
            return ops.minimum(nearest, ops.min(parts, axis=-1)), None

        nearest, _ = ops.scan(nearer, ops.full_like(flat[:, 0], float("inf")), steps)
        squared = ops.maximum(nearest + ops.sum(ops.square(flat), axis=-1), 0.0)
        return ops.stop_gradient(ops.reshape(ops.sqrt(squared), ops.shape(nodes)[:-1]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape[:-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}
