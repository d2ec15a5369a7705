"""Choose learning rate and number of steps of a system by inner folds of its training videos, in the same way for all.

    folds/5fold-seed0-1/<system>/search.json      each candidate's curves, written after each inner training

A candidate is a learning rate: that of the system and each of ``search.learning_rates``. In each inner fold it is
trained for ``search.max_steps`` steps without the held-out videos, and every ``search.every_steps`` steps the AUC of
these videos is taken, each with its highest score and its video label. The best point of all mean curves over inner
folds is chosen. The inner folds share the nodes; an extractor that is trained has seen the labels of all training
videos. No test video is read.
"""

import contextlib
import dataclasses
import gc
import json
import time

import keras
import numpy as np

from pipelines.data.listing.manifest import read_manifest
from pipelines.data.splits import draw_folds
from pipelines.run.files import write_json
from pipelines.run.folder import RunFolder
from pipelines.stages import train_detector
from pipelines.training.callbacks import TrainingProgress
from pipelines.training.state import training_videos

NAME = "search.json"


def run(config, settings):
    """Return the ``Config`` of the final training, on all training videos, and what was found.

    Args:
        config: ``Config`` of one training, whose folder has ``nodes/``.
        settings: What the search depends on, for JSON. A stopped search with the same settings resumes.

    Returns:
        The configuration, and a dict with ``curves``, see ``mean_curves``, and ``search_seconds``.
    """
    path = RunFolder.of(config).path / NAME
    found = _read(path, settings)
    videos = training_videos(read_manifest(RunFolder.of(config).nodes))
    held_out = draw_folds(videos, config.search.inner_folds, config.seed, "search.inner_folds")
    for rate in _rates(config):
        curves = found["curves"].setdefault(f"{rate:g}", [])
        for number in range(len(curves), len(held_out)):
            start = time.monotonic()
            parts = [[video for video in videos if (video.video_id in held_out[number]) == inside] for inside in (0, 1)]
            curves.append(_curve(_with(config, rate, config.search.max_steps), *parts))
            found["seconds"] += time.monotonic() - start
            write_json(path, found)
    curves = mean_curves(found)
    rate, points = best_point(curves)
    chosen = _with(config, float(rate), points * config.search.every_steps)
    return chosen, {"curves": curves, "search_seconds": found["seconds"]}


def mean_curves(found):
    """Return the mean curve over inner folds of each learning rate, ``{"0.001": [AUC after 50 steps, ...]}``."""
    return {rate: np.mean(curves, axis=0).tolist() for rate, curves in found["curves"].items()}


def best_point(curves):
    """Return learning rate and number of points up to the highest AUC; among equal ones that of fewest steps."""
    points = [(rate, number) for rate, curve in curves.items() for number in range(1, len(curve) + 1)]
    return max(points, key=lambda point: (curves[point[0]][point[1] - 1], -point[1]))


def _read(path, settings):
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # absent or damaged
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["settings"] == settings and found["curves"] is not None and found["seconds"] is not None:
            return found
    return {"settings": settings, "seconds": 0.0, "curves": {}}


def _rates(config):
    """The learning rates, that of the system first."""
    return list(dict.fromkeys([config.train_detector.learning_rate, *config.search.learning_rates]))


def _with(config, rate, steps):
    """The configuration of a training of ``steps`` steps without validation videos."""
    every = config.search.every_steps
    changes = {"learning_rate": rate, "steps_per_epoch": every, "epochs": max(1, steps // every)}
    options = dataclasses.replace(config.train_detector, **changes, validation_fraction=0.0)
    return dataclasses.replace(config, train_detector=options)


def _curve(config, training, held_out):
    """Train on one inner fold and return the AUC of the held-out videos after each ``every_steps`` steps."""
    keras.backend.clear_session()
    gc.collect()
    keras.utils.set_random_seed(config.seed)
    detector = train_detector.build_detector(config)
    curve = _HeldOutCurve(list(train_detector.whole_batches(config, detector, held_out)))
    progress = TrainingProgress(f"Search, {config.train_detector.learning_rate:g}")
    train_detector.fit_detector(config, detector, training, (), [curve, progress])
    return curve.values


class _HeldOutCurve(keras.callbacks.Callback):
    """Take the AUC of held-out videos at the end of each epoch."""

    def __init__(self, bags):
        super().__init__()
        self.bags, self.values = bags, []

    def on_epoch_end(self, epoch, logs=None):
        self.values.append(train_detector.bag_auc(self.model, self.bags))
