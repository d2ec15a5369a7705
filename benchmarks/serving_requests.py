"""How many snippets a request should hold: ``python -m benchmarks.serving_requests VIDEO MODEL``.

One video is scored by the stand-ins of the tests, over gRPC and over REST, with 1 to 8 snippets per request. Answers
are delayed, as if the server were far away. Client and server share the cores and the CPU time, so only differences
mean something: the rounds take turns and the fastest of each counts.
"""

import argparse
import contextlib
import time

import numpy as np

from pipelines.data.video import VideoReader
from pipelines.report.terminal.tables import markdown_table
from pipelines.serving.clients.rest_client import RestClient
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.engines.tf_serving import TFServingEngine
from pipelines.serving.scorer import FrameScores, Scorer
from pipelines.serving.versions import version_folder

SNIPPETS, DELAYS_MS, THREADS = (1, 2, 4, 8), (0, 5, 20), 8
COLUMNS = {"protocol": "protocol", "snippets": "snippets per request", "kilobytes": "request for nodes (kB)"}
COLUMNS |= {"difference": "largest difference of a score"}
COLUMNS |= {"cpu": "CPU of both (s)"} | {delay: f"{delay} ms away (s)" for delay in DELAYS_MS}


def scores_of(engine, frames, piece=64):
    """Return the score of each frame."""
    scorer = Scorer(engine)
    parts = [scorer.push(frames[start : start + piece]) for start in range(0, len(frames), piece)]
    return FrameScores.join([*parts, scorer.finish()]).anomaly_score


def sizes_of_requests(monitored):
    """Let a client keep the size of each of its messages; return the list."""
    sizes = []
    if isinstance(monitored, RestClient):
        monitored._client.event_hooks["request"] = [lambda request: sizes.append(len(request.content))]
    else:
        call = monitored._predict
        monitored._predict = lambda message, **options: (sizes.append(len(message)), call(message, **options))[1]
    return sizes


def rows_of(folder, frames, rounds, protocols):
    """Return a row per protocol and number of snippets."""
    from tests.pipelines.serving.in_process_server import Models, Version, grpc_server, rest_server

    class FarModels(Models):
        """Models whose answers take longer, without work."""

        delay_sec = 0.0

        def predict(self, *request):
            time.sleep(self.delay_sec)
            return super().predict(*request)

    local = SavedModelEngine(folder)
    models = FarModels(local.info.name, {int(local.version): Version(folder)})
    expected, rows = scores_of(local, frames), []
    with contextlib.ExitStack() as stack:
        for protocol in protocols:
            server = grpc_server(models, THREADS) if protocol == "gRPC" else rest_server(models)
            address = stack.enter_context(server)
            for snippets in SNIPPETS:
                engine = TFServingEngine(address, local.info.name, snippets_per_request=snippets)
                stack.callback(engine.close)
                sizes = sizes_of_requests(engine._client)
                difference = np.abs(scores_of(engine, frames) - expected).max()
                row = {"protocol": protocol, "snippets": snippets}
                row |= {"kilobytes": f"{max(sizes[:-1]) / 1e3:,.0f}", "difference": f"{difference:.1e}"}
                rows.append((engine, row))
        for _ in range(rounds):
            for delay in DELAYS_MS:
                models.delay_sec = delay / 1000
                for engine, row in rows:
                    start, cpu = time.perf_counter(), time.process_time()
                    scores_of(engine, frames)
                    row["cpu"] = min(row.get("cpu", np.inf), time.process_time() - cpu)
                    row[delay] = min(row.get(delay, np.inf), time.perf_counter() - start)
    return [row for _, row in rows]


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("model")
    parser.add_argument("--frames", type=int, default=512, help="sampled frames that are scored")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--protocols", default="gRPC,REST")
    options = parser.parse_args(arguments)
    folder = version_folder(options.model)
    info = SavedModelEngine(folder).info
    reader = VideoReader(options.video, info.frames_per_sec, info.image_size_px, crop=info.crop)
    frames = np.stack([frame.rgb for frame, _ in zip(reader, range(options.frames), strict=False)])
    print(f"{len(frames)} frames of {info.image_size_px} pixels, {info.clip_frames} per snippet\n")
    print(markdown_table(rows_of(folder, frames, options.rounds, options.protocols.split(",")), COLUMNS, decimals=2))


if __name__ == "__main__":
    main()
