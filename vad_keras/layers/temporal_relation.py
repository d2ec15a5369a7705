"""Multi-scale temporal relations of a snippet (TRN)."""

import math
from typing import Any

import keras
from keras import ops

from vad_keras import checks
from vad_keras.typing import Shape, Tensor


def repeat_last_frame(frames: Tensor, mask: Tensor) -> Tensor:
    """Replace padded frames by the last real one (by zeros where no frame is real).

    Args:
        frames: ``(B, K, ...)``.
        mask: bool ``(B, K)``, padding at the end.

    Returns:
        ``(B, K, ...)``, independent of what the padding holds.

    Example:

    >>> import numpy as np
    >>> frames = np.array([[1.0, 2.0, 9.0]])
    >>> ops.convert_to_numpy(repeat_last_frame(frames, np.array([[True, True, False]]))).tolist()
    [[1.0, 2.0, 2.0]]
    """
    batch, num_frames = ops.shape(frames)[0], frames.shape[1]
    lengths = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
    frame = ops.minimum(ops.arange(num_frames, dtype="int32")[None], ops.maximum(lengths - 1, 0))
    video = ops.arange(batch, dtype="int32")[:, None] * num_frames
    flat = ops.reshape(frames, (-1, *frames.shape[2:]))
    repeated = ops.reshape(ops.take(flat, ops.reshape(video + frame, (-1,)), axis=0), (-1, *frames.shape[1:]))
    some_real = ops.reshape(lengths > 0, (-1,) + (1,) * (len(frames.shape) - 1))
    return ops.where(some_real, repeated, ops.zeros_like(repeated))


def even_tuples(num_frames: int, size: int, count: int) -> list[tuple[int, ...]]:
    """At most ``count`` of the ordered tuples of ``size`` frames, evenly spaced in lexicographic order.

    Example:

    >>> even_tuples(4, 2, 3)
    [(0, 2), (1, 2), (2, 3)]
    """
    total = math.comb(num_frames, size)
    count = min(count, total)
    return [_nth_tuple((2 * i + 1) * total // (2 * count), num_frames, size) for i in range(count)]


def _nth_tuple(rank: int, num_frames: int, size: int) -> tuple[int, ...]:
    """The ``rank``-th ordered tuple in lexicographic order, without listing the ones before it."""
    chosen: list[int] = []
    for frame in range(num_frames):
        behind = math.comb(num_frames - frame - 1, size - len(chosen) - 1) if len(chosen) < size else 0
        if rank < behind:
            chosen.append(frame)
        else:
            rank -= behind
    return tuple(chosen)


@keras.saving.register_keras_serializable("vad_keras")
class TemporalRelation(keras.layers.Layer):
    """Relate ordered tuples of 2, 3, ..., K frames of a snippet and add up their outputs.

    1. ``x_t = W dropout(f_t) + c``: the embedding of each frame, ``(B, K, units)``;
    2. for each scale ``k`` in 2..K take at most ``max_tuples`` tuples ``t_1 < ... < t_k``: sampled in training,
       evenly spaced at inference;
    3. ``g_k = relu(W_k [relu(x_t1); ...; relu(x_tk)] + c_k)``, added over tuples and scales: ``(B, units)``.

    A masked, short snippet repeats its last real frame. ``W`` starts near 0, as in the authors' code: the many added
    tuples would otherwise start with logits in the tens.

    Args:
        units: size of the frame embedding and of the output.
        num_frames: ``K``, 2 or more.
        max_tuples: tuples for each scale.
        dropout: share of the frame features that is dropped in training.
        seed: of dropout and tuples.

    Call arguments:
        frames: ``(B, K, D)``, one feature vector per frame.
        mask: bool ``(B, K)``, True for real frames; padding is at the end. None: all frames are real.
        training: draw tuples and drop features.

    Output shape:
        ``(B, units)``.

    Raises:
        ValueError: for fewer than 2 frames or 1 tuple, or frames that are not ``(B, num_frames, D)``.

    Example:

    >>> import numpy as np
    >>> tuple(TemporalRelation(units=6, num_frames=4)(np.ones((2, 4, 3), "float32")).shape)
    (2, 6)

    Reference:
        Zhou, Andonian, Oliva, Torralba, "Temporal Relational Reasoning in Videos", ECCV 2018, Eq. 3; Sec 3.2 and 4.2 of
        Purwanto, Chen, Fang, ICCV 2021.
    """

    def __init__(
        self,
        units: int,
        num_frames: int,
        max_tuples: int = 3,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.integers(1, units=units, max_tuples=max_tuples)
        checks.integers(2, num_frames=num_frames)  # a relation needs two frames
        checks.numbers_in("[0, 1)", dropout=dropout)
        checks.seed(seed)
        self.units = units
        self.num_frames = num_frames
        self.max_tuples = max_tuples
        self.seed = seed
        self.scales = range(2, num_frames + 1)
        self.dropout = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy, name="dropout")
        tiny = keras.initializers.RandomNormal(stddev=0.001, seed=seed)
        self.embedding = keras.layers.Dense(units, kernel_initializer=tiny, dtype=self.dtype_policy, name="embedding")
        self.relations = [
            keras.layers.Dense(units, activation="relu", dtype=self.dtype_policy, name=f"relation_{scale}")
            for scale in self.scales
        ]
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 3 or input_shape[1] != self.num_frames:
            raise ValueError(
                f"`frames` must have shape (B, {self.num_frames}, D). Received: {tuple(input_shape)}. "
                "Pad and mask a short snippet."
            )
        self.embedding.build(input_shape)
        for scale, relation in zip(self.scales, self.relations, strict=True):
            relation.build((None, None, scale * self.units))
        super().build(input_shape)

    def _tuples(self, scale: int, training: bool) -> Tensor:
        """Step 2: frame positions ``(tuples, scale)``."""
        chosen = even_tuples(self.num_frames, scale, self.max_tuples)
        if not training or len(chosen) == math.comb(self.num_frames, scale):
            return ops.convert_to_tensor(chosen, dtype="int32")
        order = ops.argsort(keras.random.uniform((len(chosen), self.num_frames), seed=self.seed_generator), axis=1)
        return ops.cast(ops.sort(order[:, :scale], axis=1), "int32")

    def _relation(self, frames: Tensor, scale: int, relation: keras.layers.Dense, training: bool) -> Tensor:
        """Step 3 for one scale: ``(B, units)``."""
        tuples = self._tuples(scale, training)
        members = ops.take(frames, ops.reshape(tuples, (-1,)), axis=1)
        members = ops.reshape(members, (-1, tuples.shape[0], scale * self.units))
        return ops.sum(relation(members), axis=1)

    def call(self, frames: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        if mask is not None:
            frames = repeat_last_frame(frames, mask)
        embedded = ops.relu(self.embedding(self.dropout(frames, training=training)))
        return sum(
            self._relation(embedded, scale, relation, training)
            for scale, relation in zip(self.scales, self.relations, strict=True)
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_frames": self.num_frames,
            "max_tuples": self.max_tuples,
            "dropout": self.dropout.rate,
            "seed": self.seed,
        }
