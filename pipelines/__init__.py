"""From raw video to served scores. For programs: ``train``, ``score`` and ``score_videos``."""

import importlib

LAZY = ("score", "score_videos", "train")  # an import of this package loads no framework


def __getattr__(name):
    if name in LAZY:
        return getattr(importlib.import_module("pipelines.cli.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *LAZY])
