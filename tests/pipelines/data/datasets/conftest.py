"""Stand-ins for the videos of known datasets: one tiny real file under many names."""

import os

import pytest

from pipelines.config import load_config
from pipelines.data.datasets import load_dataset


@pytest.fixture(scope="session")
def tiny_video(make_video, tmp_path_factory):
    """A video of 12 frames."""
    return make_video(tmp_path_factory.mktemp("tiny") / "tiny.mp4", 12, size=(32, 32))


@pytest.fixture(scope="session")
def stand_ins(tiny_video):
    """`stand_ins(root, names)` puts the tiny video under each name, as a hard link, and returns `root`."""

    def fill(root, names):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(tiny_video, path)
        return root

    return fill


@pytest.fixture(scope="session")
def load():
    """`load(dataset, root, *overrides)` gives the videos as `prepare` gets them."""

    def read(dataset, root, *overrides):
        return load_dataset(load_config(overrides=[f"data.dataset={dataset}", f"data.root={root}", *overrides]))

    return read


@pytest.fixture
def prepared(tmp_path):
    """`prepared(dataset, root, *overrides)` runs the real stage and returns the manifest and the summary."""
    import json

    from pipelines.data.listing.manifest import read_manifest
    from pipelines.stages import prepare

    def run(dataset, root, *overrides):
        size = ("data.image_size_px=32", "data.clip_frames=4", "data.workers=1")
        settings = [f"work_dir={tmp_path / 'run'}", f"data.dataset={dataset}", f"data.root={root}", *size, *overrides]
        manifest = read_manifest(prepare.run(load_config(overrides=settings)))
        return manifest, json.loads((tmp_path / "run/summaries/prepare.json").read_text())

    return run
