"""A bag model whose prior comes with the inputs, or from a memory of normal nodes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from vad_keras import spec
from vad_keras.layers.normal_memory import NormalMemory
from vad_keras.layers.prior_logit import PriorLogit
from vad_keras.models.bag_model import BagModel, check_prior
from vad_keras.typing import Shape, Tensor


class MemoryModel(BagModel):
    """A bag model with a prior.

    Without a memory the inputs must hold the prior. With one, a node without a prior has its distance to the memory,
    which ``adapt_memory`` fills. Distances of the videos in the memory are too small: for training pass the prior that
    ``adapt_memory`` returns for them, and that of ``memory_prior`` for the abnormal videos.
    """

    @property
    def uses_prior(self) -> bool:
        """Whether the inputs must hold a prior."""
        return self.prior is not None and self.memory is None

    def make_prior(self, needed: bool, memory_nodes: int) -> None:
        """Make the layers, if a prior is ``needed``."""
        if memory_nodes and not needed:
            raise ValueError(
                f'`memory_nodes`={memory_nodes} needs `unary_from="prior"` or "both", or `prior_in_score=True`.'
            )
        self.prior = PriorLogit(name="prior") if needed else None
        self.memory = NormalMemory(memory_nodes, name="memory") if memory_nodes else None

    def build_prior(self, nodes_shape: Shape) -> None:
        """Make the weights for nodes of ``(B, T, G, C)``."""
        if self.prior is not None and not self.prior.built:  # `adapt` builds them too
            self.prior.build()
        if self.memory is not None and not self.memory.built:
            self.memory.build(nodes_shape)

    def check_inputs(self, inputs: dict[str, Tensor]) -> None:
        super().check_inputs(inputs)
        if self.memory is not None and spec.PRIOR in inputs:
            check_prior(inputs[spec.PRIOR], inputs[spec.NODES])

    def adapt_memory(
        self,
        bags: Sequence[NDArray[Any]],
        seed: int = 0,
        track: Callable[[Sequence[NDArray[Any]]], Iterable[NDArray[Any]]] = iter,
    ) -> list[NDArray[np.float32]]:
        """Fill the memory, and set the scale of the prior by the distance of each video to the other ones.

        Args:
            bags: nodes of normal training videos, at least two, all of whose frames are known to be normal; each
                ``(T, G, C)``.
            seed: of the draw.
            track: function that takes the list of bags and returns an iterator over it, to show progress.

        Returns:
            List of float32 ``(T, G)``: the prior of these videos, without their own nodes in the memory.

        Raises:
            ValueError: for a model without a memory, or fewer than two videos.
        """
        if len(bags) < 2:
            raise ValueError(f"the memory needs at least two normal videos. Received: {len(bags)}.")
        memory = self._own_memory()
        owners = memory.adapt(bags, seed)
        rows = self._normalized(ops.convert_to_numpy(memory.rows)[:, None])[:, 0]
        memory.rows.assign(rows)
        priors = []
        for position, bag in enumerate(track(bags)):
            others = rows[owners != position]
            distances = memory.distances(self._normalized(bag), others if len(others) else rows)
            priors.append(ops.convert_to_numpy(distances))
        self.adapt_prior(priors)
        return priors

    def memory_prior(self, nodes: NDArray[Any]) -> NDArray[np.float32]:
        """Distance of the nodes of a video ``(T, G, C)`` to the memory, float32 ``(T, G)``."""
        prior: NDArray[np.float32] = ops.convert_to_numpy(self._own_memory()(self._normalized(nodes)))
        return prior

    def _own_memory(self) -> NormalMemory:
        if self.memory is None:
            raise ValueError("the model has no memory. Set `memory_nodes` when you make it, for example to 2048.")
        return self.memory

    def _normalized(self, nodes: NDArray[Any]) -> NDArray[Any]:
        batch = ops.cast(np.asarray(nodes)[None], self.compute_dtype)
        normalized = self.normalize_nodes(batch, ops.ones(batch.shape[:2], "bool"))
        video: NDArray[Any] = ops.convert_to_numpy(normalized)[0]
        return video

    def prior_logit(self, inputs: dict[str, Tensor], normalized: Tensor) -> Tensor | None:
        """The weighed prior of each node, ``(B, T, G)``; None for a model without a prior."""
        if self.prior is None:
            return None
        prior = inputs.get(spec.PRIOR)
        if prior is None and self.memory is not None:
            prior = self.memory(normalized)
        prior = self.prior(prior)
        if len(prior.shape) == 3:
            return prior
        return ops.repeat(prior[:, :, None], inputs[spec.NODES].shape[2], axis=2)
