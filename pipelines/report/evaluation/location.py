"""Where a system finds the events: its patch scores against the pixel masks of the test videos."""

from typing import Any

import numpy as np

from pipelines.report.evaluation.seeds import over_seeds
from pipelines.report.plots.heat_map import patch_cells
from pipelines.run.files import replacing
from vad_keras import spec
from vad_keras.metrics import evaluate_location

MAPS = {
    spec.PATCH_SCORE: "patch score",
    spec.UNARY_PROBABILITY: "before the CRF",
    spec.MARGINALS: "after the CRF",
}
LOCATION_METRICS = {
    "pointing_game": "pointing game",
    "pointing_game_pixel": "pointing game, pixels",
    "pixel_auc": "pixel AUC",
    "pixel_auc_mean_over_frames": "pixel AUC, mean over frames",
}
CHANCE = {"pixel_auc": 0.5, "pixel_auc_mean_over_frames": 0.5}
NO_MASKS = "no test video has both patch scores and a pixel mask"


def write_patch_scores(path, scored, masks, scales):
    """Write the patch scores of the videos that have pixel masks; without such a video remove the file.

    For each video: ``<map>/<video_id>`` float32 ``(num_frames, G)`` for each map of ``MAPS`` that the model has, and
    ``event_pixels/<video_id>`` ``(num_frames, C)``, ``cell_pixels/<video_id>`` ``(C,)`` and ``patches/<video_id>``
    ``(len(scales), C)`` of the cells of ``patch_cells``.

    Args:
        path: File to write.
        scored: List of ``(VideoInfo, outputs)``, one row of outputs per original frame.
        masks: Function of a ``VideoInfo`` that returns its mask, bool ``(num_frames, H, W)``, or None.
        scales: Scales of the patches. A model that scores other patches has no place.
    """
    arrays, num_patches = {}, sum(scale * scale for scale in scales)
    for video, outputs in scored:
        maps = {name: np.asarray(outputs[name], np.float32) for name in MAPS if name in outputs}
        if spec.MARGINALS in maps:
            maps[spec.MARGINALS] = maps[spec.MARGINALS][..., spec.ABNORMAL]
        maps = {name: values for name, values in maps.items() if values.shape[1:] == (num_patches,)}
        mask = masks(video) if maps else None
        if mask is None:
            continue
        patches, cells = patch_cells(scales, mask.shape[1:])
        number, cells = patches.shape[1], cells.ravel()
        events = [np.bincount(cells, frame.ravel(), number) for frame in mask]
        entry = {"patches": patches, "cell_pixels": np.bincount(cells, minlength=number)} | maps
        entry["event_pixels"] = np.array(events, np.int32).reshape(-1, number)
        arrays |= {f"{name}/{video.video_id}": values for name, values in entry.items()}
    path.unlink(missing_ok=True)
    if arrays:
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **arrays)


def with_patch_scores(videos, path):
    """Return the videos; those in a file of ``write_patch_scores`` have a ``location``, its arrays by name."""
    if not path.is_file():
        return videos
    with np.load(path) as content:
        found = {}
        for key in content.files:
            name, _, video_id = key.partition("/")
            found.setdefault(video_id, {})[name] = content[key]
    return [
        video | ({"location": found[video["video_id"]]} if video["video_id"] in found else {}) for video in videos
    ]


def measure_location(systems):
    """Measure the place, see ``evaluate_location``.

    A cell has the mean over the scales of the scores of the patches that cover it. The plotted heat maps have the
    highest instead, since it decides the score of a frame. That is a worse map of the place: a high score of the whole
    frame covers all patches inside it, and ties between cells are at chance. In the demo the pixel AUC within frames is
    0.78 by the mean and 0.71 by the highest.

    Args:
        systems: ``{name: [videos of a seed, ...]}``, some of them with a ``location``.

    Returns:
        dict: ``systems`` (name -> map -> metric -> ``{"seeds", "mean", "sd", "chance"}``), ``num_videos`` and
        ``num_frames`` with a mask, and ``missing``, the reason for each system that has none.
    """
    content: dict[str, Any] = {"num_videos": 0, "num_frames": 0, "systems": {}, "missing": {}}
    for name, seeds in systems.items():
        located = [[video["location"] for video in videos if "location" in video] for videos in seeds]
        if not all(located):
            content["missing"][name] = NO_MASKS
            continue
        maps = [key for key in MAPS if all(key in entry for of_seed in located for entry in of_seed)]
        reports = {key: [_of_seed(of_seed, key) for of_seed in located] for key in maps}
        content["systems"][name] = {key: _metrics(of_seeds) for key, of_seeds in reports.items()}
        content["num_videos"] = len(located[0])
        content["num_frames"] = reports[maps[0]][0]["num_frames"]
    return content


def _of_seed(located, key):
    """``evaluate_location`` of a map in all videos together."""
    columns = []
    for entry in located:
        values = entry[key][:, entry["patches"]].mean(axis=1)
        columns.append((values, entry["event_pixels"], np.broadcast_to(entry["cell_pixels"], values.shape)))
    return evaluate_location(*map(np.concatenate, zip(*columns, strict=True)))


def _metrics(reports):
    found = {}
    for name in LOCATION_METRICS:
        chance = CHANCE[name] if name in CHANCE else reports[0][f"{name}_chance"]
        found[name] = over_seeds([report[name] for report in reports]) | {"chance": chance}
    return found
