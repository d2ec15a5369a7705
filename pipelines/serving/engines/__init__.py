"""Engines run an exported model: in this process, or behind an address. They know neither videos nor windows."""

from typing import Protocol

import numpy as np

from pipelines.serving.model_info import ModelInfo


class Engine(Protocol):
    """What a ``Scorer`` needs. One engine may serve any number of scorers.

    Attributes:
        info: Description of the model, from its ``model.json``.
        version: Version of the model, such as ``"3"``.
        sha256: Hash of the exported files, see ``version_hash``.
    """

    info: ModelInfo
    version: str
    sha256: str

    def extract(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Compute what ``score_nodes`` takes, from consecutive frames.

        Args:
            frames: uint8 ``(n, S, S, 3)``, RGB, the last snippet may be short. S is ``info.image_size_px``.

        Returns:
            ``nodes`` float32 ``(n, G, C)`` and, for a model with ``info.takes_prior``, ``prior`` float32 ``(n, G)``.
        """

    def score_nodes(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score the nodes of consecutive frames.

        Args:
            inputs: What ``extract`` returns; the nodes may have been rounded since.

        Returns:
            The outputs of the signature ``score_nodes`` for one video, by name: ``anomaly_score`` ``(n,)`` always,
            and what else the model gives.
        """
