"""How many cameras two cores carry, and where the time goes: `python -m benchmarks.cameras VIDEO MODEL`.

All times are CPU times of all threads, from turns in one process, because they hardly depend on what else runs on the
machine. The video is played as a stream of 320x240 with 25 frames/s, of which the model takes 4. A camera costs what
its reader does (`Reader`, with its connection) and what the scoring does (`StreamScorer`), so two cores carry

    2 / (4 frames/s * (CPU seconds of both per frame))

cameras. The parts are timed alone. The backbone has random weights, which changes no time.
"""

import argparse
import contextlib
import dataclasses
import tempfile
import threading
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np

from benchmarks.live import write_stream
from benchmarks.measure import in_worker, take_turns
from pipelines.data.pixels import grey_picture, picture_jpeg, square_rgb
from pipelines.live.reader import Reader, ReaderTask
from pipelines.report.terminal.tables import markdown_table

CORES, FRAMES_PER_SEC = 2, 4.0
BATCH = 32
COLUMNS = {"part": "part", "one": "1 thread (ms)", "two": "2 threads (ms)"}


def reader_parts(path, info, num_frames):
    """Return the functions that read ``num_frames`` sampled frames of a file, whole and part by part.

    Args:
        path: mp4 file with 25 frames/s that lasts as long.
        info: ``ModelInfo``.
        num_frames: Sampled frames that a call takes.
    """
    task = ReaderTask(str(path), "file", path.name, "tcp", FRAMES_PER_SEC, info.image_size_px, info.crop, pace=False)
    near, far = get_context("spawn").Pipe()

    def receive():
        with contextlib.suppress(EOFError):
            while True:
                near.recv()

    threading.Thread(target=receive, daemon=True).start()
    with av.open(str(path)) as container:
        frames = [frame for number, frame in enumerate(container.decode(video=0)) if number % 25 in (0, 7, 13, 19)]
    frames = frames[:num_frames]
    size, crop = info.image_size_px, info.crop

    def decode():
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            return sum(1 for _ in container.decode(video=0))

    return {
        "reader": lambda: Reader(far, task)._play(path, pace=False),
        "decode": decode,
        "resize": lambda: [square_rgb(frame, None, size, crop) for frame in frames],
        "picture": lambda: [(picture_jpeg(frame, None, 640), grey_picture(frame)) for frame in frames],
    }


def scoring_parts(engine, pixels):
    """Return the functions that score frames: the whole of it, its parts, and the backbone alone.

    Args:
        engine: ``SavedModelEngine``.
        pixels: uint8 ``(n, S, S, 3)``; a call takes one block of them.
    """
    import keras
    import tensorflow as tf

    from pipelines.serving.scorer import as_recorded
    from pipelines.serving.stream import StreamScorer

    info, scorer = engine.info, StreamScorer(engine)
    block = pixels[: scorer.frames_per_call]
    scorer.warm_up()
    for _ in range(4):
        scorer.push(block)
    nodes = {name: np.concatenate([part[name] for part in scorer._nodes]) for name in scorer._nodes[0]}
    nodes = {name: value.astype(np.float32) for name, value in nodes.items()}
    side = info.image_size_px
    network = keras.applications.MobileNetV2(input_shape=(side, side, 3), include_top=False, weights=None)

    def backbone_of(batch):
        call = tf.function(lambda x: network(x, training=False), jit_compile=False)
        values = tf.random.uniform((batch, side, side, 3), -1, 1)
        return lambda: call(values).numpy()

    return {
        "scoring": lambda: scorer.push(block),
        "jpeg": lambda: as_recorded(block, info.jpeg_quality),
        "extract": lambda: engine.extract(block),
        "head": lambda: engine.score_nodes(nodes),
        "backbone": backbone_of(len(block)),
        "backbone_batch": backbone_of(BATCH),
    }


def measure(path, model, budget_sec):
    """Return CPU milliseconds per sampled frame of each part; it runs in a worker with its number of threads."""
    from pipelines.data.video import VideoReader
    from pipelines.serving.engines.saved_model import SavedModelEngine

    engine = SavedModelEngine(model)
    engine.info = dataclasses.replace(engine.info, frames_per_sec=FRAMES_PER_SEC)
    info = engine.info
    pixels = np.stack([frame.rgb for frame in VideoReader(path, FRAMES_PER_SEC, info.image_size_px, crop=info.crop)])
    parts = reader_parts(path, info, len(pixels)) | scoring_parts(engine, pixels)
    timings = take_turns(parts, budget_sec, 5)
    frames = dict.fromkeys(("reader", "decode", "resize", "picture"), len(pixels))
    block = info.clip_frames
    return {name: timings[name].cpu_ms / frames.get(name, BATCH if name == "backbone_batch" else block)
            for name in parts}


def rows_of(one, two):
    """Return the rows of the table and its last lines for the times with one thread and with two."""
    def row(part, value):
        return {"part": part, "one": value(one), "two": value(two)}

    def cameras(times):
        return CORES / (FRAMES_PER_SEC * (times["reader"] + times["scoring"]) / 1e3)

    return [
        row("reader: decode, 25 frames/s", lambda times: times["decode"]),
        row("reader: resize", lambda times: times["resize"]),
        row("reader: picture for people", lambda times: times["picture"]),
        row("reader: time stamps, health, sending, the rest", _rest("reader", "decode", "resize", "picture")),
        row("**reader, all**", lambda times: times["reader"]),
        row("scoring: JPEG as in training", lambda times: times["jpeg"]),
        row("scoring: backbone, as many frames as a snippet", lambda times: times["backbone"]),
        row("scoring: rest of the extractor", _rest("extract", "backbone")),
        row("scoring: head", lambda times: times["head"]),
        row("scoring: the rest", _rest("scoring", "jpeg", "extract", "head")),
        row("**scoring, all**", lambda times: times["scoring"]),
        row("backbone alone, 32 frames at once", lambda times: times["backbone_batch"]),
        row("cameras on two cores", cameras),
        row("share of the backbone's rate: scoring", lambda times: times["backbone"] / times["scoring"]),
        row("share, with 32 frames at once as its rate", lambda times: times["backbone_batch"] / times["scoring"]),
        row("share, reader included", lambda times: times["backbone"] / (times["scoring"] + times["reader"])),
    ]


def _rest(whole, *parts):
    return lambda times: times[whole] - sum(times[part] for part in parts)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=20.0, help="budget for each number of threads")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.mp4"
        write_stream(options.video, path, num_frames=100, form="mp4")
        times = [in_worker(measure, path, options.model, options.seconds, threads=n) for n in (1, 2)]
    print(markdown_table(rows_of(*times), COLUMNS, decimals=2))


if __name__ == "__main__":
    main()
