"""Tests of pipelines.report.evaluation.scored_videos."""

import numpy as np
import pytest

from pipelines.report.evaluation.scored_videos import (
    aligned,
    difference_of_truths,
    half_width,
    moving_average,
    smoothed,
    truth_of,
    with_scores,
    without_classes,
)


def test_the_order_of_the_videos_does_not_matter(make_videos):
    videos = make_videos()
    ordered, truth = aligned({"a": [videos, videos[::-1]], "b": [videos[3:] + videos[:3]]})
    assert [video["video_id"] for seeds in ordered.values() for of_seed in seeds for video in of_seed] == 3 * sorted(
        truth
    )


def test_frame_labels_are_stored_as_intervals():
    video = {"video_id": "a", "label": 1, "class_name": "Arson", "fps": 30.0, "frame_labels": [0, 1, 1, 0, 1]}
    truth = truth_of([video | {"scores": np.zeros(5)}, {"video_id": "n", "label": 0, "scores": [0.1]}])
    assert truth["a"]["frame_labels"] == [[1, 3], [4, 5]] and truth["a"]["num_frames"] == 5
    assert truth["n"] == {"label": 0, "class_name": "", "fps": None, "num_frames": 1, "frame_labels": None}


def test_scores_and_truth_give_the_videos_back(make_videos):
    videos = [*make_videos(), {"video_id": "x", "label": 1, "class_name": "", "fps": 5.0, "frame_labels": None}]
    videos[-1]["scores"] = np.zeros(4)
    back = with_scores(truth_of(videos), {video["video_id"]: video["scores"] for video in videos})
    assert truth_of(back) == truth_of(videos)
    np.testing.assert_array_equal(back[1]["frame_labels"], videos[1]["frame_labels"])
    assert back[-1]["frame_labels"] is None


def test_scores_that_are_not_those_of_the_videos_are_named():
    truth = truth_of([{"video_id": "a", "label": 1, "scores": np.zeros(5)}])
    with pytest.raises(ValueError, match=r"a: 4 scores, 5 frames \(1 such videos\)\. Run `vad evaluate` for that run"):
        with_scores(truth, {"a": np.zeros(4)})
    with pytest.raises(ValueError, match="a: no scores, 5 frames"):
        with_scores(truth, {})


def test_systems_on_other_videos_or_labels_are_refused_by_name(make_videos):
    videos = make_videos()
    with pytest.raises(ValueError, match=r"System 'b', seed number 0: 1 videos missing, such as v00\. Score them on"):
        aligned({"a": [videos], "b": [videos[1:]]})
    other = [videos[0] | {"label": 1}, *videos[1:]]
    with pytest.raises(ValueError, match=r"System 'a', seed number 1: v00 has a different label \(0 and 1\)"):
        aligned({"a": [videos, other]})
    with pytest.raises(ValueError, match=r"in system 'a', seed number 0: 'v00' for 2 videos"):
        aligned({"a": [[videos[0], *videos]]})
    with pytest.raises(ValueError, match=r"Received: \{'a': \[\]\}"):
        aligned({"a": []})


def test_another_frame_rate_is_named():
    truth = truth_of([{"video_id": "a", "label": 1, "scores": np.zeros(5), "fps": 5.0}])
    assert difference_of_truths(truth, {"a": truth["a"] | {"fps": 6.0}}) == "the frame rate of a video differs"


def test_the_moving_average_by_hand_and_at_the_ends():
    np.testing.assert_allclose(moving_average([0.0, 3.0, 6.0, 0.0, 1.0], 1), [1.5, 3.0, 3.0, 7 / 3, 0.5], rtol=1e-6)
    np.testing.assert_allclose(moving_average([1.0, 2.0, 6.0], 10), [3.0, 3.0, 3.0], rtol=1e-6)
    assert (half_width(2.0, 29.97), half_width(0.5, 3.0)) == (29, 0)


def test_equal_scores_stay_tied_under_the_average():
    assert len(np.unique(moving_average(np.full(1000, 0.1), 30))) == 1


def test_smoothing_does_not_cross_from_video_to_video(make_videos):
    videos = make_videos()
    together, alone = smoothed(videos, 1.0), [smoothed([video], 1.0)[0] for video in videos]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one["scores"], other["scores"])
    with pytest.raises(ValueError, match=r"video v00 must have `fps`.*over 1 seconds. Received: None"):
        smoothed([videos[0] | {"fps": None}], 1.0)


def test_videos_of_a_class_are_left_out(make_videos):
    videos = make_videos()
    kept = without_classes(videos, ["Fight"])
    assert {video["class_name"] for video in kept} == {"", "Arson"} and len(kept) == 9
    assert without_classes(videos, []) == videos
    with pytest.raises(ValueError, match=r"no test video has the class `Fights`\. Classes: Arson, Fight\."):
        without_classes(videos, ["Fights"])
