"""A bag model whose prior comes with the inputs, or from a memory of normal nodes."""

from typing import Any

import numpy as np
from keras import ops

from vad_keras import spec
from vad_keras.layers.normal_memory import NormalMemory
from vad_keras.layers.prior_logit import PriorLogit
from vad_keras.models.bag_model import BagModel, check_prior


class MemoryModel(BagModel):
    """A bag model with a prior.

    Without a memory the inputs must hold the prior. With one, a node without a prior has its distance to the memory,
    which ``adapt_memory`` fills. Distances of the videos in the memory are too small: for training pass the prior that
    ``adapt_memory`` returns for them, and that of ``memory_prior`` for the abnormal videos.
    """

    uses_prior = property(lambda self: self.prior is not None and self.memory is None)

    def make_prior(self, needed, memory_nodes):
        """Make the layers, if a prior is ``needed``."""
        if memory_nodes and not needed:
            raise ValueError(
                f'`memory_nodes`={memory_nodes} needs `unary_from="prior"` or "both", or `prior_in_score=True`.'
            )
        self.prior: Any = PriorLogit(name="prior") if needed else None
        self.memory: Any = NormalMemory(memory_nodes, name="memory") if memory_nodes else None

    def build_prior(self, nodes_shape):
        """Make the weights for nodes of ``(B, T, G, C)``."""
        if self.prior is not None:
            self.prior.build()
        if self.memory is not None:
            self.memory.build(nodes_shape)

    def check_inputs(self, inputs):
        super().check_inputs(inputs)
        if self.memory is not None and spec.PRIOR in inputs:
            check_prior(inputs[spec.PRIOR], inputs[spec.NODES])

    def adapt_memory(self, bags, seed=0, track=iter):
        """Fill the memory, and set the scale of the prior by the distance of each video to the other ones.

        Args:
            bags: nodes of normal training videos, at least two, all of whose frames are known to be normal; each
                ``(T, G, C)``.
            seed: of the draw.
            track: function that takes the list of bags and returns an iterator over it, to show progress.

        Returns:
            List of float32 ``(T, G)``: the prior of these videos, without their own nodes in the memory.
        """
        if len(bags) < 2:
            raise ValueError(f"the memory needs at least two normal videos. Received: {len(bags)}.")
        owners = self.memory.adapt(bags, seed)
        rows = self._normalized(ops.convert_to_numpy(self.memory.rows)[:, None])[:, 0]
        self.memory.rows.assign(rows)
        priors = []
        for position, bag in enumerate(track(bags)):
            others = rows[owners != position]
            distances = self.memory.distances(self._normalized(bag), others if len(others) else rows)
            priors.append(ops.convert_to_numpy(distances))
        self.adapt_prior(priors)
        return priors

    def memory_prior(self, nodes):
        """Distance of the nodes of a video ``(T, G, C)`` to the memory, float32 ``(T, G)``."""
        return ops.convert_to_numpy(self.memory(self._normalized(nodes)))

    def _normalized(self, nodes):
        nodes = ops.cast(np.asarray(nodes)[None], self.compute_dtype)
        return ops.convert_to_numpy(self.normalize_nodes(nodes, ops.ones(nodes.shape[:2], "bool")))[0]

    def prior_logit(self, inputs, normalized):
        """The weighed prior of each node, ``(B, T, G)``; None for a model without a prior."""
        if self.prior is None:
            return None
        prior = inputs.get(spec.PRIOR)
        prior = self.prior(self.memory(normalized) if prior is None else prior)
        if len(prior.shape) == 3:
            return prior
        return ops.repeat(prior[:, :, None], inputs[spec.NODES].shape[2], axis=2)
