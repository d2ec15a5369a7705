"""Stand-ins for TensorFlow Serving in this process: gRPC with the official stubs, REST with the standard library.

They are not TensorFlow Serving. They run the SavedModel in a C++ session, as the server does: an input of a wrong shape
reaches the graph. They prove the messages, names, tensors and errors, nothing about the real server's loading or
batching.
"""

import base64
import json
import threading
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc as service

HTTP_STATUS = {"NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "UNAVAILABLE": 503, "INTERNAL": 500}


class RefusedError(Exception):
    """An answer that is an error: the name of its gRPC status and the text."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


class Version:
    """The signatures of one exported version, run without any check of shapes in Python."""

    def __init__(self, folder):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder))
        self.signatures = {name: one for name, one in meta_graph.signature_def.items() if one.inputs}
        self.calls = {name: self._call(signature) for name, signature in self.signatures.items()}

    def _call(self, signature):
        """What `Session.make_callable` makes, without its check of shapes."""
        options = config_pb2.CallableOptions()
        options.feed.extend(info.name for info in signature.inputs.values())
        options.fetch.extend(info.name for info in signature.outputs.values())
        return self.session._make_callable_from_options(options)

    def predict(self, name, inputs):
        name = name or "serving_default"
        if name not in self.signatures:
            raise RefusedError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        expected = signature.inputs
        if inputs.keys() != expected.keys():
            raise RefusedError("INVALID_ARGUMENT", f"inputs do not match the signature: {sorted(inputs)}")
        try:
            return dict(zip(signature.outputs, self.calls[name](*(inputs[key] for key in expected)), strict=True))
        except tf.errors.OpError as error:
            status = next(code.name for code in grpc.StatusCode if code.value[0] == error.error_code)
            raise RefusedError(status, error.message) from None


class Models:
    """What is served: one model, its `Version`s by number, and numbers by label.

    `requests` holds (version, signature, input shapes) of each request. A function in `failures` is called with the
    signature before the next request, and may raise.
    """

    def __init__(self, name, versions, labels=None):
        self.name, self.versions, self.labels = name, versions, labels or {}
        self.requests, self.failures = [], []

    def find(self, name, number=None, label=""):
        """The number of the version that a request means."""
        if label and label not in self.labels:
            raise RefusedError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        wanted = number if number is not None else self.labels[label] if label else max(self.versions, default=None)
        if name != self.name or wanted not in self.versions:
            kind = f"Latest({name})" if number is None else f"Specific({name}, {number})"
            raise RefusedError("NOT_FOUND", f"Servable not found for request: {kind}")
        return wanted

    def predict(self, number, signature, inputs):
        self.requests.append((number, signature, {key: np.shape(value) for key, value in inputs.items()}))
        if self.failures:
            self.failures.pop(0)(signature)
        return self.versions[number].predict(signature, inputs)


class _Servicer(service.PredictionServiceServicer):
    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):  # noqa: N802 (the name that gRPC calls)
        spec = request.model_spec
        try:
            number = spec.version.value if spec.HasField("version") else None
            number = self.models.find(spec.name, number, spec.version_label)
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            outputs = self.models.predict(number, spec.signature_name, inputs)
        except RefusedError as error:
            context.abort(grpc.StatusCode[error.status], error.text)
        answer = predict_pb2.PredictResponse(model_spec=spec)
        answer.model_spec.version.value = number
        for key in request.output_filter or outputs:
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
        return answer


@contextmanager
def grpc_server(models, threads=2, queue=None, port=0):
    """Serve `models` and give the address. With `queue`, requests beyond threads and queue are RESOURCE_EXHAUSTED."""
    limit = None if queue is None else threads + queue
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    pool = futures.ThreadPoolExecutor(threads)
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=limit)
    service.add_PredictionServiceServicer_to_server(_Servicer(models), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
        pool.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """`/v1/models/NAME[/versions/N|/labels/LABEL][/metadata|:predict]`, as the REST API documents them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self._answer(lambda number, tail, body: self._facts(number, tail))

    def do_POST(self):
        self._answer(self._predict)

    def _answer(self, function):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status, content = 200, function(*self._place(), body)
        except RefusedError as error:
            status, content = HTTP_STATUS.get(error.status, 400), {"error": error.text}
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _place(self):
        path, colon, verb = self.path.partition(":")
        parts = path.strip("/").split("/")
        if parts[:2] != ["v1", "models"] or len(parts) < 3:
            raise RefusedError("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
        named = dict(zip(parts[3::2], parts[4::2], strict=False))
        number = int(named["versions"]) if "versions" in named else None
        number = self.server.models.find(parts[2], number, named.get("labels", ""))
        return number, (verb if colon else "metadata" if parts[-1] == "metadata" else "")

    def _facts(self, number, tail):
        if tail == "metadata":
            return {"model_spec": {"name": self.server.models.name, "signature_name": "", "version": str(number)}}
        return {"model_version_status": [{"version": str(number), "state": "AVAILABLE"}]}

    def _predict(self, number, tail, body):
        request = json.loads(body)
        name = request.get("signature_name", "serving_default")
        version, rows = self.server.models.versions[number], request.get("instances")
        columns = request["inputs"] if rows is None else {key: [row[key] for row in rows] for key in rows[0]}
        types = version.signatures[name].inputs if name in version.signatures else {}
        inputs = {key: _tensor(value, types[key].dtype if key in types else 0) for key, value in columns.items()}
        outputs = {key: _plain(value) for key, value in self.server.models.predict(number, name, inputs).items()}
        if rows is None:
            return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        return {"predictions": [{key: value[row] for key, value in outputs.items()} for row in range(len(rows))]}


def _tensor(value, dtype):
    if dtype in (0, tf.string.as_datatype_enum):
        return np.array(_decoded(value), object)
    return np.array(value, tf.as_dtype(dtype).as_numpy_dtype)


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(entry) for entry in value]
    return base64.b64decode(value["b64"], validate=True) if isinstance(value, dict) else value.encode()


def _plain(value):
    return [entry.decode() for entry in value] if value.dtype == object else value.tolist()


@contextmanager
def rest_server(models, port=0):
    """Serve `models` over HTTP and give the address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.models = models
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
