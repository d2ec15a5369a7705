"""Find the file of a dataset by ``data.dataset`` and load its list of videos."""

import difflib
import importlib
import pkgutil
from pathlib import Path

from pipelines.config import UserError

DATASETS = tuple(
    module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if not module.name.startswith("_")
)


def load_dataset(config, track=iter):
    """Load the videos of the configured dataset, in the order of its list.

    Missing videos are an error. With ``data.allow_missing`` they stay in the list, marked as missing, and
    ``vad prepare`` skips them. With ``features.root`` the video files are not needed.

    Args:
        config: The run's ``Config``.
        track: Wraps the loop of a dataset that is generated first, to show its progress.

    Raises:
        UserError: The dataset is unknown, or its files are missing or wrong.
    """
    videos = dataset_module(config.data.dataset).load(config, track)
    if not config.features.root:
        _refuse_missing(videos, config)
    return videos


def dataset_module(name):
    """Return the module of a dataset, with its ``ABOUT`` and ``load``.

    Raises:
        UserError: There is no dataset of this name.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise UserError(f"`data.dataset` must be one of {', '.join(DATASETS)}. Received: `{name}`.{hint}")
    return importlib.import_module(f"pipelines.data.datasets.{name}")


def _refuse_missing(videos, config):
    missing = [video for video in videos if video.missing]
    if not missing or (config.data.allow_missing and len(missing) < len(videos)):
        return
    data = config.data
    if len(missing) == len(videos) > 1:
        hint, skip = f"None of the {len(videos):,} videos was found: check `data.root`.", ""
    else:
        count = f" ({len(missing):,} of {len(videos):,} videos are missing)" if len(missing) > 1 else ""
        hint = f"Download it or remove the line{count}."
        skip = "; `--set data.allow_missing=true` skips missing videos"
    check = f"vad datasets check {data.dataset} --root {data.root}"
    check += f" --annotations {data.annotations}" if data.annotations else ""
    raise UserError(f"{missing[0].missing}. {hint} `{check}` lists what is missing{skip}.")
