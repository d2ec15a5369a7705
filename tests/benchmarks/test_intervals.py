"""Tests of benchmarks.intervals: the simulated metrics are the real ones, and the intervals hold the truth."""

import numpy as np
import pytest

from benchmarks import intervals
from vad_keras.metrics import evaluate_videos


def test_the_areas_of_a_simulated_test_set_are_those_of_its_videos():
    labels, systems = intervals.simulate(np.random.default_rng(0), 12, *intervals.CASES["strong"])
    for positive, negative in systems:
        videos = [
            {
                "scores": np.repeat(np.tile(np.arange(intervals.BINS), 2), np.concatenate(of_video).astype(int)),
                "frame_labels": np.repeat([1, 0], [int(part.sum()) for part in of_video]),
                "label": int(label),
            }
            for *of_video, label in zip(positive, negative, labels, strict=True)
        ]
        report = evaluate_videos(videos)
        found = [area.item() for area in intervals.areas(labels, (positive, negative), np.ones((1, 12)))]
        assert found == pytest.approx([report["frame_auc"], report["frame_auc_abnormal_videos"]])


def test_the_intervals_hold_the_truth_as_often_as_they_say(monkeypatch, capsys):
    monkeypatch.setattr(intervals, "CASES", {"weak": intervals.CASES["weak"]})
    monkeypatch.setattr(intervals, "PARTS_OF_TRUTH", 3)
    intervals.truths.cache_clear()
    intervals.main(["--repetitions", "200", "--videos", "30"])
    row = capsys.readouterr().out.splitlines()[-1]
    covered = [float(cell) for cell in row.split("|")[4:8]]
    assert len(covered) == 4 and all(90 <= share <= 99 for share in covered), row
    intervals.truths.cache_clear()
