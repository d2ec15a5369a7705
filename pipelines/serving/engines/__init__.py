"""Engines run an exported model: in this process, or behind an address. They know neither videos nor windows."""

from pathlib import Path
from typing import Protocol

import numpy as np

from pipelines.config import UserError
from pipelines.serving.model_info import ModelInfo


class Engine(Protocol):
    """What a ``Scorer`` needs. One engine may serve any number of scorers.

    Attributes:
        info: Description of the model, from its ``model.json``.
        version: Version of the model, such as ``"3"``.
        sha256: Hash of the exported files, see ``version_hash``; of a server, of the description that its model gives.
        snippets_per_call: Optional. Snippets that ``extract`` is best given at once; ``SNIPPETS_PER_CALL`` if absent.
        max_request_bytes: Optional. Largest size of the nodes for ``score_nodes`` in memory; any if absent.
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

    def close(self):
        """Release what the engine holds, such as a connection."""


def open_engine(model: str | Path = "", server: str = "", **options) -> Engine:
    """Load an exported model, or connect to a server that has one. For a server no TensorFlow is imported.

    Args:
        model: Folder of a model or of one of its versions.
        server: Address of TensorFlow Serving, ``grpc://HOST:8500`` or ``http://HOST:8501``.
        **options: Of ``TFServingEngine``, for a server: ``name``, ``version``, ``label``, ``timeout_sec``.

    Raises:
        UserError: Both or neither is given, or the model cannot be used.
    """
    if bool(model) == bool(server):
        given = "both" if model else "neither"
        raise UserError(f"choose a model folder or a server, such as grpc://localhost:8500. Received: {given}.")
    if server:
        from pipelines.serving.engines.tf_serving import TFServingEngine

        return TFServingEngine(server, **options)
    from pipelines.serving.engines.saved_model import SavedModelEngine

    return SavedModelEngine(model)
