"""Clients of TensorFlow Serving: one call, ``predict``, over gRPC or over REST. They need no TensorFlow."""

from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import numpy as np

from pipelines.config import UserError

NO_ANSWER = {"UNAVAILABLE": "the server is not available", "DEADLINE_EXCEEDED": "the server did not answer in time"}
SCHEMES = ("grpc", "http", "https")
EXTRA = 'Install it: pip install "vad-keras[serving]"'


class ServedModel(NamedTuple):
    """Which model of a server answers: its newest version, a version by its number, or a version by its label."""

    name: str
    version: str = ""
    label: str = ""

    def __str__(self):
        kind = f" version {self.version}" if self.version else f" label {self.label}" if self.label else ""
        return f"`{self.name}`{kind}"


class ServerError(Exception):
    """A request that failed.

    Args:
        status: Name of the gRPC status, such as ``"NOT_FOUND"``; REST has the same meanings.
        text: What the server or the connection says.
        retry: Whether the same request may succeed a moment later.
    """

    def __init__(self, status, text, retry=False):
        start = NO_ANSWER.get(status, f"the server answered {status}")
        super().__init__(f"{start}: {text}" if text else start)
        self.status, self.text, self.retry = status, text, retry


class Client(Protocol):
    """A connection to one server. Threads may share it.

    Attributes:
        max_request_bytes: Largest size of the numbers of a request, before they are written as messages.
    """

    max_request_bytes: int

    def predict(
        self, model: ServedModel, signature: str, inputs: dict, wanted: tuple, timeout_sec: float
    ) -> tuple[dict[str, np.ndarray], str]:
        """Run a signature once.

        Args:
            model: Which model and version.
            signature: Name of the signature.
            inputs: Input name -> array, or list of texts.
            wanted: Names of the outputs to return; empty: all.
            timeout_sec: Time until the answer must be complete.

        Returns:
            Output name -> array, and the number of the version that answered.

        Raises:
            ServerError: There is no answer, or it is an error.
        """

    def close(self):
        """Close the connection."""


def open_client(address, connections=1) -> Client:
    """Return a client for ``grpc://HOST:PORT`` or ``http://HOST:PORT``. It connects with its first request.

    Args:
        address: Address of the server.
        connections: Requests that may be in flight at the same time.

    Raises:
        UserError: The address is none of these, or the package for it is missing.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        valid = parts.scheme in SCHEMES and parts.hostname and (parts.port or parts.scheme != "grpc")
    except ValueError:  # a port that is no number
        valid = False
    if not valid or parts.username:
        raise UserError(
            f"{address} is not the address of a server. Expected grpc://HOST:8500 (gRPC) or http://HOST:8501 (REST)."
        )
    try:
        if parts.scheme == "grpc":
            from pipelines.serving.clients.grpc_client import GrpcClient

            return GrpcClient(parts.netloc)
        from pipelines.serving.clients.rest_client import RestClient

        return RestClient(address.rstrip("/"), connections)
    except ModuleNotFoundError as error:
        raise UserError(f"{address} needs the package `{error.name}`. {EXTRA}") from None
