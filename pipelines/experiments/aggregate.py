"""Compare finished runs in one report: seeds are pooled, systems compared, nothing is trained (``vad report``)."""

import json
import re
import time
from pathlib import Path

import numpy as np

from pipelines.config import UserError, config_to_dict, deciding_settings
from pipelines.report.evaluation.location import with_patch_scores
from pipelines.report.evaluation.report import write_report
from pipelines.report.evaluation.scored_videos import difference_of_truths, with_scores, without_classes
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.folder import RunFolder
from pipelines.run.provenance import provenance

SAME = {"data": "data", "split": "split", "split_fingerprint": "training or test videos or their labels"}


def run(config, folders, without=()) -> Path:
    """Write one report of finished runs to ``report/`` in the folder ``work_dir``.

    Runs that differ only in their seed are seeds of one system. Systems are named by the settings in which they differ.
    All metrics are computed again from the scores, with the threshold and the smoothing of ``config``.

    Args:
        config: ``Config`` of the report.
        folders: Folders of runs that ``vad evaluate`` has evaluated; or a single report folder of ``vad repeat``,
            ``vad compare`` or ``vad ablate``.
        without: Classes whose videos are left out. The report is then written to ``report/without_<classes>/``.

    Returns:
        Path of ``metrics.json``.

    Raises:
        UserError: A run was not evaluated, differs from the first in its data or split, or is given twice; or no video
            has a class of ``without``.
    """
    start, origin = time.monotonic(), provenance()
    experiments = [folder for folder in folders if (Path(folder) / "metrics.json").is_file()]
    if experiments and len(folders) > 1:
        raise UserError(f"{experiments[0]} is the report of an experiment. Give it alone, or give evaluated runs.")
    stored = read_experiment(experiments[0]) if experiments else read_runs(folders)
    systems = _without(stored["systems"], without)
    origin |= stored["origin"] | ({"without the classes": list(without)} if without else {})
    folder, name = RunFolder.of(config).report, "_".join(("without", *without))
    folder = folder / re.sub(r"[^\w-]+", "_", name) if without else folder
    write_report(
        folder,
        systems,
        stored["title"] + (f", without {', '.join(without)}" if without else ""),
        origin | {"config": config_to_dict(config)},
        threshold=config.alarms.threshold,
        reference=stored["reference"],
        facts=stored["facts"],
        smoothing_sec=config.evaluate.smoothing_sec,
        images=config.evaluate.images,
    )
    done = f"{counted(len(folders), 'run')} of {counted(len(systems), 'system')}"
    write_summary(config, "report", done, output=folder, seconds=time.monotonic() - start)
    return folder / "metrics.json"


def _without(systems, classes):
    try:
        return {name: [without_classes(videos, classes) for videos in seeds] for name, seeds in systems.items()}
    except ValueError as error:
        raise UserError(f"`--without-class`: {error}") from None


def read_runs(folders):
    """Return the scored videos of evaluated runs by system and seed, and what a report says about them."""
    runs = [read_run(folder) for folder in folders]
    for other in runs[1:]:
        _check_same(runs[0], other)
    systems = grouped(runs)
    origin = {key: runs[0]["origin"].get(key) for key in SAME}
    origin |= {"seed": ", ".join(str(seed) for seed in sorted({run["origin"]["seed"] for run in runs}))}
    origin |= {"runs": {name: [_facts(run) for run in of_system] for name, of_system in systems.items()}}
    origin |= {"commits of the runs": ", ".join(sorted({run["origin"]["commit"] for run in runs}))}
    return {
        "systems": {name: [run["videos"] for run in of_system] for name, of_system in systems.items()},
        "title": f"{Path(origin['data']).resolve().name}, own split",
        "origin": origin,
        "reference": None,
        "facts": {},
    }


def read_experiment(folder):
    """Return the same of a report folder of ``vad repeat``, ``vad compare`` or ``vad ablate``.

    Raises:
        UserError: It does not name its trainings, or the scores of one are missing.
    """
    folder = Path(folder)
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    runs = content.get("origin", {}).get("runs", {})
    if not runs or not all(isinstance(of_seed, list) for seeds in runs.values() for of_seed in seeds):
        raise UserError(
            f"{folder / 'metrics.json'} does not name the trainings of an experiment. If an earlier version wrote it, "
            "run the same `vad repeat`, `vad compare` or `vad ablate` again: finished trainings are kept."
        )
    systems = {
        name: [_scored_in_folds(content["videos"], [RunFolder(folder / path) for path in of_seed]) for of_seed in seeds]
        for name, seeds in runs.items()
    }
    facts = {name: system["facts"] for name, system in content["systems"].items() if "facts" in system}
    origin = {key: content["origin"].get(key) for key in ("data", "split", "seed", "trained", "runs")}
    origin["commits of the runs"] = content["origin"]["commit"]
    title, reference = content["title"], content["reference"]
    return {"systems": systems, "title": title, "origin": origin, "reference": reference, "facts": facts}


def _scored_in_folds(truth, runs):
    """The scored test videos of all folds of a seed."""
    scores = {}
    for run in runs:
        if not run.evaluation_scores.is_file():
            raise UserError(f"{run.evaluation_scores} does not exist. Run the command of the experiment again.")
        with np.load(run.evaluation_scores) as of_fold:
            scores |= dict(of_fold)
    videos = with_scores(truth, scores)
    for run in runs:
        videos = with_patch_scores(videos, run.evaluation_patch_scores)
    return videos


def read_run(folder):
    """Return origin, truth and scored videos of a finished run.

    Raises:
        UserError: It was not evaluated, or by an earlier version.
    """
    run = RunFolder(folder)
    run.need_evaluation()
    paths = [run.evaluation_metrics, run.evaluation_scores]
    content = json.loads(paths[0].read_text(encoding="utf-8"))
    if "videos" not in content or not isinstance(content.get("origin", {}).get("seed"), int):
        raise UserError(
            f"{paths[0]} does not describe one evaluated run: its videos or its seed are missing. Give the work_dir of "
            "a run; if an earlier version wrote the file, run `vad evaluate` again."
        )
    with np.load(paths[1]) as scores:
        try:
            videos = with_scores(content["videos"], dict(scores))
        except ValueError as error:
            raise UserError(f"{run.evaluation}: {error}") from None
    videos = with_patch_scores(videos, run.evaluation_patch_scores)
    return {"folder": str(folder), "origin": content["origin"], "truth": content["videos"], "videos": videos}


def grouped(runs):
    """Return the runs of each system, ``{name: [run, ...]}``, by seed; names hold the settings in which systems differ.

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
    between = f"{first['folder']} and {other['folder']} cannot be compared in one report"
    for key, name in SAME.items():
        one, two = (run["origin"].get(key) for run in (first, other))
        if one != two:
            raise UserError(f"{between}: different {name} ({one} and {two}). Compare runs on the same videos.")
    if first["truth"] != other["truth"]:
        what = difference_of_truths(first["truth"], other["truth"])
        raise UserError(f"{between}: different test videos ({what}). Compare runs on the same videos.")


def _deciding(config):
    """Return the settings that may change a score, by their dotted keys, without the seed."""
    flat = {}
    for name, value in deciding_settings(config).items():
        flat |= {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {name: value}
    flat.pop("seed")
    return flat


def _name(settings, differing):
    """Return the model and ``key=value`` of each differing setting; keys in several sections keep their section."""
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
