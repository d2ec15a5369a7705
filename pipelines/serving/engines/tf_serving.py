"""The TensorFlow Serving engine: a server runs the exported model, over gRPC or REST. It needs no TensorFlow here."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipelines.config import UserError
from pipelines.serving.clients import ServedModel, ServerError, open_client
from pipelines.serving.clients.retries import with_retries
from pipelines.serving.model_info import DESCRIBE, DESCRIPTION, QUERY, parse_model_info
from vad_keras import spec

TIMEOUT_SEC = 60.0
MAX_IN_FLIGHT = 4
SNIPPETS_PER_REQUEST = 4  # as many as the exported graph computes at once
MAX_FRAMES_BYTES = 8 << 20  # of a request with more than one snippet; its round trip takes little of its time


class TFServingEngine:
    """A model behind an address. It keeps the promises of ``pipelines.serving.engines.Engine``.

    The model describes itself, so the address is enough. The version that answered first answers all later requests
    too: a server that switches versions mixes no scores.

    Args:
        address: ``grpc://HOST:8500``, ``http://HOST:8501`` or ``https://HOST``.
        name: Name of the model on the server.
        version: Number of the version; empty: the newest that is served, or that of the label.
        label: Label of the version, such as ``"stable"``.
        timeout_sec: Time until a request and its retries must be answered.
        max_in_flight: Requests that are sent at the same time, over all users of this engine.
        snippets_per_request: Snippets of a request for nodes; fewer of large frames.

    Raises:
        UserError: The address is wrong, nothing answers there, or the server has no such model or version.
    """

    def __init__(
        self,
        address,
        name="vad",
        version="",
        label="",
        timeout_sec=TIMEOUT_SEC,
        max_in_flight=MAX_IN_FLIGHT,
        snippets_per_request=SNIPPETS_PER_REQUEST,
    ):
        self._model = ServedModel(name, *_chosen(version, label))
        self.address, self._timeout_sec = address, timeout_sec
        self._client = open_client(address, max_in_flight)
        self.max_request_bytes = self._client.max_request_bytes
        self._pool = ThreadPoolExecutor(max_in_flight, thread_name_prefix="vad-request")
        try:
            description, self.version = self._describe()
        except ServerError as error:
            self.close()
            raise UserError(_first_error(error, address, self._model)) from None
        self._model = ServedModel(name, self.version)
        self.info = parse_model_info(description, f"the description of {self._model} at {address}")
        self.sha256 = hashlib.sha256(description.encode()).hexdigest()
        self._whole = any(self.info.temporal_reach)  # frames of a video network depend on each other
        snippet_bytes = max(self.info.clip_frames * self.info.image_size_px**2 * 3, 1)
        self._snippets_per_request = max(min(snippets_per_request, MAX_FRAMES_BYTES // snippet_bytes), 1)
        self.snippets_per_call = self._snippets_per_request * (1 if self._whole else max_in_flight)

    def extract(self, frames):
        """Compute the nodes ``(n, G, C)`` of uint8 frames ``(n, S, S, 3)`` and, if the model takes it, their prior.

        Several requests of some snippets each are sent at the same time. A server computes more snippets at once than
        the engine in this process, so the last digits may differ. The frames of a video network stay together.
        """
        wanted = (spec.NODES, spec.PRIOR) if self.info.takes_prior else (spec.NODES,)
        length = len(frames) if self._whole else self._snippets_per_request * self.info.clip_frames
        pieces = [{"frames": frames[np.newaxis, first : first + length]} for first in range(0, len(frames), length)]
        found = list(self._pool.map(lambda inputs: self._predict("extract", inputs, wanted), pieces))
        return {name: np.concatenate([outputs[name] for outputs in found]) for name in wanted}

    def score_nodes(self, inputs):
        """Return the outputs of the signature ``score_nodes`` for what ``extract`` returns of one video."""
        batch = {name: value[np.newaxis] for name, value in inputs.items()}
        return self._pool.submit(self._predict, "score_nodes", batch).result()

    def close(self):
        """Close the connection."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _predict(self, signature, inputs, wanted=()):
        """Return the outputs of one video, without their batch axis."""
        outputs, version = self._call(signature, inputs, wanted)
        missing = [name for name in wanted or (spec.ANOMALY_SCORE,) if name not in outputs]
        if missing or version != self.version:
            raise ServerError("INTERNAL", f"version {version or '?'} answered `{signature}` without {missing}")
        return {name: value[0] for name, value in outputs.items()}

    def _describe(self):
        outputs, version = self._call(DESCRIBE, {QUERY: [""]}, (DESCRIPTION,))
        (text,) = (value[0] for value in outputs.values())
        return text.decode() if isinstance(text, bytes) else str(text), version

    def _call(self, signature, inputs, wanted):
        def request(remaining_sec):
            return self._client.predict(self._model, signature, inputs, wanted, remaining_sec)

        return with_retries(request, self._timeout_sec)


def _chosen(version, label):
    """Check which version is wanted."""
    if version and label:
        raise UserError("give either --server-version or --server-label, not both.")
    if version and not str(version).isdecimal():
        raise UserError(f"`--server-version` must be the number of a version, such as 3. Received: {version}.")
    return str(version), label


def _first_error(error, address, model):
    """Return in words why a server cannot be used, with the way out."""
    text = " ".join(error.text.split())[:200]
    if error.status == "NOT_FOUND":
        return (
            f"the server at {address} has not loaded {model} ({text}). Choose another with --server-model, "
            "--server-version or --server-label, or see the log of the server."
        )
    if "label" in text and model.label:
        return f"the server at {address} knows no label {model.label} of `{model.name}` ({text}). See models.config."
    if DESCRIBE in text and error.status in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND"):
        return (
            f"{model} at {address} does not describe itself ({text}). It was exported by an earlier release: run "
            "`vad export` again and serve the new version."
        )
    if error.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"):
        return (
            f"no TensorFlow Serving answers at {address} ({text or error.status}). Check that it runs, and the port: "
            "8500 is grpc://, 8501 is http://."
        )
    return f"the server at {address} refused {model}: {error.status}, {text}."
