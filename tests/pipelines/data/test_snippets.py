import numpy as np
import pytest

from pipelines.data.snippets import in_snippets, padded


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
