"""Mean-field inference of the self-attention CRF, as a cell and as a recurrence."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from vad_keras import checks, cliques
from vad_keras.cliques import Affinity
from vad_keras.spec import NUM_LABELS, precision
from vad_keras.typing import Shape, Tensor

Inference = Literal["mean_field", "algorithm_1"]


@keras.saving.register_keras_serializable("vad_keras")
class MeanFieldCell(keras.layers.Layer):
    """One mean-field update ``Q <- softmax(-(E_u + (affinity Q) U))`` (Eq. 6 to 8).

    The compatibility ``U = (A + A^T) / 2`` is trainable and symmetric; A starts as the Potts model: ``potts_weight``
    for different labels, 0 for equal ones.

    ``call`` is the formula as it is written. ``MeanFieldCRF`` runs ``logit_update``, the same update at half the cost;
    ``tests/vad_keras/layers/test_mean_field_crf.py::test_the_crf_is_its_cell_called_again_and_again`` holds them equal.

    Call arguments:
        marginals: ``(B, T, G, 2)``, the present estimate Q.
        unary_energy: ``(B, T, G, 2)``; low energy means a likely label.
        affinity: banded affinity of ``CliqueSelfAttention``, or dense ``(B, T, G, T, G)``; own weights already 0.

    Output shape:
        ``(B, T, G, 2)``, float32, or float64 if that is the dtype of the layer; each pair sums to 1.

    Example:

    >>> import numpy as np
    >>> unary, affinity = np.zeros((1, 2, 1, 2), "float32"), np.zeros((1, 2, 1, 2, 1), "float32")
    >>> float(MeanFieldCell()(unary, unary, affinity)[0, 0, 0, 0])
    0.5

    Reference:
        Purwanto, Chen, Fang, ICCV 2021, Eq. 6 to 8; Zheng et al., CRF as RNN, ICCV 2015.
    """

    def __init__(self, potts_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # energies stay in float32, or float64
        checks.numbers_in("[0, inf)", potts_weight=potts_weight)
        self.potts_weight = potts_weight

    def build(self, *_: Any) -> None:
        shape = (NUM_LABELS, NUM_LABELS)
        self.raw_compatibility = self.add_weight(
            name="raw_compatibility", shape=shape, initializer=self._potts, autocast=False
        )
        self.built = True

    def _potts(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        return self.potts_weight * (ops.ones(shape, dtype=dtype) - ops.eye(shape[0], dtype=dtype))

    @property
    def compatibility(self) -> Tensor:
        """U, symmetric, ``(2, 2)``."""
        raw = ops.convert_to_tensor(self.raw_compatibility)
        return (raw + ops.transpose(raw)) / 2.0

    def call(self, marginals: Tensor, unary_energy: Tensor, affinity: Affinity) -> Tensor:
        dtype = precision(self.compute_dtype)
        marginals, unary_energy = ops.cast(marginals, dtype), ops.cast(unary_energy, dtype)
        messages = [cliques.propagate(affinity, marginals[..., label]) for label in range(NUM_LABELS)]
        message = ops.stack(messages, axis=-1)
        pairwise_energy = ops.matmul(message, ops.cast(self.compatibility, dtype))
        return ops.softmax(-(unary_energy + pairwise_energy), axis=-1)

    def logit_update(
        self, unary_logits: Tensor, affinity: Affinity, mask: Tensor | None = None
    ) -> Callable[[Tensor], Tensor]:
        """The same update on logits, which ``MeanFieldCRF`` runs: the probabilities of two labels sum to 1.

        With ``q`` the probability of label 1 and ``r`` the weights of all neighbours together, the messages of the
        labels are ``affinity (1 - q) = r - affinity q`` and ``affinity q``: one product per iteration instead of two.

        Args:
            unary_logits: ``E_u(normal) - E_u(abnormal)``, ``(B, T, G)``.
            affinity: banded or dense; the weight of a node to itself is left out here.
            mask: bool ``(B, T)``.

        Returns:
            Function of the probability of label 1, ``(B, T, G)``, that returns its new logits.
        """
        neighbours = cliques.without_own_weight(affinity)
        real = None if mask is None else mask[:, :, None]  # padding sends no message, whatever a dense affinity holds

        def message(values: Tensor) -> Tensor:
            values = values if real is None else ops.where(real, values, 0.0)
            return cliques.propagate(neighbours, values)

        compatibility = self.compatibility
        contrast = compatibility[0, 1] - compatibility[0, 0]
        slope = contrast + compatibility[1, 0] - compatibility[1, 1]
        start = unary_logits - contrast * message(ops.ones_like(unary_logits))
        return lambda probability: start + slope * message(probability)

    def compute_output_shape(self, marginals_shape: Shape, *_: Any) -> Shape:
        return marginals_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "potts_weight": self.potts_weight}


@keras.saving.register_keras_serializable("vad_keras")
class MeanFieldCRF(keras.layers.Layer):
    """Marginals of all nodes under the CRF, by a recurrence that stops for each video when it has converged.

    1. ``Q = softmax(-E_u)``;
    2. ``Q <- softmax(-(E_u + (affinity Q) U))``, the node's own weight left out (Eq. 6 to 8);
    3. a video stops when ``max |Q_new - Q| < tolerance`` over its real nodes, or after ``max_iterations`` ("dynamic
       halting", Sec 4.2); from then on it does not change.

    Step 2 is ``logit_update`` of the layer's ``MeanFieldCell``, which owns U: the update of the cell's ``call`` written
    for logits; ``tests/vad_keras/layers/test_mean_field_crf.py::test_the_crf_is_its_cell_called_again_and_again`` holds
    the two equal.

    With ``inference="algorithm_1"`` the loop is that of the paper: ``E = softmax(-E_u)``, ``E_hat = softmax(E)``, then
    ``E = E_hat - f_p(H) U``, ``E_hat = softmax(E)``. Line 9 of the paper divides by a constant of each node; here it is
    the softmax of line 10 that normalizes. The paper counts from 0 to ``max_iter``; here ``max_iterations`` passes are
    made. The unary term is soon forgotten, and no message depends on the marginals.

    Args:
        max_iterations: maximum number of updates per video.
        tolerance: largest change of a marginal at which a video stops; 0 never stops early.
        inference: ``"mean_field"`` or ``"algorithm_1"``.
        potts_weight: at the start, the cost of a label beside the other one; the higher, the more a message counts.

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

    def __init__(
        self,
        max_iterations: int = 10,
        tolerance: float = 1e-4,
        inference: Inference = "mean_field",
        potts_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # energies stay in float32, or float64
        checks.choice(get_args(Inference), inference=inference)
        checks.integers(1, max_iterations=max_iterations)
        checks.numbers_in("[0, inf)", tolerance=tolerance)
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.inference = inference
        self.cell = MeanFieldCell(potts_weight, dtype=precision(self.compute_dtype), name="cell")
        self.supports_masking = True

    def build(self, input_shape: Shape, *_: Any) -> None:
        if len(input_shape) != 4 or input_shape[-1] != NUM_LABELS:
            raise ValueError(f"`unary_energy` must have shape (B, T, G, 2). Received: {tuple(input_shape)}.")
        self.cell.build()
        self.built = True

    @property
    def compatibility(self) -> Tensor:
        """U, symmetric, ``(2, 2)``: the cost of label l beside label l'."""
        return self.cell.compatibility

    def _iterate(
        self, state: tuple[Tensor, Tensor], update: Callable[[Tensor], Tensor], mask: Tensor | None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Apply ``update`` until each video has converged; returns the state and the updates of each video.

        A state is a pair of ``(B, T, G)``, logits and the probability of label 1 that they stand for; ``update`` makes
        logits from a probability.
        """
        active = ops.ones((ops.shape(state[0])[0],), dtype="bool")
        iterations = ops.zeros_like(active, dtype="int32")
        for _ in range(self.max_iterations):
            logits = update(state[1])
            probability = ops.sigmoid(logits)
            change = ops.abs(probability - state[1])
            if mask is not None:
                change = ops.where(mask[:, :, None], change, 0.0)
            running = active[:, None, None]
            state = ops.where(running, logits, state[0]), ops.where(running, probability, state[1])
            iterations = iterations + ops.cast(active, "int32")
            active = active & (ops.max(change, axis=(1, 2)) >= self.tolerance)
        return state, iterations

    def _algorithm_1_update(self, pairwise: Tensor, dtype: str) -> Callable[[Tensor], Tensor]:
        """The printed loop on logits: ``E_hat - f_p(H) U``, softmaxed."""
        pairwise_energy = ops.matmul(ops.cast(pairwise, dtype), self.compatibility)
        start = pairwise_energy[..., 0] - pairwise_energy[..., 1]
        return lambda probability: 2.0 * probability - 1.0 + start

    def call(
        self, unary_energy: Tensor, affinity: Affinity, mask: Tensor | None = None, return_iterations: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        dtype = self.cell.compute_dtype
        unary_energy = ops.cast(unary_energy, dtype)
        if mask is not None:
            mask = ops.cast(mask, "bool")
        logits = unary_energy[..., 0] - unary_energy[..., 1]
        if self.inference == "mean_field":
            update = self.cell.logit_update(logits, self._in_energy_dtype(affinity, dtype), mask)
        else:
            update = self._algorithm_1_update(affinity, dtype)
            logits = 2.0 * ops.sigmoid(logits) - 1.0
        (logits, probability), iterations = self._iterate((logits, ops.sigmoid(logits)), update, mask)
        marginals = ops.stack([ops.sigmoid(-logits), probability], axis=-1)
        return (marginals, iterations) if return_iterations else marginals

    @staticmethod
    def _in_energy_dtype(affinity: Affinity, dtype: str) -> Affinity:
        band = cliques.banded(affinity)
        return ops.cast(affinity, dtype) if band is None else band._replace(weights=ops.cast(band.weights, dtype))

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return mask

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_iterations": self.max_iterations,
            "tolerance": self.tolerance,
            "inference": self.inference,
            "potts_weight": self.cell.potts_weight,
        }
