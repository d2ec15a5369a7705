import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.snippets import expand_to_frames, in_snippets, padded


@pytest.mark.parametrize(("num_frames", "lengths"), [(0, []), (3, [3]), (8, [4, 4]), (9, [4, 4, 1])])
def test_every_frame_is_in_one_snippet_in_order(num_frames, lengths):
    snippets = list(in_snippets(iter(range(num_frames)), clip_frames=4))
    assert list(map(len, snippets)) == lengths
    assert [frame for snippet in snippets for frame in snippet] == list(range(num_frames))


def test_a_short_snippet_is_padded_and_masked():
    frames = [(16 * number, 0.5 * number, np.full((2, 2, 3), 9, np.uint8)) for number in range(3)]
    snippet = padded(frames, clip_frames=4)
    assert snippet.mask.tolist() == [True, True, True, False]
    assert snippet.frame_indices.tolist() == [0, 16, 32, -1] and snippet.times_sec.tolist() == [0, 0.5, 1.0, -1]
    assert snippet.frames.shape == (4, 2, 2, 3) and (snippet.frames[:3] == 9).all() and not snippet.frames[3].any()


def test_a_score_holds_until_the_next_sampled_frame():
    assert expand_to_frames([0.1, 0.9], [1, 3], 6).tolist() == [0.1, 0.1, 0.1, 0.9, 0.9, 0.9]
    assert expand_to_frames(np.ones((1, 14)), [0], 3).shape == (3, 14)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_original_frame_takes_the_last_score_at_or_before_it(data):
    num_frames = data.draw(st.integers(1, 60))
    indices = sorted(data.draw(st.sets(st.integers(0, num_frames - 1), min_size=1)))
    scores = np.arange(len(indices), dtype=float)
    expected = [max([i for i, index in enumerate(indices) if index <= frame], default=0) for frame in range(num_frames)]
    assert expand_to_frames(scores, indices, num_frames).tolist() == expected


@pytest.mark.parametrize("indices", [[0, 0], [2, 1], [0, 5], [-1, 2]])
def test_indices_that_do_not_rise_inside_the_video_are_refused(indices):
    with pytest.raises(ValueError, match=r"must increase inside 0\.\.4"):
        expand_to_frames([0.1, 0.2], indices, 5)


def test_scores_without_their_indices_are_refused():
    with pytest.raises(ValueError, match="expected one score per sampled frame"):
        expand_to_frames([0.1, 0.2], [0], 5)
    with pytest.raises(ValueError, match="expected one score per sampled frame"):
        expand_to_frames([], [], 5)
