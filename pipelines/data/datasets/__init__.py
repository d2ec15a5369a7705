"""Datasets: one file each, with ``ABOUT`` and ``load(config, track) -> list[ListedVideo]``."""

from pipelines.data.datasets._registry import DATASETS, dataset_module, load_dataset

__all__ = ["DATASETS", "dataset_module", "load_dataset"]
