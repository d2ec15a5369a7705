import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_keras.models.frame_windows import Window, plan_windows


@st.composite
def plans(draw):
    """Arguments of `plan_windows`."""
    window_frames = draw(st.integers(1, 40))
    return draw(st.integers(0, 200)), window_frames, draw(st.integers(1, window_frames))


def test_short_videos_have_the_windows_worked_out_by_hand():
    assert plan_windows(20, window_frames=10, stride_frames=4) == [
        Window(0, 10, 0, 7),
        Window(4, 14, 7, 11),
        Window(8, 18, 11, 15),
        Window(12, 20, 15, 20),
    ]
    assert plan_windows(7, window_frames=5, stride_frames=3, causal=True) == [
        Window(0, 3, 0, 3),
        Window(1, 6, 3, 6),
        Window(2, 7, 6, 7),
    ]


@given(plans(), st.booleans())
def test_every_frame_is_kept_exactly_once_and_in_order(arguments, causal):
    kept = [frame for w in plan_windows(*arguments, causal=causal) for frame in range(w.keep_start, w.keep_stop)]
    assert kept == list(range(arguments[0]))


@given(plans(), st.booleans())
def test_a_window_holds_what_it_keeps_and_is_never_longer_than_asked(arguments, causal):
    num_frames, window_frames, _ = arguments
    for window in plan_windows(*arguments, causal=causal):
        assert 0 <= window.start <= window.keep_start < window.keep_stop <= window.stop <= num_frames
        assert window.stop - window.start <= window_frames
        frames = np.arange(window.start, window.stop)
        np.testing.assert_array_equal(frames[window.kept], np.arange(window.keep_start, window.keep_stop))


@given(plans())
def test_every_frame_has_context_on_both_sides_unless_the_video_ends(arguments):
    num_frames, window_frames, stride_frames = arguments
    margin = (window_frames - stride_frames) // 2
    for window in plan_windows(*arguments):
        assert window.keep_start - window.start >= margin or window.start == 0
        assert window.stop - window.keep_stop >= margin or window.stop == num_frames


@given(plans())
def test_no_more_is_computed_than_the_frames_and_the_context_of_each_window(arguments):
    num_frames, window_frames, stride_frames = arguments
    windows = plan_windows(*arguments)
    beyond = max(num_frames - window_frames, 0)
    assert len(windows) == (1 + -(-beyond // stride_frames) if num_frames else 0)
    assert all(window.stop - window.start == window_frames for window in windows[:-1])
    overlaps = max(len(windows) - 1, 0) * (window_frames - stride_frames)
    assert sum(window.stop - window.start for window in windows) == num_frames + overlaps


@given(plans())
def test_a_causal_window_ends_with_its_newest_kept_frame_and_has_all_the_past_it_can(arguments):
    _, window_frames, stride_frames = arguments
    for window in plan_windows(*arguments, causal=True):
        assert window.stop == window.keep_stop
        assert window.stop - window.keep_start <= stride_frames
        assert window.start == max(window.stop - window_frames, 0)


@given(st.integers(0, 60), st.integers(1, 20))
def test_a_causal_stride_of_one_shows_no_frame_a_later_one(num_frames, window_frames):
    windows = plan_windows(num_frames, window_frames, 1, causal=True)
    assert [window.stop - 1 for window in windows] == list(range(num_frames))


@given(plans(), st.integers(1, 50), st.booleans())
def test_the_plan_of_a_longer_video_begins_with_the_same_windows(arguments, more, causal):
    num_frames, *rest = arguments
    shorter = plan_windows(num_frames, *rest, causal=causal)[:-1]
    assert plan_windows(num_frames + more, *rest, causal=causal)[: len(shorter)] == shorter


def test_a_stride_that_would_skip_frames_is_refused():
    with pytest.raises(ValueError, match=r"`stride_frames` must lie in 1\.\.window_frames=16\. Received: 17"):
        plan_windows(100, 16, 17)
    with pytest.raises(ValueError, match=r"must not be negative\. Received: -1"):
        plan_windows(-1, 16, 8)
