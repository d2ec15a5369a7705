"""What the gRPC client makes of the errors of a connection."""

from concurrent import futures

import pytest

from pipelines.serving.clients import ServedModel, ServerError

grpc = pytest.importorskip("grpc", reason="needs grpcio: pip install 'vad-keras[serving]'")
grpc_client = pytest.importorskip("pipelines.serving.clients.grpc_client")
METHOD = grpc_client.METHOD


class Answer(grpc.GenericRpcHandler):
    """Answers each call with one status, or with bytes."""

    def __init__(self, answer):
        self.answer = answer

    def service(self, details):
        def handle(request, context):
            if isinstance(self.answer, bytes):
                return self.answer
            return context.abort(*self.answer)

        return grpc.unary_unary_rpc_method_handler(handle) if details.method == METHOD else None


def error_of(answer):
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=(Answer(answer),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = grpc_client.GrpcClient(f"127.0.0.1:{port}")
    try:
        with pytest.raises(ServerError) as caught:
            client.predict(ServedModel("vad"), "describe", {"query": [""]}, timeout_sec=20)
    finally:
        client.close()
        server.stop(0).wait()
    return caught.value


@pytest.mark.parametrize(
    ("status", "text", "retry"),
    [
        ("UNAVAILABLE", "loading", True),
        ("RESOURCE_EXHAUSTED", "the queue is full", True),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 4)", False),
        ("ABORTED", "", True),
        ("INVALID_ARGUMENT", "Shape", False),
        ("DEADLINE_EXCEEDED", "", False),
        ("NOT_FOUND", "Servable not found", False),
    ],
)
def test_only_what_passes_is_worth_a_retry(status, text, retry):
    error = error_of((grpc.StatusCode[status], text))
    assert (error.status, error.text, error.retry) == (status, text, retry)


def test_an_answer_that_is_no_message_is_an_error_of_the_server():
    assert error_of(b"\xff\xff\xff").status in ("INTERNAL", "UNKNOWN")
