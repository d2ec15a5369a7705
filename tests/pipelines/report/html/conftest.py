"""A real browser and a folder of scored videos."""

import json
import shutil
from types import SimpleNamespace

import av
import numpy as np
import pytest

from pipelines.report.html.score_page import write_score_report, write_thumbnails

STRANGE = "<img src=x onerror=alert(1)>"
THUMBNAILS = "_thumbnails.jpg"


@pytest.fixture(scope="package")
def browser():
    """Headless Chromium: Playwright's own or the system's."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install 'vad-keras[dev]'")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except api.Error:
            pytest.skip("no Chromium is installed: apt-get install chromium, or playwright install chromium")
        yield opened
        opened.close()


def write_result(output, video, name, seed=0, threshold=0.5, num_frames=80, fps=10.0):
    """The files of a scored video that the page reads; returns the content of its JSON file."""
    random = np.random.default_rng(seed)
    times_sec = np.arange(num_frames) / fps
    scores = np.clip(random.random() * np.exp(-0.5 * ((times_sec - random.integers(2, 6)) / 0.8) ** 2) + 0.1, 0, 1)
    top = sorted(np.argsort(-scores)[:6].tolist())
    edges = np.flatnonzero(np.diff(np.r_[0, (scores >= threshold).astype(int), 0])).reshape(-1, 2).tolist()
    alarms = [{"start_frame": a, "end_frame": b, "start_sec": a / fps, "end_sec": b / fps,
               "max_score": float(scores[a:b].max())} for a, b in edges]  # fmt: skip
    result = {"video": str(video), "threshold": threshold, "fps": fps, "num_frames": num_frames, "warning": ""}
    result |= {"max_score": float(scores.max()), "alarms": alarms, "top_frames": top, "scores": scores.tolist()}
    (output / f"{name}.json").write_text(json.dumps(result))
    lines = [f"{frame},{times_sec[frame]:.3f},{score:.6f}" for frame, score in enumerate(scores)]
    (output / f"{name}.csv").write_text("\n".join(["frame,time_sec,score", *lines]))
    write_thumbnails(output / f"{name}{THUMBNAILS}", [random.integers(0, 255, (24, 32, 3), "uint8") for _ in top])
    return result


@pytest.fixture(scope="package")
def scored(tmp_path_factory):
    """A folder of videos with strange names, and the report of their scores in another folder."""
    folder = tmp_path_factory.mktemp("report")
    videos, output = folder / "videos", folder / "scores"
    videos.mkdir(), output.mkdir()
    for name in (STRANGE, "\" onmouseover='alert(2)' x=\"", "javascript:alert(3)", "hall 50%#?"):
        with av.open(str(videos / f"{name}.webm"), "w", format="webm") as container:
            stream = container.add_stream("libvpx", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for value in range(80):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 3 * value, "uint8"), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    found = sorted(videos.iterdir())
    results = [(path.stem, write_result(output, path, path.stem, n)) for n, path in enumerate(found)]
    skipped = [(f"{STRANGE}.avi", f"{STRANGE} cannot be decoded")]
    page = write_score_report(output, results, skipped, f"Scored by {STRANGE} version 1.", THUMBNAILS)
    return SimpleNamespace(page=page, output=output, results=dict(results), videos=videos)
