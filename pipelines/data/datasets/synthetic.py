"""Generated surveillance videos, for the demonstration and the tests: H.264 files, labels and frame labels on disk.

In every video people stroll, stand, meet and talk. In an abnormal one a chase and a fight take 15 to 35 % of the time.
Videos 2i and 2i + 1, one normal and one abnormal, share camera and people, so that neither place, light, clothes
nor number tells them apart: the event is a matter of motion and interaction. The same seed gives the same labels and
the same pixels.
"""

import csv
import dataclasses
import io
import json
import os
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np

from pipelines.config import UserError
from pipelines.data.datasets import About, Video
from pipelines.data.listing.manifest import write_json
from pipelines.data.synthetic.scene import Camera, random_look
from pipelines.data.synthetic.story import event_frames, tell
from pipelines.run.workers import usable_cores

ABOUT = About(
    title="generated people who stroll, meet, chase and fight",
    videos="none: they are made under `data.root`",
    lists="none",
    source="this program",
)
NOTE_NAME = "synthetic.json"
GENERATOR_VERSION = 2  # raise it when the pictures change, so that old files are made anew
# x264's lookahead (macroblock tree) reads memory that nothing wrote to when pictures are small; without it the same
# pictures give the same bytes.
QUALITY = {"crf": "20", "preset": "veryfast", "rc-lookahead": "0"}


def load(config, track=iter):
    """The generated videos; those that are not on disk yet are made first, in parallel.

    Raises:
        UserError: `data.root` holds something else, or the settings make no video.
    """
    root, settings = Path(config.data.root), config.synthetic
    if settings.duration_sec * settings.frames_per_sec < 20:
        raise UserError(
            "a synthetic video needs at least 20 frames. Raise `synthetic.duration_sec` or `.frames_per_sec`."
        )
    videos = _plan(root, settings)
    _claim(root, settings)
    todo = [(video, position) for position, video in enumerate(videos) if not video.path.exists()]
    if todo:
        with ProcessPoolExecutor(min(len(todo), config.data.workers or usable_cores()), get_context("spawn")) as pool:
            jobs = [pool.submit(render, video.path, settings, position, video.intervals) for video, position in todo]
            for job in track(jobs):
                job.result()
    _write_lists(root, videos)
    return videos


def _plan(root, settings):
    """The videos in the order of the list; each second one is abnormal."""
    num_frames = round(settings.duration_sec * settings.frames_per_sec)
    videos = []
    for subset, count in (("train", settings.train_videos), ("test", settings.test_videos)):
        for index in range(count):
            label = index % 2
            event = event_frames(np.random.default_rng([settings.seed, len(videos), 0]), num_frames)
            kind = "fight" if label else "normal"
            name = f"{subset}/{kind}_{index:03d}"
            videos.append(Video(name, root / f"{name}.mp4", subset, label, kind, intervals=(event,) if label else ()))
    return videos


def _claim(root, settings):
    """Mark the folder as generated with these settings; what other settings generated is removed."""
    wanted = {"generator": GENERATOR_VERSION, **dataclasses.asdict(settings)}
    note = root / NOTE_NAME
    if note.exists():
        if json.loads(note.read_text(encoding="utf-8")) == wanted:
            return
        for path in [*root.glob("*/fight_*.mp4"), *root.glob("*/normal_*.mp4")]:
            path.unlink()
    elif root.exists() and any(root.iterdir()):
        raise UserError(
            f"{root} holds files that were not generated. Set `data.root` to an empty or new folder, "
            '`data.dataset` to "folder" to use what is there.'
        )
    write_json(note, wanted)


def render(path, settings, position, intervals):
    """Play one story before a camera and write it as H.264; the file appears when it is whole."""
    fps, num_frames = settings.frames_per_sec, round(settings.duration_sec * settings.frames_per_sec)
    shared = np.random.default_rng([settings.seed, position // 2, 1])
    camera = Camera(shared, settings.width_px, settings.height_px, settings.people_size)
    looks = [random_look(shared) for _ in range(int(shared.integers(3, 6)))]
    rng = np.random.default_rng([settings.seed, position, 2])
    story = tell(rng, len(looks), num_frames, fps, intervals[0] if intervals else None, settings.people_size)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp.mp4")
    with av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = settings.width_px, settings.height_px, "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for index, poses in enumerate(story.poses):
            picture = camera.shoot(poses, looks, index / fps)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    os.replace(temporary, path)


def _write_lists(root, videos):
    """`labels.csv` and `intervals.csv`, as the folder dataset reads them."""
    rows = [(f"{video.video_id}.mp4", video.label, video.subset, video.class_name) for video in videos]
    _write_csv(root / "labels.csv", ("file", "label", "subset", "class"), rows)
    rows = [(f"{video.video_id}.mp4", *interval) for video in videos for interval in video.intervals]
    _write_csv(root / "intervals.csv", ("file", "start_frame", "end_frame"), rows)


def _write_csv(path, header, rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    os.replace(temporary, path)
