"""TensorBoard's page HPARAMS: the settings and final metrics of each run, to be sorted and filtered."""

import json
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from pipelines.config import config_to_dict

SECTIONS = ("extractor", "train_extractor", "detector", "train_detector")
METRICS = ("frame_auc", "frame_auc_abnormal_videos", "average_precision", "false_alarm_rate_percent", "video_auc")


def write_trials(folder, trials):
    """Write one trial per run and replace earlier ones.

    Args:
        folder: Folder of the event files, such as ``logs/hparams``.
        trials: ``{name: (Config, {metric: value})}``. The settings are those of the models and their training, and the
            seed; of the metrics, the main ones that are known.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, (config, metrics) in trials.items():
        with tf.summary.create_file_writer(str(Path(folder) / name)).as_default(step=0):
            hparams.hparams(settings_of(config), trial_id=name)
            for metric in METRICS:
                if np.isfinite(metrics.get(metric, np.nan)):
                    tf.summary.scalar(metric, metrics[metric])


def settings_of(config):
    """Return the settings of models and trainings as ``{"detector.key_dim": 64, ...}``; lists become text."""
    values = config_to_dict(config)
    found = {"data.dataset": values["data"]["dataset"], "seed": values["seed"]}
    for section in SECTIONS:
        for key, value in values[section].items():
            found[f"{section}.{key}"] = value if isinstance(value, bool | int | float | str) else json.dumps(value)
    return found
