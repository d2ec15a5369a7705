"""REST client of TensorFlow Serving. Numbers travel as text: gRPC is several times faster."""

import httpx
import numpy as np

from pipelines.serving.clients import ServerError

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
AGAIN = (429, 502, 503)
TOO_LARGE = "the request is larger than the proxy in front of the server allows; use gRPC, or raise its limit"
MAX_TEXT = 300


class RestClient:
    """See ``pipelines.serving.clients.Client``.

    Args:
        address: ``"http://HOST:PORT"``; a path before ``/v1`` is kept.
        connections: Requests that may be in flight at the same time.
    """

    max_request_bytes = 20 << 20  # at most six times as much text, and savedmodels/nginx.conf takes 128 MB

    def __init__(self, address, connections=1):
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.Client(base_url=address, limits=limits)

    def predict(self, model, signature, inputs, wanted=(), timeout_sec=60.0):
        if not model.version:  # only the metadata name the version
            facts = self._request("GET", f"{_path(model)}/metadata", timeout_sec)
            model = model._replace(version=str(_entry(_entry(facts, "model_spec"), "version")))
        columns = {name: value if isinstance(value, list) else value.tolist() for name, value in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        outputs = _entry(self._request("POST", f"{_path(model)}:predict", timeout_sec, body), "outputs")
        if not isinstance(outputs, dict):  # the API leaves the name out when there is a single output
            outputs = {"": outputs}
        names = wanted and [name for name in outputs if name in ("", *wanted)]
        return {name: _array(outputs[name]) for name in names or outputs}, model.version

    def _request(self, method, path, timeout_sec, body=None):
        try:
            answer = self._client.request(method, path, json=body, timeout=timeout_sec)
        except httpx.TimeoutException:
            raise ServerError("DEADLINE_EXCEEDED", f"no answer within {timeout_sec:.3g} s") from None
        except httpx.TransportError as error:
            raise ServerError("UNAVAILABLE", str(error) or type(error).__name__, True) from None
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.is_success and isinstance(content, dict):
            return content
        text = str(content["error"]) if isinstance(content, dict) and "error" in content else answer.reason_phrase
        text = TOO_LARGE if answer.status_code == 413 else text[:MAX_TEXT]
        status = STATUS.get(answer.status_code, "UNKNOWN" if answer.is_success else "INTERNAL")
        raise ServerError(status, text, answer.status_code in AGAIN)

    def close(self):
        self._client.close()


def _path(model):
    kind = f"/versions/{model.version}" if model.version else f"/labels/{model.label}" if model.label else ""
    return f"/v1/models/{model.name}{kind}"


def _entry(content, name):
    if not isinstance(content, dict) or name not in content:
        raise ServerError("UNKNOWN", f"the answer has no `{name}`: this is no TensorFlow Serving")
    return content[name]


def _array(value):
    array = np.array(value)
    return array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, object))
