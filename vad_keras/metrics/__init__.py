"""Metrics: exact NumPy functions for evaluation, and a Keras metric for training."""

from vad_keras.metrics.average_precision import average_precision
from vad_keras.metrics.bag_auc import BagAUC
from vad_keras.metrics.bootstrap import bootstrap_videos, draw_videos, interval_of_draws
from vad_keras.metrics.draws import evaluate_draws
from vad_keras.metrics.events import evaluate_events
from vad_keras.metrics.false_alarm_rate import false_alarm_rate
from vad_keras.metrics.frame_auc import frame_auc
from vad_keras.metrics.jackknife import interval_of_jackknife, leave_one_out
from vad_keras.metrics.location import evaluate_location
from vad_keras.metrics.recall_at_fpr import recall_at_fpr
from vad_keras.metrics.report import evaluate_videos
from vad_keras.metrics.video_auc import video_auc

__all__ = [
    "BagAUC",
    "average_precision",
    "bootstrap_videos",
    "draw_videos",
    "evaluate_draws",
    "evaluate_events",
    "evaluate_location",
    "evaluate_videos",
    "false_alarm_rate",
    "frame_auc",
    "interval_of_draws",
    "interval_of_jackknife",
    "leave_one_out",
    "recall_at_fpr",
    "video_auc",
]
