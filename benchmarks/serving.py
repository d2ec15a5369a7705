"""Measure a stand-in for TensorFlow Serving under load: ``python -m benchmarks.serving --model savedmodels/vad``.

1 to 32 clients send one snippet each, again and again, to the server of the tests in this process: gRPC with the
official stubs, a C++ session, a bounded number of threads and a bounded queue. What does not fit into the queue is
answered by RESOURCE_EXHAUSTED, and the client sends it again. Clients and server share the cores, so the table shows
how the client behaves, not how fast the real server is.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipelines.report.terminal.tables import markdown_table
from pipelines.serving.clients import ServedModel, ServerError, open_client
from pipelines.serving.clients.retries import with_retries
from pipelines.serving.model_info import read_model_info
from pipelines.serving.versions import version_folder

CLIENTS = (1, 2, 4, 8, 16, 32)
COLUMNS = {
    "clients": "clients",
    "answered": "answered",
    "lost": "lost",
    "refused": "refused, sent again",
    "rate": "requests/s",
    "p50": "p50 (ms)",
    "p99": "p99 (ms)",
}


class LoadClient:
    """Sends requests one after the other and keeps what happened to each."""

    def __init__(self, address, model, frames, timeout_sec):
        self.client, self.model, self.timeout_sec = open_client(address), model, timeout_sec
        self.inputs = {"frames": frames[np.newaxis]}
        self.times_sec, self.answers, self.refused, self.lost = [], [], 0, 0

    def run(self, num_requests):
        """Send ``num_requests`` requests."""
        for _ in range(num_requests):
            start = time.perf_counter()
            try:
                outputs, _ = with_retries(self._request, self.timeout_sec)
            except ServerError:
                self.lost += 1
                continue
            self.times_sec.append(time.perf_counter() - start)
            self.answers.append(outputs["anomaly_score"][0])
        self.client.close()
        return self

    def _request(self, remaining_sec):
        try:
            return self.client.predict(self.model, "score_frames", self.inputs, ("anomaly_score",), remaining_sec)
        except ServerError as error:
            self.refused += error.status == "RESOURCE_EXHAUSTED"
            raise


def measure(address, name, frames, num_clients, num_requests, timeout_sec=120.0):
    """Return the row of one number of clients.

    Raises:
        AssertionError: An answer is not that of its own frames.
    """
    clients = [LoadClient(address, ServedModel(name), part, timeout_sec) for part in frames[:num_clients]]
    start = time.perf_counter()
    with ThreadPoolExecutor(num_clients) as pool:
        clients = list(pool.map(lambda client: client.run(num_requests), clients))
    seconds = time.perf_counter() - start
    for client in clients:
        np.testing.assert_allclose(np.ptp(client.answers, axis=0), 0, atol=1e-5)  # the same frames, the same scores
    times_sec = np.concatenate([client.times_sec for client in clients])
    return {
        "clients": num_clients,
        "answered": len(times_sec),
        "lost": sum(client.lost for client in clients),
        "refused": sum(client.refused for client in clients),
        "rate": len(times_sec) / seconds,
        "p50": 1000 * np.percentile(times_sec, 50),
        "p99": 1000 * np.percentile(times_sec, 99),
    }


def run(folder, clients=CLIENTS, num_requests=20, threads=2, queue=8):
    """Return a row per number of clients for the model in ``folder``."""
    from tests.pipelines.serving.in_process_server import Models, Version, grpc_server

    folder = version_folder(folder)
    info = read_model_info(folder)
    side = info.image_size_px
    shape = (max(clients), info.clip_frames, side, side, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    models = Models(info.name, {1: Version(folder)})
    with grpc_server(models, threads, queue) as address:
        measure(address, info.name, frames, 1, 2)  # tracing and first allocations
        return [measure(address, info.name, frames, count, num_requests) for count in clients]


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of an exported model or version")
    parser.add_argument("--requests", type=int, default=20, help="requests per client")
    parser.add_argument("--threads", type=int, default=2, help="requests that the server runs at the same time")
    parser.add_argument("--queue", type=int, default=8, help="requests that may wait in the server")
    given = parser.parse_args(arguments)
    rows = run(given.model, num_requests=given.requests, threads=given.threads, queue=given.queue)
    print(markdown_table(rows, COLUMNS, decimals=1))


if __name__ == "__main__":
    main()
