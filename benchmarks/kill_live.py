"""Kill a whole `vad watch` at random moments and check what it leaves, and what the next one makes of it.

`python -m benchmarks.kill_live VIDEO MODEL --moments 10` watches a real RTSP server over TCP and UDP and a file, with a
threshold that scores cross all the time. Every second kill waits for the moment in which a clip is written. Of each
four kills, the first two reach the whole process group, the others the main process alone: its readers must end by
themselves.
It needs Debian's gst-rtsp-server, as `benchmarks.live`.
"""

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.kill import session_left
from benchmarks.live import free_port, start_server, write_stream
from pipelines.live.store import EventStore

EVENTS = ("alarms.min_length_sec=0", "alarms.merge_gap_sec=0.2", "alarms.cooldown_sec=0", "alarms.hysteresis=0")
CLIPS = ("watch.clip_before_sec=2", "watch.clip_after_sec=0.5", "watch.quiet_every_min=0.2", "notify.json_lines=true")
WAIT_SEC = 90.0


class Watch:
    """A running `vad watch`, in a session of its own.

    Args:
        folder: Where ``cameras.toml``, the store and the log are.
        model: Folder of the exported model.
    """

    def __init__(self, folder, model):
        self.store, self.start_time = folder / "live", time.time()
        settings = [f"work_dir={folder / 'run'}", *EVENTS, *CLIPS]
        command = [sys.executable, "-m", "pipelines", "watch", "--cameras", str(folder / "cameras.toml"), "--no-web"]
        command += ["--model", str(model), "--store", str(self.store)]
        command += [part for setting in settings for part in ("--set", setting)]
        with (folder / "watch.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait_for(self, condition):
        """Wait until a condition holds; fail when the process ends or it takes too long."""
        end = time.monotonic() + WAIT_SEC
        while not condition():
            assert self.process.poll() is None, f"vad watch ended with {self.process.poll()}"
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.05)

    def events_since_start(self):
        """Return the number of events that began and ended in this process."""
        with sqlite3.connect(self.store / "events.sqlite", timeout=30) as connection:
            sql = "SELECT count(*) FROM events WHERE start > ? AND end IS NOT NULL"
            return connection.execute(sql, (self.start_time,)).fetchone()[0]

    def cameras_since_start(self):
        """Return the number of cameras with scores of this process."""
        with sqlite3.connect(self.store / "events.sqlite", timeout=30) as connection:
            sql = "SELECT count(DISTINCT camera) FROM scores WHERE time > ?"
            return connection.execute(sql, (self.start_time,)).fetchone()[0]

    def wait_for_writing(self, timeout_sec=20.0):
        """Wait until a clip is being written; return whether that was seen."""
        end = time.monotonic() + timeout_sec
        while time.monotonic() < end:
            if any(name.endswith(".mp4") for name in temporary_files(self.store)):
                return True
        return False

    def kill(self, whole_group):
        """Kill it and return the command lines of what stays."""
        (os.killpg if whole_group else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return session_left(self.process.pid)


def temporary_files(folder):
    """Return the names of the temporary files of clips, snapshots and lists."""
    found = []
    for name in ("media", "quiet", "scored"):
        for _, _, files in os.walk(folder / name):
            found += [file for file in files if file.startswith(".tmp-")]
    return found


def check_after_kill(folder):
    """Return what is wrong with a store that nobody has opened since the kill."""
    with sqlite3.connect(folder / "events.sqlite") as connection:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
        wrong = [] if answer == "ok" else [f"database: {answer}"]
        wrong += [f"event {row[0]} is not whole" for row in connection.execute(
            "SELECT event_id FROM events WHERE end < start OR peak_time < start OR peak_score IS NULL")]
    return wrong


def check_store(folder, before):
    """Return what is wrong with the events that started before a time, and the numbers of events and clips.

    Args:
        folder: Of the store.
        before: Unix time; later events may be at work.
    """
    store, wrong = EventStore(folder), []
    events = store.events(before=before, limit=1_000_000)
    num_clips = num_reasons = 0
    for event in events:
        what = f"{event.camera} {event.event_id[:8]}"
        if event.end is None:
            wrong.append(f"{what}: still open")
        if not event.has_snapshot:
            wrong.append(f"{what}: no snapshot")
        if event.has_clip:
            num_clips += 1
            problem = problem_of_clip(store.clip_path(event.event_id))
            wrong += [f"{what}: clip {problem}"] if problem else []
        elif event.clip_problem:
            num_reasons += 1
        else:
            wrong.append(f"{what}: neither a clip nor a reason")
    for path in (folder / "quiet").rglob("[!.]*.mp4"):
        problem = problem_of_clip(path)
        wrong += [f"quiet {path.name}: {problem}"] if problem else []
    store.close()
    return wrong, len(events), num_clips, num_reasons


def problem_of_clip(path):
    """Decode a clip to its end; return what is wrong with it."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            num_frames = sum(1 for _ in container.decode(stream))
            seconds = float(stream.duration * stream.time_base)
    except av.FFmpegError as error:
        return str(error)
    if num_frames != stream.frames or seconds <= 0:
        return f"has {num_frames} of {stream.frames} frames and {seconds:g} s"
    return ""


def write_cameras(folder, video, model):
    """Start the server, write cameras.toml, and set the threshold to the median score of the video."""
    stream, port = folder / "stream.h264", free_port()
    write_stream(video, stream)
    server = start_server(port, [f"a={stream}"])
    file = folder / "file.mp4"
    with av.open(str(stream), format="h264") as source, av.open(str(file), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number in range(25 * 600):
            packet = av.Packet(bytes(packets[number % len(packets)]))
            packet.stream, packet.time_base = copy, Fraction(1, 25)
            packet.is_keyframe = packets[number % len(packets)].is_keyframe
            packet.pts = packet.dts = number
            target.mux(packet)

    def write(threshold):
        sources = {"tcp": f"rtsp://127.0.0.1:{port}/a", "udp": f"rtsp://127.0.0.1:{port}/a", "file": str(file)}
        text = ""
        for name, source in sources.items():
            transport = f'transport = "{name}"\n' if name != "file" else ""
            text += f'[[cameras]]\nname = "{name}"\nsource = "{source}"\n{transport}threshold = {threshold}\n'
        (folder / "cameras.toml").write_text(text, encoding="utf-8")

    write(1.0)
    watch = Watch(folder, model)
    seconds = len(packets) / 25
    watch.wait_for(lambda: (watch.store / "events.sqlite").exists() and len(_scores(watch.store)) > 4 * seconds)
    watch.kill(True)
    threshold = float(np.median(_scores(watch.store)))
    write(threshold)
    return server, threshold


def _scores(folder):
    with sqlite3.connect(folder / "events.sqlite", timeout=30) as connection:
        try:
            return [row[0] for row in connection.execute("SELECT score FROM scores")]
        except sqlite3.OperationalError:
            return []


def main():
    """Kill, check and go on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("model")
    parser.add_argument("--moments", type=int, default=10)
    options = parser.parse_args()
    rng, wrong, in_writing, left_files = np.random.default_rng(0), [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        server, threshold = write_cameras(folder, options.video, options.model)
        print(f"threshold {threshold:.4f}", flush=True)
        watch = Watch(folder, options.model)
        for moment in range(options.moments):
            watch.wait_for(lambda watch=watch: watch.events_since_start() > 1)
            time.sleep(rng.uniform(0, 5))
            writing = moment % 2 == 1 and watch.wait_for_writing()
            in_writing += writing
            problems = [f"process left: {line}" for line in watch.kill(whole_group=moment % 4 < 2)]
            leftovers = temporary_files(watch.store)
            left_files += len(leftovers)
            problems += check_after_kill(watch.store)
            watch = Watch(folder, options.model)
            watch.wait_for(lambda watch=watch: watch.events_since_start() > 1)
            problems += [f"left: {name}" for name in leftovers if name in temporary_files(watch.store)]
            found, events, clips, reasons = check_store(watch.store, watch.start_time)
            problems += found
            print(f"kill {moment + 1}{' in a clip' if writing else ''}: {events} events, {clips} clips play, {reasons} "
                  f"say why there is none, {len(leftovers)} temporary files, {len(problems)} problems", flush=True)
            for problem in problems:
                print(f"  {problem}", flush=True)
            wrong += problems
        watch.wait_for(lambda: watch.cameras_since_start() == 3)
        watch.process.send_signal(signal.SIGTERM)
        status = watch.process.wait(60)
        found, events, clips, reasons = check_store(watch.store, time.time())
        found += [f"left: {name}" for name in temporary_files(watch.store)] + ([f"status {status}"] if status else [])
        print(f"SIGTERM: {events} events, {clips} clips play, {reasons} say why there is none, {len(found)} problems")
        for problem in found:
            print(f"  {problem}", flush=True)
        server.kill()
    wrong += found
    print(f"{options.moments} kills, {in_writing} in a clip, {left_files} temporary files, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
