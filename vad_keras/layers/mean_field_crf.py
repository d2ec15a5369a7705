"""Mean-field inference of the self-attention CRF, as a cell and as a recurrence."""

import keras
from keras import ops

from vad_keras import cliques
from vad_keras.spec import NUM_LABELS

INFERENCES = ("mean_field", "algorithm_1")


def _potts(shape, dtype=None):
    """Cost 1 for different labels, 0 for equal ones."""
    return ops.ones(shape, dtype=dtype) - ops.eye(shape[0], dtype=dtype)


@keras.saving.register_keras_serializable("vad_keras")
class MeanFieldCell(keras.layers.Layer):
    """One mean-field update ``Q <- softmax(-(E_u + (affinity Q) U))`` (Eq. 6 to 8).

    The compatibility ``U = (A + A^T) / 2`` is trainable and symmetric; A starts as the Potts model.

    Call arguments:
        marginals: ``(B, T, G, 2)``, the present estimate Q.
        unary_energy: ``(B, T, G, 2)``; low energy means a likely label.
        affinity: banded affinity of ``CliqueSelfAttention``, or dense ``(B, T, G, T, G)``; own weights already 0.

    Output shape:
        ``(B, T, G, 2)``; each pair sums to 1.

    Example:

    >>> import numpy as np
    >>> unary, affinity = np.zeros((1, 2, 1, 2), "float32"), np.zeros((1, 2, 1, 2, 1), "float32")
    >>> float(MeanFieldCell()(unary, unary, affinity)[0, 0, 0, 0])
    0.5

    Reference:
        Purwanto, Chen, Fang, ICCV 2021, Eq. 6 to 8; Zheng et al., CRF as RNN, ICCV 2015.
    """

    def build(self, *_):
        self.raw_compatibility = self.add_weight(
            name="raw_compatibility", shape=(NUM_LABELS, NUM_LABELS), initializer=_potts, dtype=self.compute_dtype
        )
        self.built = True

    @property
    def compatibility(self):
        """U, symmetric, ``(2, 2)``."""
        raw = ops.convert_to_tensor(self.raw_compatibility)
        return (raw + ops.transpose(raw)) / 2.0

    def call(self, marginals, unary_energy, affinity):
        message = cliques.propagate(affinity, marginals)
        pairwise_energy = ops.matmul(message, self.compatibility)
        return ops.softmax(-(unary_energy + pairwise_energy), axis=-1)

    def compute_output_shape(self, marginals_shape, *_):
        return marginals_shape


@keras.saving.register_keras_serializable("vad_keras")
class MeanFieldCRF(keras.layers.Layer):
    """Marginals of all nodes under the CRF, by a recurrence that each video leaves when it has converged.

    1. ``Q = softmax(-E_u)``;
    2. ``Q <- softmax(-(E_u + (affinity Q) U))``, the node's own weight left out (Eq. 6 to 8);
    3. a video stops when ``max |Q_new - Q| < tolerance`` over its real nodes, or after ``max_iterations`` ("dynamic
       halting", Sec 4.2); from then on it does not change.

    With ``inference="algorithm_1"`` the loop is the printed one: ``E = softmax(-E_u)``, ``E_hat = softmax(E)``, then
    ``E = E_hat - f_p(H) U``, ``E_hat = softmax(E)``. Line 9 of the print divides by a constant of each node; here it is
    the softmax of line 10 that does so. The print counts from 0 to ``max_iter``; here ``max_iterations`` passes are
    made. The unary term is soon forgotten, and no message depends on the marginals.

    Args:
        max_iterations: most updates a video gets.
        tolerance: largest change of a marginal at which a video stops; 0 never stops early.
        inference: ``"mean_field"`` or ``"algorithm_1"``.

    Call arguments:
        unary_energy: ``(B, T, G, 2)``, a cost: low energy means a likely label.
        affinity: what ``CliqueSelfAttention(..., return_affinity=True)`` gives, or dense ``(B, T, G, T, G)``. With
            ``inference="algorithm_1"``: ``f_p(H)``, ``(B, T, G, 2)``.
        mask: bool ``(B, T)``, True for real frames. None: all frames are real.
        return_iterations: also return the updates each video took, int32 ``(B,)``.

    Output shape:
        ``(B, T, G, 2)``, float32, or float64 if that is the dtype of the layer; the last axis is (normal, abnormal)
        and sums to 1.

    Raises:
        ValueError: for an unknown inference, ``max_iterations < 1``, or energies without two labels.

    Example:

    >>> import numpy as np
    >>> unary = np.array([0.0, 1.0], "float32") * np.ones((1, 4, 3, 1), "float32")
    >>> marginals = MeanFieldCRF()(unary, np.full((1, 4, 3, 4, 3), 1 / 12, "float32"))
    >>> tuple(marginals.shape)
    (1, 4, 3, 2)

    Reference:
        Purwanto, Chen, Fang, ICCV 2021, Sec 3.3.4, 3.3.5, Algorithm 1.
    """

    def __init__(self, max_iterations=10, tolerance=1e-4, inference="mean_field", **kwargs):
        super().__init__(autocast=False, **kwargs)  # energies stay in float32, or float64
        if inference not in INFERENCES:
            raise ValueError(f"`inference` must be one of {INFERENCES}. Received: {inference!r}.")
        if max_iterations < 1:
            raise ValueError(f"`max_iterations` must be at least 1. Received: {max_iterations}.")
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.inference = inference
        self.cell = MeanFieldCell(dtype=cliques.precision(self.compute_dtype), name="cell")
        self.supports_masking = True

    def build(self, input_shape, *_):
        if len(input_shape) != 4 or input_shape[-1] != NUM_LABELS:
            raise ValueError(f"`unary_energy` must have shape (B, T, G, 2). Received: {tuple(input_shape)}.")
        self.cell.build()
        self.built = True

    @property
    def compatibility(self):
        """U, symmetric, ``(2, 2)``: the cost of label l beside label l'."""
        return self.cell.compatibility

    def _iterate(self, marginals, update, mask):
        """Apply ``update`` until each video has converged; returns marginals and the updates of each video."""
        batch = ops.shape(marginals)[0]
        active = ops.ones((batch,), dtype="bool")
        iterations = ops.zeros((batch,), dtype="int32")
        for _ in range(self.max_iterations):
            updated = update(marginals)
            change = ops.max(ops.abs(updated - marginals), axis=(2, 3))
            change = ops.max(ops.where(mask, change, 0.0), axis=1)
            marginals = ops.where(active[:, None, None, None], updated, marginals)
            iterations = iterations + ops.cast(active, "int32")
            active = active & (change >= self.tolerance)
        return marginals, iterations

    def call(self, unary_energy, affinity, mask=None, return_iterations=False):
        dtype = self.cell.compute_dtype
        unary_energy = ops.cast(unary_energy, dtype)
        if mask is None:
            mask = ops.ones(ops.shape(unary_energy)[:2], dtype="bool")
        mask = ops.cast(mask, "bool")
        marginals = ops.softmax(-unary_energy, axis=-1)
        if self.inference == "mean_field":
            neighbours = cliques.without_own_weight(affinity)
            real = mask[:, :, None, None]  # padding sends no message, whatever a dense affinity holds there
            marginals, iterations = self._iterate(
                marginals, lambda present: self.cell(ops.where(real, present, 0.0), unary_energy, neighbours), mask
            )
        else:
            pairwise_energy = ops.matmul(ops.cast(affinity, dtype), self.compatibility)
            marginals, iterations = self._iterate(
                ops.softmax(marginals, axis=-1), lambda present: ops.softmax(present - pairwise_energy, axis=-1), mask
            )
        return (marginals, iterations) if return_iterations else marginals

    def compute_mask(self, inputs, mask=None):
        return mask

    def get_config(self):
        return {
            **super().get_config(),
            "max_iterations": self.max_iterations,
            "tolerance": self.tolerance,
            "inference": self.inference,
        }
