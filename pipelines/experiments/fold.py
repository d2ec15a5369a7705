"""One split of the videos into training and test videos: its folder, its extractors and its detectors.

    folds/5fold-seed0-1/extractor-3f2a91/   clips/ (links, a manifest with the subsets of this fold), temporary nodes/
    folds/5fold-seed0-1/<system>/           search.json, detector.keras, logs, evaluation/scores.npz; result.json when
                                            finished

Systems with the same extractor settings share one extractor. The stages run in these folders unchanged. A system with
a result for the same settings and videos is not trained again.
"""

import dataclasses
import gc
import json
import os
import shutil
import statistics
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from pipelines.config import config_to_dict, deciding_settings
from pipelines.data.listing.manifest import MANIFEST_NAME, Manifest, write_manifest
from pipelines.experiments import search
from pipelines.run.files import fingerprint, write_json
from pipelines.run.folder import RunFolder
from pipelines.run.provenance import provenance
from pipelines.stages import evaluate, extract, train_detector, train_extractor
from vad_keras import spec

RESULT = "result.json"
TIMED_FRAMES, TIMED_CALLS = 1000, 3


@dataclass(frozen=True)
class Fold:
    """A seed and the test videos.

    Args:
        folder: Folder of this fold.
        seed: Seed of every training in it.
        records: ``clips/`` of the run or, with imported features, ``nodes/``.
        manifest: Manifest of the records.
        test_ids: Ids of the test videos.
    """

    folder: Path
    seed: int
    records: Path
    manifest: Manifest
    test_ids: frozenset

    def config_of(self, system):
        """Return the configuration of one training, with a folder of its own."""
        quiet = dataclasses.replace(system.config.evaluate, images=False)
        changes = {"work_dir": str(self.folder / system.name), "seed": self.seed, "evaluate": quiet}
        if not (system.config.extractor.train_backbone or system.config.extractor.gate_dim):
            untrained = dataclasses.replace(system.config.train_extractor, epochs=0)  # no node depends on stage 1
            changes["train_extractor"] = untrained
        return dataclasses.replace(system.config, **changes)

    def group_of(self, system):
        """Return the run folder shared by all systems with the same nodes."""
        config = config_to_dict(self.config_of(system))
        text = json.dumps([config["extractor"], config["train_extractor"]], sort_keys=True)
        return RunFolder(self.folder / f"extractor-{fingerprint(text.encode())[:6]}")

    def result_of(self, system):
        """Return ``(facts, {video_id: scores})`` of a finished training; None if the system must be trained."""
        run = self.run_of(system)
        try:
            result = json.loads((run.path / RESULT).read_text(encoding="utf-8"))
            trained = deciding_settings(result["settings"]["config"])  # an earlier version may have kept more of them
            if result["settings"] | {"config": trained} != self._settings(system):
                return None
            with np.load(run.evaluation_scores) as scores:
                return result["facts"], dict(scores)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error):
            return None  # absent or damaged

    def run_of(self, system):
        """Return the run folder of one training."""
        return RunFolder(self.folder / system.name)

    def _settings(self, system):
        deciding = deciding_settings(self.config_of(system))
        facts = {"test": sorted(self.test_ids), "records": self.manifest.fingerprint, "config": deciding}
        return json.loads(json.dumps(facts))  # with lists in place of tuples, as when read from the file

    def make_nodes(self, system):
        """Train the extractor of a group and extract its nodes; with imported features, link the nodes."""
        group = self.group_of(system)
        config = dataclasses.replace(self.config_of(system), work_dir=str(group.path))
        if config.features.root:
            self._link_records(group.nodes)
            return
        self._link_records(group.clips)
        maps = RunFolder(self.records.parent).maps
        maps.mkdir(exist_ok=True)
        _link(group.maps, maps)
        train_extractor.run(config)
        extract.run(config)

    def train_and_score(self, systems):
        """Train the detectors of some systems of one group on its nodes, and score the test videos."""
        for system in systems:
            config = self.config_of(system)
            run = RunFolder.of(config)
            (run.path / RESULT).unlink(missing_ok=True)
            run.path.mkdir(parents=True, exist_ok=True)
            _link(run.nodes, self.group_of(system).nodes)
            found = {}
            if config.search.inner_folds:
                config, found = search.run(config, self._settings(system))
            start = time.monotonic()
            train_detector.run(config)
            facts = found | {"training_seconds": time.monotonic() - start} | measure_detector(config)
            facts["trained"] = f"{provenance()['commit'] or 'no checkout'} on {keras.backend.backend()}"
            evaluate.write_scores(config)
            run.nodes.unlink()
            write_json(run.path / RESULT, {"settings": self._settings(system), "facts": facts})
            keras.backend.clear_session()
            gc.collect()

    def remove_nodes(self, system):
        """Remove the nodes of a group: they are large, and quick to extract again."""
        shutil.rmtree(self.group_of(system).nodes, ignore_errors=True)

    def _link_records(self, target):
        """Link the records, and write a manifest with the subsets of this fold."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in sorted(self.records.iterdir()):
            if path.name != MANIFEST_NAME and not path.name.startswith("."):
                os.symlink(path.resolve(), target / path.name)
        videos = [
            dataclasses.replace(video, subset="test" if video.video_id in self.test_ids else "train")
            for video in self.manifest.videos
        ]
        held = self.manifest
        write_manifest(target, videos, fingerprint=held.fingerprint, channel_groups=held.channel_groups)


def _link(path, target):
    """Make ``path`` a link to ``target``; replace a link that broke when the run's folder was moved."""
    if path.is_symlink():
        path.unlink()
    os.symlink(target.resolve(), path)


def measure_detector(config):
    """Return facts on the trained detector.

    Returns:
        dict: ``parameters``, ``inference_ms`` (the median per 1,000 frames of nodes), ``learning_rate``, ``steps`` and
        ``training_bag_auc``, the AUC of the training videos as the detector was trained on them.
    """
    detector = evaluate.load_detector(config)
    shape = train_detector.node_shape(RunFolder.of(config).nodes)
    inputs = {spec.NODES: np.zeros((1, TIMED_FRAMES, *shape), "float32"), spec.MASK: np.ones((1, TIMED_FRAMES), bool)}
    if config.train_detector.late_prior:
        detector.late_prior = False  # what was trained
    if detector.uses_prior:
        inputs[spec.PRIOR] = np.zeros((1, TIMED_FRAMES, shape[0]), "float32")
    seconds = []
    for _ in range(1 + TIMED_CALLS):
        start = time.perf_counter()
        detector.predict_on_batch(inputs)
        seconds.append(time.perf_counter() - start)
    return {
        "parameters": detector.count_params(),
        "inference_ms": 1e3 * statistics.median(seconds[1:]),
        "learning_rate": config.train_detector.learning_rate,
        "steps": train_detector.steps_trained(config),
        "training_bag_auc": train_detector.training_bag_auc(config, detector),
    }
