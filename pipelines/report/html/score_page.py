"""The page of scored videos: highest score first, with timelines, thumbnails and all alarms in one table.

Its size is bounded: a timeline has a fixed number of steps (about 3 kB), thumbnails are small JPEGs whose sum has a
limit, and only the first videos and alarms are shown.
"""

import csv
import io
import json
import os
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from pipelines.config import UserError
from pipelines.report.html.page import is_own_page, jpeg_uri, render
from pipelines.report.plots.canvas import format_time
from pipelines.report.plots.timeline import MAX_THUMBNAILS
from pipelines.report.terminal.progress import format_duration
from pipelines.report.terminal.summary import counted, printable
from pipelines.run.files import replacing, write_json, write_text

PAGE, ALARMS_CSV, ALARMS_JSON = "report.html", "alarms.csv", "alarms.json"
ALARM_COLUMNS = ("video", "start_frame", "end_frame", "start_sec", "end_sec", "max_score")
THUMBNAIL_HEIGHT_PX, THUMBNAIL_QUALITY = 120, 60
THUMBNAIL_BYTES = 3 << 20  # of all thumbnails of a page; videos with lower scores show none
MAX_VIDEOS, MAX_ALARMS, MAX_SKIPPED = 500, 1000, 100
STEPS = 300  # of a timeline
NUM_TICKS = 5


def refuse_other_files(output):
    """Check that the files of the report would replace nothing but those of an earlier report.

    Args:
        output: Folder of the results.

    Raises:
        UserError: A file there is not one of ours.
    """
    own = {PAGE: is_own_page, ALARMS_CSV: _is_alarms_csv, ALARMS_JSON: _is_alarms_json}
    for name, is_own in own.items():
        path = Path(output) / name
        if path.exists() and not is_own(path):
            raise UserError(f"{path} exists and was not written by `vad score`. Choose another folder with --output.")


def write_score_report(output, results, skipped, model, thumbnails):
    """Write ``report.html``, ``alarms.csv`` and ``alarms.json`` of scored videos.

    Args:
        output: Folder of the results, in which ``<name>.csv`` has the score of each frame.
        results: List of ``(name, content of <name>.json)``.
        skipped: Pairs of an input and the reason why it was skipped.
        model: A sentence that names the model.
        thumbnails: What follows the name of a result in the name of its ``write_thumbnails`` file.

    Returns:
        Path of the page.
    """
    output = Path(output)
    ordered = sorted(results, key=lambda pair: (-pair[1]["max_score"], pair[0]))
    alarms = [{"video": result["video"], **alarm} for _, result in ordered for alarm in result["alarms"]]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ALARM_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rounded(alarm) for alarm in alarms)
    write_text(output / ALARMS_CSV, text.getvalue().encode(errors="backslashreplace").decode())
    write_json(output / ALARMS_JSON, {"alarms": alarms})
    return write_text(output / PAGE, _page(output, ordered, skipped, model, thumbnails))


def write_thumbnails(path, pictures):
    """Write the pictures of a video side by side as one JPEG, of which the page is made.

    Args:
        path: JPEG to write.
        pictures: Frames of one size, uint8 RGB, at least one.
    """
    height, width = pictures[0].shape[:2]
    size = max(1, round(width * THUMBNAIL_HEIGHT_PX / height)), THUMBNAIL_HEIGHT_PX
    row = np.concatenate([np.asarray(Image.fromarray(picture).resize(size)) for picture in pictures], axis=1)
    with replacing(path) as temporary:
        Image.fromarray(row).save(temporary, "JPEG", quality=85)


def curve(times_sec, scores, duration_sec, steps=STEPS):
    """Return scores over time as an SVG path 1000 wide and 100 high; a step has the highest of its scores.

    Args:
        times_sec: ``(num_frames,)``.
        scores: ``(num_frames,)`` in [0, 1].
        duration_sec: End of the last frame.
        steps: Number of steps.

    Example:
    >>> curve([0.0, 1.0, 2.0, 3.0], [0.0, 0.5, 1.0, 0.0], 4.0, steps=4)
    'M0 100H250V50H500V0H750V100H1000'
    """
    edges = np.linspace(0, duration_sec, steps + 1)
    starts = np.clip(np.searchsorted(times_sec, edges[:-1], side="right") - 1, 0, None)  # the frame shown then
    ends = np.maximum(np.searchsorted(times_sec, edges[1:] - 1e-9), starts + 1)
    heights = [round(100 - 100 * float(np.max(scores[a:b]))) for a, b in zip(starts, ends, strict=True)]
    parts = [f"M0 {heights[0]}"]
    for number in range(1, steps):
        if heights[number] != heights[number - 1]:
            parts.append(f"H{round(1000 * number / steps)}V{heights[number]}")
    return "".join([*parts, "H1000"])


def _page(output, ordered, skipped, model, thumbnails):
    videos, room = [], THUMBNAIL_BYTES
    for number, (name, result) in enumerate(ordered[:MAX_VIDEOS], start=1):
        columns: dict[str, Any] = {"delimiter": ",", "skiprows": 1, "usecols": (1, 2), "ndmin": 2, "unpack": True}
        with (output / f"{name}.csv").open(encoding="utf-8") as file:
            times_sec, scores = np.loadtxt(file, **columns)
        videos.append(_video(output, name, result, f"v{number}", times_sec, scores))
        if room > 0:
            videos[-1]["thumbnails"] = _thumbnails(output / f"{name}{thumbnails}", result, times_sec)
        room -= sum(len(thumbnail["uri"]) for thumbnail in videos[-1]["thumbnails"])
    num_alarms = sum(len(result["alarms"]) for _, result in ordered)
    rows = ((number, name, result, alarm) for number, (name, result) in enumerate(ordered, start=1)
            for alarm in result["alarms"])  # fmt: skip
    alarms = [_alarm(*row, output) for row in islice(rows, MAX_ALARMS)]
    num_with = sum(bool(result["alarms"]) for _, result in ordered)
    texts = [counted(len(ordered), "video"), f"{num_with:,} with alarms", counted(num_alarms, "alarm")]
    return render(
        "score.html",
        title="Anomaly scores",
        summary=", ".join(texts) + ".",
        model=model,
        threshold=f"{ordered[0][1]['threshold']:.3g}" if ordered else "",
        videos=videos,
        num_hidden=len(ordered) - len(videos),
        alarms=alarms,
        num_alarms_hidden=num_alarms - len(alarms),
        skipped=[(printable(name), printable(reason)) for name, reason in skipped[:MAX_SKIPPED]],
        num_skipped=len(skipped),
    )


def _video(output, name, result, anchor, times_sec, scores):
    duration_sec = float(times_sec[-1]) + 1 / (result["fps"] or 25.0)
    path = Path(result["video"])
    spans = [(1000 * alarm["start_sec"] / duration_sec, 1000 * alarm["end_sec"] / duration_sec)
             for alarm in result["alarms"]]  # fmt: skip
    return {
        "name": printable(name),
        "file": printable(path.name),
        "anchor": anchor,
        "address": address(path, output),
        "beside": _quoted(path.name),
        "duration_sec": f"{duration_sec:.3f}",
        "duration": format_duration(duration_sec),
        "max_score": f"{result['max_score']:.2f}",
        "num_alarms": len(spans),
        "alarms_text": counted(len(spans), "alarm"),
        "warning": printable(result.get("warning", "")),
        "curve": curve(times_sec, scores, duration_sec),
        "threshold_y": round(100 - 100 * result["threshold"], 1),
        "spans": [(round(start, 1), round(max(end - start, 1), 1)) for start, end in _joined(spans)],
        "ticks": [_time(duration_sec * n / (NUM_TICKS - 1), duration_sec) for n in range(NUM_TICKS)],
        "thumbnails": [],
    }


def _thumbnails(path, result, times_sec):
    """Cut the thumbnails of a video out of their JPEG; none where an earlier version of `vad score` wrote no JPEG."""
    try:
        strip = Image.open(path).convert("RGB")
    except OSError:
        return []
    frames = result["top_frames"][:MAX_THUMBNAILS]
    width, shown = strip.width // len(frames), []
    for column, frame in enumerate(frames):
        picture = strip.crop((column * width, 0, (column + 1) * width, strip.height))
        score, time_sec = result["scores"][frame], float(times_sec[frame])
        shown.append(
            {
                "uri": jpeg_uri(picture, THUMBNAIL_QUALITY),
                "width": width,
                "height": strip.height,
                "seconds": f"{time_sec:.3f}",
                "time": _time(time_sec, float(times_sec[-1])),
                "score": f"{score:.2f}",
                "is_alarm": score >= result["threshold"],
            }
        )
    return shown


def _alarm(number, name, result, alarm, output):
    """A row of the table of alarms; without an anchor where the page has no card of the video."""
    longest_sec = result["alarms"][-1]["end_sec"]
    return {
        "name": printable(name),
        "anchor": f"v{number}" if number <= MAX_VIDEOS else "",
        "address": address(Path(result["video"]), output),
        "seconds": f"{alarm['start_sec']:.3f}",
        "start": _time(alarm["start_sec"], longest_sec),
        "end": _time(alarm["end_sec"], longest_sec),
        "length": format_duration(alarm["end_sec"] - alarm["start_sec"]),
        "score": f"{alarm['max_score']:.2f}",
    }


def address(path, output):
    """Return the address of a video for a page in a folder: a relative path, so that both can move together.

    Example:
    >>> address(Path("/videos/a door.mp4"), Path("/videos/scores"))
    '../a%20door.mp4'
    """
    try:
        return _quoted(os.path.relpath(path, output))
    except ValueError:  # on another drive
        return path.as_uri()


def _quoted(path):
    """Quote a relative path; ``./`` in front keeps a colon in it from being read as a scheme."""
    text = quote(os.fsencode(path).replace(os.sep.encode(), b"/"))
    return text if text.startswith("../") else f"./{text}"


def _joined(spans):
    """Join spans that would overlap or touch on the timeline, so that their number is bounded."""
    joined = []
    for start, end in spans:
        if joined and start - joined[-1][1] < 1:
            joined[-1][1] = max(end, joined[-1][1])
        else:
            joined.append([start, end])
    return joined


def _rounded(alarm):
    return {
        key: f"{value:.3f}" if key.endswith("_sec") else f"{value:.6f}" if key == "max_score" else value
        for key, value in alarm.items()
    }


def _time(seconds, longest_sec):
    return format_time(seconds, longest_sec) + (" s" if longest_sec < 60 else "")


def _is_alarms_csv(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().strip() == ",".join(ALARM_COLUMNS)


def _is_alarms_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and list(content) == ["alarms"]
