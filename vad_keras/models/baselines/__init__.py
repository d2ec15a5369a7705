"""Published models to compare with, one file each."""

from vad_keras.models.baselines.sultani import SultaniRanker

__all__ = ["BASELINES", "SultaniRanker"]

BASELINES = {  # name in a configuration -> model
    "sultani": SultaniRanker,
}
