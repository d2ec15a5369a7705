"""Open the page of a real `vad watch` as 1 to 32 viewers: `python -m benchmarks.page VIDEO MODEL`.

A viewer does what the page of one camera does: it listens to messages, takes the live pictures, and asks for the score
curve once a second. The table says what the viewers get, and whether frames are scored as without them. Viewers and
`vad watch` share the cores of this machine.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.live import cpu_sec, free_port, write_loop
from pipelines.report.terminal.tables import markdown_table

VIEWERS = (0, 1, 8, 32)
CURVE = "/api/cameras/camera/scores"
COLUMNS = {"viewers": "viewers", "requests": "curves/s", "p50": "p50 (ms)", "p99": "p99 (ms)"}
COLUMNS |= {"messages": "messages/s each", "pictures": "pictures/s each", "cpu": "CPU of `vad watch` (cores)"}
COLUMNS |= {"scored": "frames scored/s", "dropped": "frames dropped", "latency": "frame to score, p99 (s)"}


async def open_request(port, path):
    """Send a request and read the header of its answer; return the streams and the length of the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return reader, writer, await send_request(reader, writer, port, path)


async def send_request(reader, writer, port, path):
    """Send a request on an open connection; return the length of the body, 0 where it is not known."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    header = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert " 200 " in header.splitlines()[0], header
    return next((int(line.split(":")[1]) for line in header.splitlines() if line.startswith("content-length")), 0)


async def count_parts(port, path, mark, counts):
    """Read an answer without an end and count how often ``mark`` comes."""
    reader, writer, _ = await open_request(port, path)
    rest = b""
    try:
        while data := await reader.read(1 << 16):
            rest += data
            counts[0] += rest.count(mark)
            rest = rest[max(rest.rfind(mark) + len(mark), len(rest) - len(mark) + 1) :]
    finally:
        writer.close()


async def ask_for_curves(port, times_sec, delay_sec):
    """Ask for the score curve once a second."""
    await asyncio.sleep(delay_sec)  # viewers do not come at the same moment
    reader, writer, length = await open_request(port, CURVE)
    await reader.readexactly(length)
    while True:
        await asyncio.sleep(1.0)
        start = time.perf_counter()
        await reader.readexactly(await send_request(reader, writer, port, CURVE))
        times_sec.append(time.perf_counter() - start)


async def status(port):
    """Return the camera as the page sees it."""
    reader, writer, length = await open_request(port, "/api/cameras/camera")
    content = await reader.readexactly(length)
    writer.close()
    return json.loads(content)


async def measure(port, pid, viewers, seconds):
    """Return the row of a number of viewers."""
    times_sec, messages, pictures, latencies = [], [0], [0], []
    tasks = [
        asyncio.create_task(job)
        for number in range(viewers)
        for job in (
            count_parts(port, "/api/messages", b"data: ", messages),
            count_parts(port, "/api/cameras/camera/stream.mjpg", b"Content-Type: image/jpeg", pictures),
            ask_for_curves(port, times_sec, number / viewers),
        )
    ]
    await asyncio.sleep(3)
    times_sec.clear()
    messages[0] = pictures[0] = 0
    before, cpu, start = await status(port), cpu_sec(pid), time.perf_counter()
    while time.perf_counter() - start < seconds:
        await asyncio.sleep(0.25)
        latencies.append((await status(port))["latency_sec"])
    after, passed = await status(port), time.perf_counter() - start
    cpu, asked = cpu_sec(pid) - cpu, list(times_sec)
    for task in tasks:
        task.cancel()
    failed = [error for error in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(error, Exception)]
    assert not failed, failed
    each = max(viewers, 1) * passed
    return {
        "viewers": viewers,
        "requests": len(asked) / passed,
        "p50": 1e3 * np.percentile(asked, 50) if asked else None,
        "p99": 1e3 * np.percentile(asked, 99) if asked else None,
        "messages": messages[0] / each,
        "pictures": pictures[0] / each,
        "cpu": cpu / passed,
        "scored": (after["frames_scored"] - before["frames_scored"]) / passed,
        "dropped": after["frames_dropped"] - before["frames_dropped"],
        "latency": np.percentile(latencies, 99),
    }


async def run(port, process, seconds):
    """Wait for the first scores, then return a row per number of viewers."""
    scored = 0
    while scored < 100:
        assert process.poll() is None, "vad watch has ended"
        await asyncio.sleep(0.5)
        try:
            scored = (await status(port))["frames_scored"]
        except OSError:
            continue
    return [await measure(port, process.pid, viewers, seconds) for viewers in VIEWERS]


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each number of viewers")
    options = parser.parse_args(arguments)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "camera.mp4"
        write_loop(options.video, path, round(len(VIEWERS) * (options.seconds + 10)) + 60)
        command = [sys.executable, "-m", "pipelines", "watch", str(path), "--model", options.model]
        command += ["--store", f"{folder}/live", "--web", f"127.0.0.1:{port}", "--set", f"work_dir={folder}/run"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            rows = asyncio.run(run(port, process, options.seconds))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    print(markdown_table(rows, COLUMNS, decimals=2))


if __name__ == "__main__":
    main()
