"""Generated surveillance videos for the demo and the tests: H.264 files, labels and frame labels on disk.

In every video, people walk, stand, meet and talk. In an abnormal video, a chase and a fight take 15 to 35 % of the
time. Videos 2i and 2i + 1, one normal and one abnormal, share camera and people. So background, light, clothes and
number of people are equal, and only motion and interaction differ. The same seed gives the same labels and the same
pixels.
"""

import csv
import dataclasses
import io
import json
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np

from pipelines.config import UserError
from pipelines.data.listing.dataset import About, ListedVideo
from pipelines.data.listing.masks import MASKS_NAME
from pipelines.data.synthetic.scene import Camera, random_look
from pipelines.data.synthetic.story import event_frames, simulate
from pipelines.run.files import TEMPORARY, replacing, write_json, write_text
from pipelines.run.workers import exit_with_parent, usable_cores

ABOUT = About(
    title="generated people who walk, meet, chase and fight",
    videos="none: they are generated under `data.root`",
    lists="none",
    source="this program",
)
NOTE_NAME = "synthetic.json"
GENERATOR_VERSION = 2  # increase it when the pictures change, so that old files are generated again
# x264's lookahead (macroblock tree) reads uninitialized memory when pictures are small. Without it, equal pictures give
# equal bytes.
QUALITY = {"crf": "20", "preset": "veryfast", "rc-lookahead": "0"}


def load(config, track=iter):
    """Load the generated videos; those that are not on disk yet are generated first, in parallel.

    Raises:
        UserError: ``data.root`` holds other files, or the videos would be too short.
    """
    root, settings = Path(config.data.root), config.synthetic
    if settings.duration_sec * settings.frames_per_sec < 20:
        raise UserError(
            f"a synthetic video needs at least 20 frames. Received: {settings.duration_sec:g} s at "
            f"{settings.frames_per_sec:g} frames per second. Raise `synthetic.duration_sec` or "
            "`synthetic.frames_per_sec`."
        )
    videos = planned(root, settings)
    _claim(root, settings)
    todo = [(video, position) for position, video in enumerate(videos) if not video.path.exists()]
    if todo:
        workers = min(len(todo), config.data.workers or usable_cores())
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=exit_with_parent) as pool:
            jobs = [pool.submit(render, video.path, settings, position, video.intervals) for video, position in todo]
            for job in track(jobs):
                job.result()
    _write_lists(root, videos)
    if todo or not (root / MASKS_NAME).exists():
        _write_masks(root / MASKS_NAME, videos, settings)
    return videos


def planned(root, settings):
    """Return the ``ListedVideo`` entries, on disk or not, in the order of the list; every second one is abnormal."""
    num_frames = round(settings.duration_sec * settings.frames_per_sec)
    videos = []
    for subset, count in (("train", settings.train_videos), ("test", settings.test_videos)):
        for index in range(count):
            label = index % 2
            event = event_frames(np.random.default_rng([settings.seed, len(videos), 0]), num_frames)
            kind = "fight" if label else "normal"
            name = f"{subset}/{kind}_{index:03d}"
            intervals = (event,) if label else ()
            videos.append(ListedVideo(name, root / f"{name}.mp4", subset, label, kind, intervals=intervals))
    return videos


def _claim(root, settings):
    """Mark the folder as generated with these settings; videos of other settings are removed."""
    wanted = {"generator": GENERATOR_VERSION, **dataclasses.asdict(settings)}
    note = root / NOTE_NAME
    if note.exists():
        if _read_note(note) == wanted:
            return
        for path in [*root.glob("*/fight_*.mp4"), *root.glob("*/normal_*.mp4"), *root.glob(MASKS_NAME)]:
            path.unlink()
    elif root.exists() and any(not path.name.startswith(TEMPORARY) for path in root.iterdir()):
        raise UserError(
            f"{root} holds files that were not generated. Set `data.root` to an empty or new folder. To use the files "
            'there, set `data.dataset` to "folder".'
        )
    write_json(note, wanted)


def _read_note(path):
    """Return the content of the note; None when it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def render(path, settings, position, intervals):
    """Render one story and write it as an H.264 file."""
    fps = settings.frames_per_sec
    camera, looks, story = _scene(settings, position, intervals)
    with replacing(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = settings.width_px, settings.height_px, "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for index, poses in enumerate(story.poses):
            picture = camera.shoot(poses, looks, index / fps)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _scene(settings, position, intervals):
    """Return camera, looks and story of a video."""
    shared = np.random.default_rng([settings.seed, position // 2, 1])
    camera = Camera(shared, settings.width_px, settings.height_px, settings.people_size)
    looks = [random_look(shared) for _ in range(int(shared.integers(3, 6)))]
    rng = np.random.default_rng([settings.seed, position, 2])
    fps, num_frames = settings.frames_per_sec, round(settings.duration_sec * settings.frames_per_sec)
    event = intervals[0] if intervals else None
    return camera, looks, simulate(rng, len(looks), num_frames, fps, event, settings.people_size)


def _write_masks(path, videos, settings):
    """Write which pixels show the two people who fight, for each abnormal video; see ``PixelMasks``."""
    masks = {}
    for position, video in enumerate(videos):
        if video.label:
            camera, looks, story = _scene(settings, position, video.intervals)
            mask = np.zeros((len(story.poses), settings.height_px, settings.width_px), bool)
            for frame in range(*story.event):
                mask[frame] = camera.silhouette(story.poses[frame][:2], looks[:2])
            masks[video.video_id] = np.packbits(mask, axis=-1)
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **masks)  # type: ignore[arg-type]  # keys are names of videos


def _write_lists(root, videos):
    """Write ``labels.csv`` and ``intervals.csv``, as the folder dataset reads them."""
    rows = [(f"{video.video_id}.mp4", video.label, video.subset, video.class_name) for video in videos]
    _write_csv(root / "labels.csv", ("file", "label", "subset", "class"), rows)
    rows = [(f"{video.video_id}.mp4", *interval) for video in videos for interval in video.intervals]
    _write_csv(root / "intervals.csv", ("file", "start_frame", "end_frame"), rows)


def _write_csv(path, header, rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(path, text.getvalue())
