"""Export: the trained models -> one SavedModel for TensorFlow Serving, ``vad score`` and any C++ program."""

import json
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pipelines.config import UserError, deciding_settings
from pipelines.data.bags import node_shape
from pipelines.data.listing.manifest import MANIFEST_NAME, read_manifest
from pipelines.data.window_maps import past_only
from pipelines.report.terminal.summary import write_summary
from pipelines.run.folder import RunFolder
from pipelines.run.provenance import provenance
from pipelines.serving.exported import remember_export
from pipelines.serving.model_card import write_model_card
from pipelines.serving.model_info import DESCRIBE, MODEL_INFO_FILE, ModelInfo, file_hash, read_model_info
from pipelines.serving.signatures import NodeSignatures, ServingSignatures
from pipelines.serving.versions import new_version, versions
from pipelines.serving.warmup import warmup_inputs, write_warmup_requests
from pipelines.training.state import load_trained


def run(config) -> Path:
    """Write ``<export.root>/<export.name>/<next version>/`` from ``extractor.keras`` and ``detector.keras``.

    With ``features.root`` there is no extractor: the exported model takes nodes only.

    The folder appears complete (TensorFlow Serving polls it) and no version is ever overwritten. When the newest
    version already holds these weights and settings, it is kept, and only its ``MODEL_CARD.md`` is written again.
    ``export.json`` in the run's folder names the version.

    Args:
        config: The run's ``Config``.

    Returns:
        The version's folder.

    Raises:
        UserError: A model has not been trained yet, or Keras does not run on TensorFlow.
    """
    start = time.monotonic()
    model_folder = Path(config.export.root) / config.export.name
    paths = _model_paths(config)
    weights = file_hash(*paths)
    same = _same_version(model_folder, weights, config)
    if same:
        write_model_card(same, read_model_info(same), _metrics(config))
        remember_export(RunFolder.of(config), same)
        write_summary(config, "export", f"version {same.name} is already this model", output=same)
        return same
    signatures = _signatures(config, [load_trained(RunFolder.of(config), path) for path in paths])
    info = describe(config, signatures, weights)
    with new_version(model_folder) as draft:
        signatures.save(draft["folder"], info.to_json())
        info.write(draft["folder"])
        write_warmup_requests(draft["folder"], config.export.name, warmup_inputs(signatures))
        write_model_card(draft["folder"], info, _metrics(config))
    folder = draft["version_folder"]
    remember_export(RunFolder.of(config), folder)
    kinds = "score_nodes only, because features have no extractor" if config.features.root else "all signatures"
    done = f"{config.export.name} version {folder.name}, {kinds}, {_megabytes(folder):.1f} MB, warm-up requests"
    write_summary(config, "export", done, output=folder, seconds=time.monotonic() - start)
    return folder


def plan(config):
    """Return what ``run`` would do, in words; ``""`` if the newest version is already this model.

    Raises:
        UserError: A model has not been trained yet.
    """
    model_folder = Path(config.export.root) / config.export.name
    if _same_version(model_folder, file_hash(*_model_paths(config)), config):
        return ""
    return f"write version {max(versions(model_folder), default=0) + 1} into {model_folder}"


def describe(config, signatures, weights):
    """Return the ``ModelInfo`` of an export.

    Args:
        config: The run's ``Config``.
        signatures: The ``NodeSignatures`` or ``ServingSignatures`` that are exported.
        weights: Hash of the Keras files.
    """
    return ModelInfo(
        name=config.export.name,
        clip_frames=signatures.clip_frames,
        num_patches=signatures.num_patches,
        feature_dim=signatures.feature_dim,
        scales=signatures.scales,
        image_size_px=signatures.image_size_px,
        frames_per_sec=config.data.frames_per_sec,
        jpeg_quality=config.data.jpeg_quality,
        threshold=config.alarms.threshold,
        config=deciding_settings(config),
        training_data=_training_data(config),
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        made_with={name: version(name) for name in ("tensorflow", "keras")},
        weights=weights,
        temporal_reach=signatures.temporal_reach,
        crop=config.data.crop,
        takes_prior=signatures.takes_prior,
        dtype=config.export.dtype,
        signatures=tuple(sorted([*signatures.endpoints(), DESCRIBE])),
        code={"commit": provenance()["commit"]},
    )


def _model_paths(config):
    """Return the paths of the trained models.

    Raises:
        UserError: One does not exist.
    """
    run_folder = RunFolder.of(config)
    paths = [run_folder.detector] if config.features.root else [run_folder.extractor, run_folder.detector]
    for path in paths:
        run_folder.need_trained(path)
    return paths


def _signatures(config, models):
    try:
        if config.features.root:
            return NodeSignatures(*models, *node_shape(RunFolder.of(config).nodes))
        extractor, detector = models
        if config.export.dtype == "bfloat16":
            extractor = in_bfloat16(extractor)
        return ServingSignatures(extractor, detector, past_only=past_only(config), crop=config.data.crop)
    except (RuntimeError, ValueError) as error:
        raise UserError(str(error)) from None


def in_bfloat16(extractor):
    """Return a copy of an extractor that computes in bfloat16. Its weights stay in float32."""
    copy = type(extractor).from_config(extractor.get_config() | {"dtype": "mixed_bfloat16"})
    copy.set_weights(extractor.get_weights())
    return copy


def _metrics(config):
    """Return the metrics of the run's evaluation; None when there is none of the trained detector."""
    run = RunFolder.of(config)
    path = run.evaluation_metrics
    if not path.is_file() or path.stat().st_mtime < run.detector.stat().st_mtime:
        return None
    return json.loads(path.read_text(encoding="utf-8"))


def _training_data(config):
    folder = RunFolder.of(config).nodes
    if not (folder / MANIFEST_NAME).is_file():
        return {}
    subsets = [video.subset for video in read_manifest(folder).videos]
    videos = {name or "unnamed": subsets.count(name) for name in sorted(set(subsets))}
    return {"manifest_sha256": file_hash(folder / MANIFEST_NAME), "videos": videos}


def _same_version(model_folder, weights, config):
    """Return the folder of the newest version if it holds these weights and settings, else None."""
    numbers = versions(model_folder)
    folder = model_folder / str(numbers[-1]) if numbers else None
    if folder is None or not (folder / MODEL_INFO_FILE).is_file():
        return None
    info = read_model_info(folder)
    data = config.data
    settings = (config.alarms.threshold, data.frames_per_sec, data.jpeg_quality, data.crop, config.export.dtype)
    held = (info.threshold, info.frames_per_sec, info.jpeg_quality, info.crop, info.dtype)
    unchanged = info.weights == weights and held == settings and DESCRIBE in info.signatures
    return folder if unchanged else None


def _megabytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
