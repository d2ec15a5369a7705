from collections import Counter
from types import SimpleNamespace

import pytest

from pipelines.config import load_config
from pipelines.data.splits import split_videos, training_problem

VIDEOS = [SimpleNamespace(video_id=i, label=int(i % 3 == 0)) for i in range(30)]


def test_each_label_gives_its_share_and_no_video_is_lost_or_doubled():
    training, validation = split_videos(VIDEOS, 0.2, seed=0)
    assert Counter(video.label for video in validation) == {0: 4, 1: 2}
    assert sorted(video.video_id for video in training + validation) == list(range(30))


def test_the_seed_decides_the_draw():
    first, again, other = ([video.video_id for video in split_videos(VIDEOS, 0.2, seed)[1]] for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("fraction, count", [(0.0, 0), (0.001, 2)])
def test_a_fraction_above_zero_leaves_at_least_one_of_each_label(fraction, count):
    assert len(split_videos(VIDEOS, fraction, seed=0)[1]) == count


@pytest.mark.parametrize(
    ("labels", "overrides", "problem"),
    [
        ("0011", (), ""),
        ("01", (), "1 normal and 1 abnormal training videos. One of each is held out for validation: add videos"),
        ("01", ("train_extractor.validation_fraction=0", "train_detector.validation_fraction=0"), ""),
        ("01", ("features.root=x", "train_detector.validation_fraction=0"), ""),
        ("01", ("train_detector.validation_fraction=0",), "1 normal and 1 abnormal"),
        ("0000", (), "4 normal and 0 abnormal training videos. Add videos of the other label"),
        ("111", (), "0 normal and 3 abnormal training videos. Add"),
        ("0001", (), "3 normal and 1 abnormal"),
        ("", (), "0 normal and 0 abnormal"),
    ],
)
def test_what_cannot_be_trained_on_is_known_from_the_list(labels, overrides, problem):
    videos = [SimpleNamespace(video_id=label, label=int(label), subset="train", missing="") for label in labels]
    videos += [SimpleNamespace(video_id=f"t{i}", label=i % 2, subset="test", missing="") for i in range(6)]
    videos += [SimpleNamespace(video_id=f"m{i}", label=i % 2, subset="train", missing="not there") for i in range(6)]
    found = training_problem(videos, load_config(overrides=overrides))
    assert (problem in found) if problem else not found
