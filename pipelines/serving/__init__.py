"""Exported models: what they are made of, and scores of videos by them, in this process or by a server."""

import importlib

LAZY = ("VideoScores", "score_video")  # an import of this package loads neither a decoder nor an engine


def __getattr__(name):
    if name in LAZY:
        return getattr(importlib.import_module("pipelines.serving.video_scores"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *LAZY])
