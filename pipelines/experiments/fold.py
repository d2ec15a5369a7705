"""One split of the videos into training and test: its folder, one extractor for all that share it, their detectors.

    folds/seed0-fold1/extractor-3f2a91/   clips/ (links, and a manifest with the subsets of this fold), nodes/ meanwhile
    folds/seed0-fold1/<system>/           detector.keras, logs, evaluation/scores.npz; result.json when it is finished

The stages run in them unchanged. A system whose result stands for the same settings and videos is not trained again.
"""

import dataclasses
import gc
import hashlib
import json
import os
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from pipelines.config import config_to_dict, deciding_settings
from pipelines.data.listing.manifest import MANIFEST_NAME, Manifest, write_manifest
from pipelines.run.files import write_json
from pipelines.run.provenance import provenance
from pipelines.stages import evaluate, extract, train_detector, train_extractor
from vad_keras import spec

RESULT = "result.json"
TIMED_FRAMES, TIMED_CALLS = 1000, 3


@dataclass(frozen=True)
class Fold:
    """A seed and the videos that are tested.

    Args:
        folder: Of this fold.
        seed: Of every training in it.
        records: `clips/` of the run or, with imported features, `nodes/`.
        manifest: Of the records.
        test_ids: Ids of the test videos.
    """

    folder: Path
    seed: int
    records: Path
    manifest: Manifest
    test_ids: frozenset

    def config_of(self, system):
        """The configuration of one training, in its own folder."""
        quiet = dataclasses.replace(system.config.evaluate, images=False, bootstrap_samples=0)
        changes = {"work_dir": str(self.folder / system.name), "seed": self.seed, "evaluate": quiet}
        if not (system.config.extractor.train_backbone or system.config.extractor.gate_dim):
            untrained = dataclasses.replace(system.config.train_extractor, epochs=0)  # no node depends on stage 1
            changes["train_extractor"] = untrained
        return dataclasses.replace(system.config, **changes)

    def group_of(self, system):
        """Folder shared by all systems with the same nodes."""
        config = config_to_dict(self.config_of(system))
        text = json.dumps([config["extractor"], config["train_extractor"]], sort_keys=True)
        return self.folder / f"extractor-{hashlib.sha256(text.encode()).hexdigest()[:6]}"

    def result_of(self, system):
        """What is kept of a finished training, `(facts, {video_id: scores})`; None when it is to be trained."""
        folder = self.folder / system.name
        if not (folder / RESULT).exists():
            return None
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        trained = deciding_settings(result["settings"]["config"])  # perhaps by a version that kept more of them
        if result["settings"] | {"config": trained} != self._settings(system):
            return None
        with np.load(folder / "evaluation" / "scores.npz") as scores:
            return result["facts"], dict(scores)

    def _settings(self, system):
        deciding = deciding_settings(self.config_of(system))
        facts = {"test": sorted(self.test_ids), "records": self.manifest.fingerprint, "config": deciding}
        return json.loads(json.dumps(facts))  # as it is read back

    def make_nodes(self, system):
        """Train and apply the extractor of a group; of imported features, link the nodes."""
        config = dataclasses.replace(self.config_of(system), work_dir=str(self.group_of(system)))
        if config.features.root:
            self._link_records(config.work_path / "nodes")
            return
        self._link_records(config.work_path / "clips")
        maps = self.records.parent / "maps"
        maps.mkdir(exist_ok=True)
        _link(config.work_path / "maps", maps)
        train_extractor.run(config)
        extract.run(config)

    def train_and_score(self, systems):
        """Train the detectors of some systems of one group on its nodes, and score the test videos."""
        for system in systems:
            config = self.config_of(system)
            (config.work_path / RESULT).unlink(missing_ok=True)
            config.work_path.mkdir(parents=True, exist_ok=True)
            nodes = config.work_path / "nodes"
            _link(nodes, self.group_of(system) / "nodes")
            start = time.monotonic()
            train_detector.run(config)
            facts = {"training_seconds": time.monotonic() - start} | measure_detector(config)
            facts["trained"] = f"{provenance()['commit'] or 'no checkout'} on {keras.backend.backend()}"
            evaluate.write_scores(config)
            nodes.unlink()
            write_json(config.work_path / RESULT, {"settings": self._settings(system), "facts": facts})
            keras.backend.clear_session()
            gc.collect()

    def remove_nodes(self, system):
        """Nodes of a group take far more room than anything else, and are quickly made again."""
        shutil.rmtree(self.group_of(system) / "nodes", ignore_errors=True)

    def _link_records(self, target):
        """Links to the records, and a manifest with the subsets of this fold."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in sorted(self.records.iterdir()):
            if path.name != MANIFEST_NAME and not path.name.startswith("."):
                os.symlink(path.resolve(), target / path.name)
        videos = [
            dataclasses.replace(video, subset="test" if video.video_id in self.test_ids else "train")
            for video in self.manifest.videos
        ]
        write_manifest(target, videos, fingerprint=self.manifest.fingerprint)


def _link(path, target):
    """Make `path` a link to `target`, also where one to a run's folder that was moved is left."""
    if path.is_symlink():
        path.unlink()
    os.symlink(target.resolve(), path)


def measure_detector(config):
    """Parameters of the trained detector, and the median milliseconds it takes for 1,000 frames of nodes."""
    detector = evaluate.load_detector(config)
    shape = train_detector.node_shape(config.work_path / "nodes")
    inputs = {spec.NODES: np.zeros((1, TIMED_FRAMES, *shape), "float32"), spec.MASK: np.ones((1, TIMED_FRAMES), bool)}
    seconds = []
    for _ in range(1 + TIMED_CALLS):
        start = time.perf_counter()
        detector.predict_on_batch(inputs)
        seconds.append(time.perf_counter() - start)
    return {"parameters": detector.count_params(), "inference_ms": 1e3 * statistics.median(seconds[1:])}
