from collections import Counter
from types import SimpleNamespace

import pytest

from pipelines.data.splits import split_videos

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
