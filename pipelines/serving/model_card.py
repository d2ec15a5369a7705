"""``MODEL_CARD.md`` beside an exported version: what the model is, what it was trained on and how well it does."""

import json
import math
from pathlib import Path

from pipelines.report.evaluation.measures import METRICS
from pipelines.report.evaluation.tables import value_text
from pipelines.run.files import write_text
from pipelines.serving.model_info import MODEL_CARD_FILE, file_hash

FILES = ("saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index", "model.json")
NO_METRICS = "Not evaluated. Run `vad evaluate`, then `vad export` again: it completes this card."
LIMITS = """\
* The training saw one label per video and no time of an event. A score ranks frames and is not a probability.
* Scores hold for footage like the training data. Evaluate again for another camera, angle, light or frame rate.
* An event of a kind that no training video shows may have a low score. A rare but harmless scene may have a high one.
* A score does not tell a black, frozen or moved picture from an event; `vad watch` does.
* A person decides what follows from an alarm. The model recognises no one and is not made for that."""


def write_model_card(folder, info, metrics=None):
    """Write the card of a version.

    Args:
        folder: Folder of the version.
        info: Its ``ModelInfo``.
        metrics: Content of the ``metrics.json`` of the run that exported it; None: it was not evaluated.
    """
    folder = Path(folder)
    hashes = {name: file_hash(folder / name) for name in FILES if (folder / name).is_file()}
    return write_text(folder / MODEL_CARD_FILE, model_card(info, hashes, metrics))


def model_card(info, hashes, metrics=None):
    """Return the text of a model card.

    Args:
        info: ``ModelInfo``.
        hashes: SHA-256 of each file, by its name.
        metrics: As for ``write_model_card``.
    """
    sections = {
        "Input": _table(_input_rows(info)),
        "Output": "One score per frame in [0, 1], and one per patch. A score of "
        f"{info.threshold:g} or more is an alarm, unless a client sets another threshold.",
        "Training data": _table(_data_rows(info, metrics)),
        "Evaluation": _evaluation(metrics),
        "Limits": LIMITS,
        "Origin": _table(_origin_rows(info, hashes)),
        "Settings": f"Those that decide a score:\n\n```json\n{json.dumps(info.config, indent=1, sort_keys=True)}\n```",
    }
    parts = [f"# Model `{info.name}`\n\nWeakly supervised video anomaly detection, exported by `vad export`."]
    return "\n\n".join([*parts, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n"


def _input_rows(info):
    if not info.clip_frames:
        return {"nodes": f"features, float32 (B, T, {info.num_patches}, {info.feature_dim})"}
    rate = f"{info.frames_per_sec:g} frames/s" if info.frames_per_sec else "every frame of the video"
    return {
        "frames": "RGB of any size, resized to a square by the model" + (", its centre cut" if info.crop else ""),
        "size inside the model": f"{info.image_size_px} × {info.image_size_px} pixels",
        "sampling rate": rate,
        "frames per snippet (K)": info.clip_frames,
        "patches per frame (G)": info.num_patches,
        "channels per node (C)": info.feature_dim,
        "backbone": info.config.get("extractor", {}).get("backbone", "unknown"),
        "computed in": info.dtype,
    }


def _data_rows(info, metrics):
    data, rows = info.config.get("data", {}), {}
    rows["dataset"] = data.get("dataset", "unknown")
    rows |= {f"videos, {subset}": count for subset, count in info.training_data.get("videos", {}).items()}
    if metrics:
        counts = metrics["counts"]
        rows["test videos"] = f"{counts['num_videos']}, {counts['num_abnormal_videos']} of them abnormal"
    return rows | {"SHA-256 of the manifest": info.training_data.get("manifest_sha256", "unknown")}


def _evaluation(metrics):
    if not metrics:
        return NO_METRICS
    found = _with_nan(metrics["systems"][metrics["reference"]]["metrics"])
    rows = {METRICS[name]: value_text(name, found[name], with_interval=True) for name in METRICS if name in found}
    text = "On the test videos, with 95 % intervals over videos where they exist. `vad evaluate` measures them; its "
    return f"{text}report explains each metric.\n\n{_table(rows)}"


def _with_nan(content):
    """Return what ``metrics.json`` holds, with NaN again where the file has null."""
    if isinstance(content, dict):
        return {key: _with_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_nan(value) for value in content]
    return math.nan if content is None else content


def _origin_rows(info, hashes):
    rows = {"exported": info.created_utc or "unknown", "commit": info.code.get("commit") or "unknown"}
    rows |= {f"version of {name}": version for name, version in info.made_with.items()}
    rows["SHA-256 of the Keras weights"] = info.weights or "unknown"
    return rows | {f"SHA-256 of {name}": value for name, value in hashes.items()}


def _table(rows):
    lines = [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])
