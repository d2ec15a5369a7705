"""Which frames are worth a look."""

import numpy as np

from pipelines.serving.top_frames import find_top_frames


def test_the_highest_scores_are_taken_in_the_order_of_time():
    scores = np.zeros(100)
    scores[[10, 50, 90]] = [0.7, 0.9, 0.8]
    assert find_top_frames(scores, np.arange(100), 3) == [10, 50, 90]


def test_neighbours_of_a_chosen_frame_are_passed_over():
    scores = np.linspace(0, 1, 100)
    chosen = find_top_frames(scores, np.arange(100), 4)
    assert chosen[-1] == 99 and len(chosen) == 4 and np.diff(chosen).min() > 99 / 12


def test_a_video_of_one_frame_and_no_wish_for_frames():
    assert find_top_frames([0.4], [0.0], 6) == [0]
    assert find_top_frames([0.4, 0.5], [0.0, 1.0], 0) == []
