"""How often ``vad calibrate`` keeps its promise on other normal videos: ``python -m benchmarks.calibration RUN``.

``RUN`` is the folder of a `vad repeat`: each video has the scores of a model that was not trained on it. Its normal
videos are split at random many times, by video. The threshold is calibrated on one part and used on the other.

The promise is on as many blocks as are kept out. "kept" is the share of splits in which the kept-out videos had at
most as many alarmed blocks as promised; it must be at least the confidence. When a video is a block, blocks are
exchangeable. The shorter blocks of a video are not: they share a scene and a camera.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np

from pipelines.config import Config
from pipelines.report.terminal.tables import markdown_table
from pipelines.serving.alarms import AlarmRules
from pipelines.serving.calibration import DAY_SEC, Footage, Promise, alarmed_blocks, calibrate

NUM_SPLITS = 100
SHARES = (0.25, 0.5)  # of the videos that the threshold is calibrated on
CONFIDENCES = (0.0, 0.8, 0.95)
BLOCKS_SEC = (0.0, 10.0, 60.0)
COLUMNS = {
    "block": "block",
    "videos": "calibrated on",
    "confidence": "confidence",
    "wanted": "promised",
    "achieved": "achieved, mean",
    "kept": "kept",
}


def read_runs(folder, system="anomaly_detector"):
    """Yield each seed and the ``Footage`` of the normal videos, each scored by a model not trained on it."""
    folder = Path(folder)
    videos = json.loads((folder / "nodes" / "videos.json").read_text(encoding="utf-8"))["videos"]
    normal = {video["video_id"]: video["fps"] for video in videos if video["label"] == 0}
    seeds = {}
    for path in sorted(folder.glob(f"folds/*/{system}/evaluation/scores.npz")):
        seed = re.sub(r"-\d+$", "", path.parts[-4])
        with np.load(path) as scores:
            found = {name: np.round(scores[name].astype(float), 6) for name in scores.files if name in normal}
        seeds.setdefault(seed, {}).update(found)
    for seed, found in seeds.items():
        if len(found) == len(normal):  # a seed whose folds are not all trained is left out
            yield seed, [_footage(one, 1 / normal[name]) for name, one in found.items()]


def _footage(scores, period_sec):
    return Footage(scores, np.arange(scores.size) * period_sec, period_sec)


def measure(footage, rules, block_sec, share, confidence, num_splits, random):
    """Return for each split whether the promise was kept, the promised and the achieved share of alarmed blocks.

    The promise is the lowest one that the footage allows with one alarmed block in twenty, so that it is neither empty
    nor impossible.
    """
    found = []
    for _ in range(num_splits):
        order = random.permutation(len(footage))
        first = round(share * len(footage))
        known, unknown = ([footage[n] for n in part] for part in (order[:first], order[first:]))
        num_known, num_unknown = (_count(part, block_sec) for part in (known, unknown))
        wanted = Promise(0.0, num_unknown, confidence).upper_bound(max(1, num_known // 20), num_known)
        block_days = (block_sec or sum(video.duration_sec for video in known) / num_known) / DAY_SEC
        days_ahead = num_unknown * block_days
        threshold = calibrate(known, rules, wanted / block_days, block_sec, confidence, days_ahead).threshold
        if threshold is not None:  # else scores of 1: no promise is made
            achieved = alarmed_blocks(unknown, rules, threshold, block_sec).mean()
            found.append((achieved <= wanted + 1e-9, wanted, achieved))
    return found


def _count(footage, block_sec):
    return int(sum(video.duration_sec for video in footage) // block_sec) if block_sec else len(footage)


def table(footages, rules, num_splits):
    """Yield a row for each length of a block, share of footage and confidence; the splits go over all seeds."""
    total_sec = sum(video.duration_sec for video in footages[0])
    for block_sec in BLOCKS_SEC:
        for share in SHARES:
            if block_sec and share * total_sec / block_sec < 5:
                continue
            for confidence in CONFIDENCES:
                random = np.random.default_rng(0)
                parts = np.array_split(np.arange(num_splits), len(footages))
                found = []
                for footage, part in zip(footages, parts, strict=True):
                    found += measure(footage, rules, block_sec, share, confidence, len(part), random)
                kept, wanted, achieved = np.mean(found, axis=0)
                yield {
                    "block": f"{block_sec:g} s" if block_sec else "a video",
                    "videos": f"{100 * share:g} %",
                    "confidence": f"{100 * confidence:g} %" if confidence else "on average",
                    "wanted": f"{wanted:.3f}",
                    "achieved": f"{achieved:.3f}",
                    "kept": f"{100 * kept:.0f} % of {len(found)}",
                }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="folders of vad repeat")
    parser.add_argument("--splits", type=int, default=NUM_SPLITS, help="random splits per row")
    options = parser.parse_args(arguments)
    rules = AlarmRules.of(Config().alarms)
    for run in options.runs:
        footages = [footage for _, footage in read_runs(run)]
        if not footages:
            raise SystemExit(f"{run} has no complete folds with scores. Run `vad repeat --folds N` first.")
        minutes = sum(video.duration_sec for video in footages[0]) / 60
        rows = list(table(footages, rules, options.splits))
        print(f"\n{Path(run).name}: {len(footages[0])} normal videos, {minutes:.1f} minutes, {len(footages)} seeds\n")
        print(markdown_table(rows, COLUMNS))


if __name__ == "__main__":
    main()
