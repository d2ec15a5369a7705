"""Finished evaluations of several runs in one report: seeds pooled, systems side by side. Nothing is trained."""

import json
import time
from pathlib import Path

import numpy as np

from pipelines.config import UserError, config_to_dict, deciding_settings
from pipelines.report.evaluation.report import write_report
from pipelines.report.evaluation.scored_videos import difference_of_truths, with_scores
from pipelines.report.terminal.summary import write_summary
from pipelines.run.provenance import provenance

SAME = {"data": "data", "split": "split", "split_fingerprint": "training or test videos or their labels"}


def run(config, folders) -> Path:
    """Put finished runs into one report under `aggregate/` of the work folder.

    Runs whose settings agree but for the seed are seeds of one system; systems are named by the settings in which they
    differ. All figures are computed anew from the scores, with the threshold and the draws of `config`.

    Args:
        config: `Config` of the report.
        folders: Work folders of runs that hold `evaluation/metrics.json` and `evaluation/scores.npz`.

    Returns:
        Path of `metrics.json`.

    Raises:
        UserError: A run was not evaluated, has other data or another split than the first, or comes twice.
    """
    start, origin = time.monotonic(), provenance()
    runs = [read_run(folder) for folder in folders]
    for other in runs[1:]:
        _check_same(runs[0], other)
    systems = grouped(runs)
    origin |= {key: runs[0]["origin"].get(key) for key in SAME}
    origin |= {"seed": ", ".join(str(seed) for seed in sorted({run["origin"]["seed"] for run in runs}))}
    origin |= {"runs": {name: [_facts(run) for run in of_system] for name, of_system in systems.items()}}
    origin |= {"commits of the runs": ", ".join(sorted({run["origin"]["commit"] for run in runs}))}
    folder = config.work_path / "aggregate"
    write_report(
        folder,
        {name: [run["videos"] for run in of_system] for name, of_system in systems.items()},
        f"{Path(origin['data']).resolve().name}, own split",
        origin | {"config": config_to_dict(config)},
        samples=config.evaluate.bootstrap_samples,
        seed=config.seed,
        threshold=config.alarms.threshold,
        smoothing_sec=config.evaluate.smoothing_sec,
        images=config.evaluate.images,
    )
    done = f"{len(runs)} runs of {len(systems)} system{'s' if len(systems) > 1 else ''}"
    write_summary(config, "aggregate", done, output=folder, seconds=time.monotonic() - start)
    return folder / "metrics.json"


def read_run(folder):
    """Origin, truth and scored videos of a finished run.

    Raises:
        UserError: It was not evaluated, or by an earlier version.
    """
    evaluation = Path(folder) / "evaluation"
    paths = [evaluation / "metrics.json", evaluation / "scores.npz"]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing:
        raise UserError(f"{missing} does not exist. Run `vad evaluate --set work_dir={folder}` first.")
    content = json.loads(paths[0].read_text(encoding="utf-8"))
    if "videos" not in content or not isinstance(content.get("origin", {}).get("seed"), int):
        raise UserError(
            f"{paths[0]} is not of one evaluated run: it does not name its videos and its one seed. Name the work "
            "folder of a run, and run `vad evaluate` there again if an earlier version wrote it."
        )
    with np.load(paths[1]) as scores:
        try:
            videos = with_scores(content["videos"], dict(scores))
        except ValueError as error:
            raise UserError(f"{evaluation}: {error}") from None
    return {"folder": str(folder), "origin": content["origin"], "truth": content["videos"], "videos": videos}


def grouped(runs):
    """The runs of each system, `{name: [run, ...]}`, by seed; the name tells the settings in which systems differ.

    Raises:
        UserError: Two runs have the same settings and the same seed.
    """
    settings = [_deciding(run["origin"]["config"]) for run in runs]
    keys = sorted({key for one in settings for key in one})
    differing = [key for key in keys if len({json.dumps(one.get(key)) for one in settings}) > 1]
    systems = {}
    for run, one in zip(runs, settings, strict=True):
        of_system = systems.setdefault(_name(one, differing), [])
        twin = next((other for other in of_system if other["origin"]["seed"] == run["origin"]["seed"]), None)
        if twin:
            raise UserError(
                f"{twin['folder']} and {run['folder']} have the same settings and the same seed "
                f"({run['origin']['seed']}). Leave one out."
            )
        of_system.append(run)
    return {name: sorted(of_system, key=lambda run: run["origin"]["seed"]) for name, of_system in systems.items()}


def _check_same(first, other):
    between = f"{first['folder']} and {other['folder']} cannot be put into one report"
    for key, name in SAME.items():
        values = [run["origin"].get(key) for run in (first, other)]
        if values[0] != values[1]:
            raise UserError(f"{between}: other {name} ({values[0]} and {values[1]}). Compare runs on the same videos.")
    if first["truth"] != other["truth"]:
        what = difference_of_truths(first["truth"], other["truth"])
        raise UserError(f"{between}: other test videos ({what}). Compare runs on the same videos.")


def _deciding(config):
    """The settings that may change a score, by their dotted keys; the seed is named apart."""
    flat = {}
    for name, value in deciding_settings(config).items():
        flat |= {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {name: value}
    flat.pop("seed")
    return flat


def _name(settings, differing):
    """The model, and `key=value` of each differing setting; the section is named where the key alone is not enough."""
    model = settings.get("train_detector.model", "detector")
    keys = [key for key in differing if key != "train_detector.model"]
    short = [key.rpartition(".")[2] for key in keys]
    parts = [
        f"{key if short.count(name) > 1 else name}={json.dumps(settings.get(key))}"
        for key, name in zip(keys, short, strict=True)
    ]
    return ", ".join([model, *parts]).replace('"', "")


def _facts(run):
    return {"folder": run["folder"], "seed": run["origin"]["seed"], "commit": run["origin"]["commit"]}
