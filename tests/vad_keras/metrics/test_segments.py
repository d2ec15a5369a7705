"""Tests of vad_keras.metrics.segments by hand, and against an evaluation that loops over everything."""

import numpy as np
import pytest

from vad_keras.metrics.segments import IOU_PERCENTS, iou, runs, segment_metrics


def video(scores, labels, kind="Arson"):
    label = int(any(labels))
    return {
        "scores": np.array(scores),
        "label": label,
        "frame_labels": np.array(labels),
        "class_name": kind if label else "",
    }


def test_one_event_by_hand():
    # runs [2, 6) at the levels .1 to .4, mean .725, and [3, 5) above, mean 1; their overlap is 2 / 4, so both are kept
    scores = [0, 0, 0.45, 1.0, 1.0, 0.45, 0]
    found, missing = segment_metrics([video(scores, [0, 0, 1, 1, 1, 1, 0])])
    # [3, 5) comes first, and takes the event up to an overlap of .5
    assert not missing and found["map_at_iou_50_percent"] == 1.0 and found["map_at_iou_mean"] == 1.0
    longer, _ = segment_metrics([video(scores, [1, 1, 1, 1, 1, 1, 0])])
    # overlap 2 / 6 of the first and 4 / 6 of the second detection: above a third only the second one is right
    assert longer["map_at_iou_30_percent"] == 1.0 and longer["map_at_iou_40_percent"] == pytest.approx(1 / 2)


def test_a_class_counts_its_own_videos_and_the_normal_ones():
    arson, fight = video([0, 0, 1.0, 1.0], [0, 0, 1, 1]), video([0.5, 0.5, 0, 0], [1, 1, 0, 0], "Fight")
    alarm = video([0.8, 0.8, 0, 0], [0, 0, 0, 0])
    found, _ = segment_metrics([arson, fight, alarm])
    assert found["map_at_iou_50_percent"] == pytest.approx((1.0 + 0.5) / 2)  # Fight comes after the false alarm


def brute_force(videos, threshold):
    """Oracle: lists and loops."""
    scores = [score for one in videos for score in one["scores"]]
    low, high = min(scores), max(scores)
    detections = []
    for place, one in enumerate(videos):
        candidates = set()
        for step in range(1, 10):
            above = [score >= low + (high - low) * step / 10 for score in one["scores"]] + [False]
            start = None
            for frame, is_above in enumerate(above):
                if is_above and start is None:
                    start = frame
                elif not is_above and start is not None:
                    candidates.add((start, frame))
                    start = None
        kept = []
        means = {(a, b): round(float(np.mean(one["scores"][a:b])), 9) for a, b in candidates}
        for pair in sorted(candidates, key=lambda pair, means=means: (-means[pair], pair)):
            if all(overlap(pair, other) <= 0.5 for other in kept):
                kept.append(pair)
        detections += [(float(np.mean(one["scores"][a:b])), place, (a, b)) for a, b in kept]
    areas = []
    for kind in sorted({one["class_name"] for one in videos} - {""}):
        places = [n for n, one in enumerate(videos) if one["class_name"] in ("", kind)]
        free = {n: [tuple(run) for run in runs(videos[n]["frame_labels"]).tolist()] for n in places}
        number, right, area = sum(map(len, free.values())), 0, 0.0
        of_class = sorted((entry for entry in detections if entry[1] in places), reverse=True)
        for rank, (_, place, pair) in enumerate(of_class, start=1):
            best = max(free[place], key=lambda event, pair=pair: overlap(pair, event), default=None)
            if best is not None and overlap(pair, best) >= threshold:
                free[place].remove(best)
                right += 1
                area += right / rank / number
        areas.append(area)
    return np.mean(areas)


def overlap(one, other):
    shared = set(range(*one)) & set(range(*other))
    return len(shared) / len(set(range(*one)) | set(range(*other)))


@pytest.mark.parametrize("seed", range(8))
def test_random_videos_equal_the_loops(seed):
    random, videos = np.random.default_rng(seed), []
    for number in range(6):
        labels = np.repeat(random.integers(0, 2, 6) * (number % 3 > 0), 4)
        scores = np.repeat(random.normal(size=12), 2) + labels + random.normal(size=24) * 0.01
        videos.append(video(scores, labels, "AB"[number % 2]))
    found, _ = segment_metrics(videos)
    for percent in IOU_PERCENTS:
        assert found[f"map_at_iou_{percent}_percent"] == pytest.approx(brute_force(videos, percent / 100)), percent


def test_without_a_class_there_is_a_reason():
    found, missing = segment_metrics([video([0.1, 0.2], [0, 1], kind="")])
    assert set(missing) == set(found) and all(np.isnan(value) for value in found.values())


def test_runs_and_overlaps():
    assert runs(np.zeros(3)).shape == (0, 2) and runs([1, 1, 0]).tolist() == [[0, 2]]
    assert iou((0, 2), np.array([[0, 2], [1, 3], [5, 6]])).tolist() == [1.0, pytest.approx(1 / 3), 0.0]
