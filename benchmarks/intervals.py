"""How often a 95 % interval holds the truth, by simulation: ``python -m benchmarks.intervals`` (minutes, one thread).

Each simulated test set has as many normal as abnormal videos of different lengths, one event of random length in each
abnormal video, a random level for each video, and an event that raises the scores by a random amount (in some videos
not at all, or it lowers them). Two systems score the same videos; their levels and events are correlated. The truth is
what the metrics tend to with very many videos.
"""

import argparse
import functools

import numpy as np

from pipelines.report.terminal.progress import track
from pipelines.report.terminal.tables import markdown_table
from vad_keras.metrics import interval_of_jackknife, leave_one_out

BINS = 200  # scores are binned, so that a test set is two histograms per video
EDGES = np.linspace(-6.0, 8.0, BINS - 1)
VIDEOS_OF_TRUTH, PARTS_OF_TRUTH = 4000, 25
NUM_VIDEOS = (30, 91, 290)
# name: what an event adds to the scores in the two systems, sd of the level of a video, sd of what an event adds
CASES = {
    "chance": ((0.0, 0.0), 1.0, 1.0),
    "weak": ((1.0, 0.5), 1.0, 0.5),
    "strong": ((2.5, 1.5), 0.7, 1.5),
}
METRICS = {
    "frame": "frame AUC",
    "inside": "AUC inside abnormal videos",
    "frame difference": "difference of frame AUC",
    "inside difference": "difference inside",
}


def simulate(random, num_videos, added, level_sd, added_sd):
    """Return the labels ``(N,)`` and, of each system, the frames in each bin, abnormal and normal, ``(N, BINS)``."""
    labels = np.arange(num_videos) % 2
    lengths = np.maximum(20, random.lognormal(np.log(150), 0.6, num_videos).astype(int))
    events = labels * np.maximum(2, (random.beta(1.2, 3.0, num_videos) * lengths).astype(int))
    video, starts = np.repeat(np.arange(num_videos), lengths), np.cumsum(lengths) - lengths
    abnormal = np.arange(lengths.sum()) - np.repeat(starts, lengths) < np.repeat(events, lengths)

    def normal(shared):
        return np.sqrt(0.5) * (shared + random.normal(size=shared.size))

    shared = [random.normal(size=size) for size in (num_videos, num_videos, lengths.sum())]
    systems = []
    for of_system in added:
        level = level_sd * normal(shared[0]) + 0.5 * labels
        scores = level[video] + abnormal * (of_system + added_sd * normal(shared[1]))[video] + normal(shared[2])
        place = video * BINS + np.searchsorted(EDGES, scores)
        size = num_videos * BINS
        systems.append([np.bincount(place, kind, size).reshape(-1, BINS) for kind in (abnormal, ~abnormal)])
    return labels, systems


def areas(labels, system, counts):
    """Frame AUC of each draw, of all videos and of the abnormal ones."""
    positive, negative = system
    pairs = positive @ (np.cumsum(negative, axis=1) - negative / 2).T
    positive, negative = positive.sum(axis=1), negative.sum(axis=1)
    for chosen in (counts, counts * labels):
        right = np.sum((chosen @ pairs) * chosen, axis=1)
        yield right / ((chosen @ positive) * (chosen @ negative))


@functools.cache
def truths(case):
    """The metrics of ``METRICS`` for very many videos."""
    random, sums = np.random.default_rng(1), {}
    for _ in range(PARTS_OF_TRUTH):
        labels, systems = simulate(random, VIDEOS_OF_TRUTH, *CASES[case])
        for number, system in enumerate(systems):
            for name, weight in (("frame", np.ones(len(labels))), ("inside", labels)):
                sums[name, number] = sums.get((name, number), 0) + np.stack([weight @ part for part in system])
    found = {}
    for key, (positive, negative) in sums.items():
        right = positive @ (np.cumsum(negative) - negative / 2)
        found[key] = right / positive.sum() / negative.sum()
    return _by_metric(lambda name, number: found[name, number])


def _by_metric(value):
    metrics = {name: value(name, 0) for name in ("frame", "inside")}
    return metrics | {f"{name} difference": metrics[name] - value(name, 1) for name in ("frame", "inside")}


def intervals(labels, systems):
    """``{metric: (low, high)}`` of one simulated test set."""
    number = len(labels)
    value, left_out = (
        [dict(zip(("frame", "inside"), areas(labels, system, counts), strict=True)) for system in systems]
        for counts in (np.ones((1, number)), leave_one_out(number))
    )
    value, left_out = (_by_metric(lambda name, system, both=both: both[system][name]) for both in (value, left_out))
    found = {}
    for name in METRICS:
        interval = interval_of_jackknife(value[name][0], left_out[name], None if "difference" in name else (0, 1))
        found[name] = (interval["low"], interval["high"])
    return found


def row(case, num_videos, repetitions):
    """Share of the intervals that hold the truth, in percent, of each metric."""
    random, truth = np.random.default_rng(0), truths(case)
    held = dict.fromkeys(METRICS, 0)
    for _ in range(repetitions):
        for name, (low, high) in intervals(*simulate(random, num_videos, *CASES[case])).items():
            held[name] += low <= truth[name] <= high
    auc = f"{truth['frame']:.2f}, {truth['inside']:.2f}"
    return {"videos": str(num_videos), "case": case, "truth": auc} | {
        name: f"{100 * count / repetitions:.1f}" for name, count in held.items()
    }


def main(arguments=None):
    """Print how many of the intervals of a report hold the truth, in percent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.intervals", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=500, metavar="N", help="simulated test sets (default: 500)")
    parser.add_argument("--videos", type=int, nargs="+", default=NUM_VIDEOS, metavar="N", help="videos of a test set")
    options = parser.parse_args(arguments)
    jobs = [(case, number, options.repetitions) for number in options.videos for case in CASES]
    rows = [row(*job) for job in track(jobs, "Simulating", unit="rows")]
    columns = {"videos": "videos", "case": "case", "truth": "AUC, inside"} | METRICS
    print(markdown_table(rows, columns))


if __name__ == "__main__":
    main()
