"""How often ``vad calibrate`` keeps its promise on normal videos kept out of it: ``python -m benchmarks.calibration RUN``.

``RUN`` is the folder of a `vad repeat`: each video has the scores of a model that was not trained on it. Its normal
videos are split at random many times. A part is the footage that the threshold is calibrated on; the rest is scored with
that threshold. The split is by video, so that no part of a kept-out video is known.

The promise is on the rate of alarms in the long run. What is kept out is short, so that its own number of alarms varies
around that rate: even where all assumptions hold, it exceeds the promise more often than the confidence says. The column
"expected" is the share of splits that keep it then (a beta-binomial distribution); the column "kept" is what was found.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
from scipy.stats import betabinom

from pipelines.config import Config
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.tables import markdown_table
from pipelines.serving.alarms import AlarmRules
from pipelines.serving.calibration import Footage, alarmed_blocks, calibrate, needed_blocks, upper_bound

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
    "expected": "expected",
}


def read_runs(folder, system="anomaly_detector"):
    """Yield, for each seed of a `vad repeat`, the ``Footage`` of its normal videos, each scored when it was kept out."""
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
            yield seed, [Footage(one, np.arange(one.size) / normal[name], 1 / normal[name]) for name, one in found.items()]


def measure(footage, rules, block_sec, share, confidence, num_splits, random):
    """Return the share of splits that keep the promise, the share expected, the promised and the mean achieved rate.

    The promise is the lowest one that the footage allows with a few alarmed blocks, so that it is neither empty nor
    impossible. Rates are alarmed blocks per block.
    """
    kept, expected, achieved, promised = [], [], [], []
    for _ in range(num_splits):
        order = random.permutation(len(footage))
        first = round(share * len(footage))
        known, unknown = ([footage[n] for n in part] for part in (order[:first], order[first:]))
        num_known, num_unknown = (_count(part, block_sec) for part in (known, unknown))
        allowed = max(1, num_known // 20)
        wanted = upper_bound(allowed, num_known, confidence) * (1 + 1e-9)
        assert needed_blocks(wanted, confidence) <= num_known
        days = sum(video.duration_sec for video in known) / 86_400 if not block_sec else num_known * block_sec / 86_400
        found = calibrate(known, rules, wanted * num_known / days, block_sec, confidence)
        if found.threshold is None:  # scores of 1: no promise is made
            continue
        number = int(alarmed_blocks(unknown, rules, found.threshold, block_sec).sum())
        most = int(np.floor(wanted * num_unknown))
        kept.append(number <= most)
        expected.append(betabinom.cdf(most, num_unknown, allowed + 1, num_known - allowed))
        achieved.append(number / num_unknown)
        promised.append(wanted)
    return np.mean(kept), np.mean(expected), np.mean(promised), np.mean(achieved)


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
                found = [
                    measure(footage, rules, block_sec, share, confidence, len(part), random)
                    for footage, part in zip(footages, parts, strict=True)
                ]
                kept, expected, wanted, achieved = np.mean(found, axis=0)
                yield {
                    "block": f"{block_sec:g} s" if block_sec else "a video",
                    "videos": f"{100 * share:g} %",
                    "confidence": f"{100 * confidence:g} %" if confidence else "on average",
                    "wanted": f"{wanted:.3f}",
                    "achieved": f"{achieved:.3f}",
                    "kept": f"{100 * kept:.0f} %",
                    "expected": f"{100 * expected:.0f} %",
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
        rows = list(track(list(table(footages, rules, options.splits)), Path(run).name))
        print(f"\n{Path(run).name}: {len(footages[0])} normal videos, {minutes:.1f} minutes, {len(footages)} seeds\n")
        print(markdown_table(rows, COLUMNS))


if __name__ == "__main__":
    main()
