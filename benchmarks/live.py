"""Watch real RTSP streams for minutes while servers die and lie, or find how many cameras this machine carries.

`python -m benchmarks.live VIDEO MODEL --minutes 30 --restarts 3` prints one line per minute: latency, memory, work per
frame and drops. `--cameras 1,2,4,8 --fps 4` plays the video as so many cameras and prints what was dropped. It needs
Debian's gst-rtsp-server (`gir1.2-gst-rtsp-server-1.0`, `python3-gi`) for the streams.
"""

import argparse
import dataclasses
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import numpy as np

from pipelines.live.cameras import Camera
from pipelines.live.recorder import Recorder
from pipelines.live.store import EventStore
from pipelines.live.watched import ClipTimes
from pipelines.live.watcher import Watcher, WatchOptions
from pipelines.run.workers import load_tensorflow_quietly

SERVER = Path(__file__).parents[1] / "tests" / "pipelines" / "live" / "rtsp_server.py"
SIZE = (320, 240)


def write_stream(video, path, num_frames=500, size=SIZE, form="h264"):
    """Write a video as raw H.264 with access unit delimiters, 25 frames a second, a key frame every 2 s, or as mp4."""
    with av.open(str(video)) as source, av.open(str(path), "w", format=form) as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"bf": "0", "g": "50", "preset": "veryfast", "x264-params": "aud=1:repeat-headers=1"}
        for number, frame in enumerate(source.decode(video=0)):
            if number == num_frames:
                break
            pixels = frame.reformat(*size, "yuv420p").to_ndarray()
            copy = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
            copy.pts = number
            target.mux(stream.encode(copy))
        target.mux(stream.encode())


def write_loop(video, path, seconds):
    """Write a video again and again as an mp4 of 25 frames a second."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        pictures = [frame.reformat(*SIZE, "yuv420p").to_ndarray() for frame in source.decode(video=0)]
        for number in range(25 * seconds):
            frame = av.VideoFrame.from_ndarray(pictures[number % len(pictures)], format="yuv420p")
            frame.pts = number
            target.mux(stream.encode(frame))
        target.mux(stream.encode())


def start_server(port, entries):
    """Start the RTSP server and wait until it is ready."""
    command = ["/usr/bin/python3", str(SERVER), str(port), *entries]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def start_liar(answer):
    """Accept connections for ever; send what ``answer()`` returns, or nothing, and keep them open."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept = []

    def accept():
        while True:
            connection, _ = listener.accept()
            kept.append(connection)
            data = answer()
            if data:
                threading.Thread(target=lambda c=connection, d=data: c.sendall(d), daemon=True).start()
            del kept[:-8]

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def free_port():
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def memory_mb(pid):
    """Return the unshared memory of a process in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024


def cpu_sec(pid):
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def soak(options, engine, folder):
    """Run the long proof."""
    steady, changing, port = folder / "steady.h264", folder / "changing.h264", free_port()
    write_stream(options.video, steady)
    write_stream(options.video, changing, 100, (176, 144))
    second = free_port()
    restarted = start_server(port, [f"a={steady}"])
    kept = start_server(second, [f"b={steady}", f"c={changing},{steady}"])
    garbage = start_liar(lambda: b"RTSP/1.0 200 OK\r\n" + os.urandom(200_000))
    silent = start_liar(lambda: b"")
    cameras = [
        Camera("restarted_tcp", f"rtsp://127.0.0.1:{port}/a"),
        Camera("restarted_udp", f"rtsp://127.0.0.1:{port}/a", transport="udp"),
        Camera("steady", f"rtsp://127.0.0.1:{second}/b"),
        Camera("changing", f"rtsp://127.0.0.1:{second}/c"),
        Camera("silent", f"rtsp://127.0.0.1:{silent}/x"),
        Camera("silent_http", f"http://127.0.0.1:{silent}/x"),
        Camera("garbage", f"rtsp://127.0.0.1:{garbage}/x"),
        Camera("garbage_http", f"http://127.0.0.1:{garbage}/x"),
    ]
    watcher = make_watcher(cameras, engine, folder)
    messages = watcher.subscribe()
    watcher.start()
    end, restarts = time.monotonic() + 60 * options.minutes, options.restarts
    pauses = [60 * options.minutes * (n + 1) / (restarts + 1) for n in range(restarts)]
    start, minutes = time.monotonic(), []
    latencies, every = {camera.name: [] for camera in cameras}, []
    killer = threading.Thread(target=_restart, args=(pauses, start, port, steady, [restarted]), daemon=True)
    killer.start()
    while time.monotonic() < end:
        time.sleep(max(0.0, start + 60 * (len(minutes) + 1) - time.monotonic()) / 600)
        while not messages.empty():
            message = messages.get()
            if message["type"] == "score":
                watched = watcher._watched[message["camera"]]
                latencies[message["camera"]].append(watched.latency_sec)
            elif message["type"] == "state":
                passed = time.monotonic() - start
                print(f"  {passed:7.1f} s  {message['camera']}: {message['state']} {message['reason']}", flush=True)
        if time.monotonic() - start >= 60 * (len(minutes) + 1):
            minutes.append(report(len(minutes) + 1, watcher, latencies, minutes[-1] if minutes else None))
            every += [value for values in latencies.values() for value in values]
            latencies = {name: [] for name in latencies}
    for status in watcher.statuses():
        print(status)
    summarize(minutes, every)
    watcher.stop()
    kept.kill()


def _restart(pauses, start, port, stream, processes):
    for pause in pauses:
        time.sleep(max(0.0, start + pause - time.monotonic()))
        processes.pop().kill()
        time.sleep(10)
        processes.append(start_server(port, [f"a={stream}"]))


def make_watcher(cameras, engine, folder, **options):
    """Return a watcher of all cameras with one model."""
    recorder = Recorder(EventStore(folder / "live"))
    return Watcher(cameras, {camera.name: engine for camera in cameras}, recorder, options=WatchOptions(**options))


def report(minute, watcher, latencies, before):
    """Print what happened in a minute and return the counters."""
    pids = {"scoring": os.getpid()}
    pids |= {name: one.source.pid for name, one in watcher._watched.items() if one.source.pid}
    now = {"cpu": {name: cpu_sec(pid) for name, pid in pids.items()}}
    now["mb"], now["work"] = {name: memory_mb(pid) for name, pid in pids.items()}, np.nan
    now["frames"] = {status.name: status.frames_scored for status in watcher.statuses()}
    frames = sum(now["frames"].values())
    text = f"minute {minute:2}:"
    if before:
        new = frames - sum(before["frames"].values())
        work = now["cpu"]["scoring"] - before["cpu"]["scoring"]
        readers = sum(now["cpu"][name] - before["cpu"].get(name, 0.0) for name in pids if name != "scoring")
        now["work"] = 1e3 * work / max(new, 1)
        text += f" {new} frames, scoring {now['work']:.1f} ms CPU each,"
        text += f" readers {readers / 60:.1%} of a core,"
    every = np.concatenate([np.array(values or [np.nan]) for values in latencies.values()])
    p50, p99 = np.nanpercentile(every, (50, 99)) if np.isfinite(every).any() else (np.nan, np.nan)
    text += f" latency p50 {p50:.2f} s, p99 {p99:.2f} s, dropped {sum(s.frames_dropped for s in watcher.statuses())},"
    print(text, "MB " + " ".join(f"{name} {size:.1f}" for name, size in now["mb"].items()), flush=True)
    return now


def summarize(minutes, latencies):
    """Print latency, work and memory of the whole time.

    The packets for clips fill the memory of a reader for ``ClipTimes.ring_sec``, so its growth is that since then.
    """
    full = min(math.ceil(ClipTimes().ring_sec / 60), len(minutes)) - 1
    first, last = minutes[min(1, len(minutes) - 1)], minutes[-1]
    p50, p99 = np.percentile(latencies, (50, 99))
    print(f"latency of {len(latencies)} frames: p50 {p50:.2f} s, p99 {p99:.2f} s; scoring {first['work']:.2f} ms CPU "
          f"per frame in minute 2, {last['work']:.2f} in minute {len(minutes)}")
    for name, size in last["mb"].items():
        one, other = (minutes[at]["mb"].get(name, np.nan) for at in (0, full))
        print(f"{name:14} {one:6.1f} MB after minute 1, {other:6.1f} after minute {full + 1}, "
              f"{size:6.1f} at the end: {size / one - 1:+.1%} and {size / other - 1:+.1%}")


def capacity(options, engine, folder):
    """Play the video as many cameras at once, and print whether all frames are scored."""
    engine.info = dataclasses.replace(engine.info, frames_per_sec=options.fps)
    stream = folder / "camera.mp4"
    write_loop(options.video, stream, options.seconds)
    for count in map(int, options.cameras.split(",")):
        cameras = [Camera(f"camera_{number}", str(stream)) for number in range(count)]
        watcher = make_watcher(cameras, engine, Path(tempfile.mkdtemp(dir=folder)))
        watcher.start()
        while not all(status.frames_scored for status in watcher.statuses()):
            time.sleep(0.1)
        start, cpu = time.monotonic(), cpu_sec(os.getpid())
        first = sum(status.frames_scored for status in watcher.statuses())
        latencies = []
        while time.monotonic() - start < options.seconds - 10:
            time.sleep(0.2)
            latencies += [status.latency_sec for status in watcher.statuses()]
        statuses, seconds = watcher.statuses(), time.monotonic() - start
        scored = sum(status.frames_scored for status in statuses) - first
        readers = sum(cpu_sec(one.source.pid) for one in watcher._watched.values())
        print(
            f"{count:3} cameras: {scored / seconds:.1f} of {count * options.fps:g} frames/s scored, "
            f"dropped {sum(status.frames_dropped for status in statuses)}, "
            f"latency p50 {np.percentile(latencies, 50):.2f} s, p99 {np.percentile(latencies, 99):.2f} s, "
            f"scoring {1e3 * (cpu_sec(os.getpid()) - cpu) / max(scored, 1):.1f} ms CPU per frame, "
            f"readers {readers / count:.1f} s CPU each",
            flush=True,
        )
        watcher.stop()


def main():
    """Parse the command line and run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--cameras", default="", help="numbers of cameras, such as 1,2,4,8")
    parser.add_argument("--fps", type=float, default=4.0)
    parser.add_argument("--seconds", type=int, default=40)
    options = parser.parse_args()
    load_tensorflow_quietly()
    from pipelines.serving.engines.saved_model import SavedModelEngine

    with tempfile.TemporaryDirectory() as folder:
        engine = SavedModelEngine(options.model)
        if not options.cameras:
            engine.info = dataclasses.replace(engine.info, frames_per_sec=options.fps)
        (capacity if options.cameras else soak)(options, engine, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
