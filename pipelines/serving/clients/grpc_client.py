"""gRPC client of TensorFlow Serving."""

import grpc
from google.protobuf.message import DecodeError

from pipelines.serving.clients import ServerError
from pipelines.serving.clients.messages import predict_request, read_response

METHOD = "/tensorflow.serving.PredictionService/Predict"
# The default of 4 MB is less than the nodes of one snippet. The format of messages ends at 2 GB.
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),  # `with_retries` alone repeats a call
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),  # by default a server that is back would be seen after two minutes
)
TOO_LARGE = "larger than max"  # of a message, which has the same status as a full queue
AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED")


class GrpcClient:
    """See ``pipelines.serving.clients.Client``.

    Args:
        target: ``"HOST:PORT"``.
    """

    max_request_bytes = 64 << 20

    def __init__(self, target):
        self._channel = grpc.insecure_channel(target, options=OPTIONS)
        self._predict = self._channel.unary_unary(METHOD)

    def predict(self, model, signature, inputs, wanted=(), timeout_sec=60.0):
        try:
            return read_response(self._predict(predict_request(model, signature, inputs, wanted), timeout=timeout_sec))
        except grpc.RpcError as error:
            status, text = error.code().name, error.details() or ""
            raise ServerError(status, text, status in AGAIN and TOO_LARGE not in text) from None
        except (DecodeError, ValueError) as error:
            raise ServerError("INTERNAL", str(error)) from None

    def close(self):
        self._channel.close()
