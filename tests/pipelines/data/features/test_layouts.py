import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import UserError, choices
from pipelines.data.features.layouts import (
    AUTO,
    AXES,
    choose_layout,
    common_width,
    node_shape,
    possible_layouts,
    row_frames,
    to_nodes,
    width_error,
)
from pipelines.data.snippets import expand_to_frames


@pytest.mark.parametrize(
    ("shapes", "layouts"),
    [
        ([(75, 2048)], {"time_feature"}),
        ([(32, 4096)], {"time_feature", "segments"}),
        ([(75, 512)] * 10, {"time_feature"}),
        ([(75, 10, 2048)], {"time_crop_feature"}),
        ([(5, 75, 1024)], {"crop_time_feature"}),
        ([(10, 10, 2048)], {"time_crop_feature", "crop_time_feature"}),
        ([(75, 14, 2048)], set()),
        ([(2048,)], set()),
        ([(75, 10, 2048)] * 10, set()),
    ],
)
def test_a_shape_tells_what_its_axes_may_be(shapes, layouts):
    assert possible_layouts(shapes) == layouts


@pytest.mark.parametrize(
    ("shapes", "layout"),
    [
        ([(75, 8), (32, 8), (9, 8)], "time_feature"),
        ([(32, 8), (32, 8)], "segments"),
        ([(75, 10, 8), (10, 10, 8)], "time_crop_feature"),
        ([(10, 75, 8), (10, 10, 8), (10, 3, 8)], "crop_time_feature"),
        ([(75, 10, 8), (4, 4, 4, 4), (75, 10, 8)], "time_crop_feature"),
    ],
)
def test_the_layout_is_that_which_most_videos_allow(shapes, layout):
    assert choose_layout({f"{i}.npy": [shape] for i, shape in enumerate(shapes)}) == layout


@pytest.mark.parametrize("shapes", [[(10, 10, 8)], [(10, 10, 8), (5, 5, 8)], [(9, 14, 8)], [(9, 10, 8), (10, 9, 8)]])
def test_axes_that_are_not_clear_ask_for_the_setting(shapes):
    with pytest.raises(UserError, match=r"the axes of 0\.npy \(.*Set `features\.layout` to .*`crop_time_feature`"):
        choose_layout({f"{i}.npy": [shape] for i, shape in enumerate(shapes)})


def test_every_layout_can_be_set():
    assert choices("features.layout") == (AUTO, *AXES)


VALUES = np.arange(12).reshape(2, 3, 2)  # two time steps of three crops of width 2


@pytest.mark.parametrize(
    ("arrays", "layout"),
    [
        ([VALUES], "time_crop_feature"),
        ([VALUES.transpose(1, 0, 2)], "crop_time_feature"),
        ([VALUES[:, crop] for crop in range(3)], "time_feature"),
        ([VALUES[:, crop] for crop in range(3)], "segments"),
    ],
)
def test_every_layout_gives_the_same_nodes(arrays, layout):
    nodes = to_nodes(arrays, layout)
    assert node_shape([array.shape for array in arrays], layout) == nodes.shape == (2, 3, 2)
    assert nodes[0].tolist() == [[0, 1], [2, 3], [4, 5]] and nodes[1, 2].tolist() == [10, 11]


def test_one_vector_a_step_is_one_patch():
    assert to_nodes([np.ones((7, 4))], "time_feature").shape == (7, 1, 4)


@pytest.mark.parametrize(
    ("shapes", "layout"),
    [([(7, 4)], "time_crop_feature"), ([(7, 10, 4)], "segments"), ([(7, 10, 4)] * 2, "time_crop_feature")],
)
def test_a_shape_that_does_not_fit_the_layout_is_told(shapes, layout):
    with pytest.raises(ValueError, match=rf"has shape \(7.*layout `{layout}` is \(.*set `features\.layout`"):
        node_shape(shapes, layout)


def test_the_width_of_most_videos_is_the_common_one():
    assert common_width({"a": (1, 8), "b": (1, 4), "c": (1, 8)}) == (1, 8)
    assert width_error((10, 4), (1, 8)).startswith("has 10 × 4 (crops × width), but the other videos have width 8.")
    with pytest.raises(UserError, match=r"several kinds: width 8 in a, width 4 in b\. None is .*Set `features\.root`"):
        common_width({"a": (1, 8), "b": (1, 4)})


@pytest.mark.parametrize(
    ("num_rows", "layout", "num_frames", "frames", "length", "warning"),
    [
        (3, "time_feature", None, [0, 16, 32], 48, ""),
        (3, "time_feature", 60, [0, 16, 32], 60, ""),
        (3, "time_feature", 80, [0, 16, 32], 80, "the last row also covers the 32 frames after it"),
        (3, "crop_time_feature", 30, [0, 16], 30, "1 rows start after the end at frame 30 and were dropped"),
        (4, "segments", 10, [0, 2, 5, 7], 10, ""),
        (4, "segments", None, [0, 16, 32, 48], 64, "its length is unknown and assumed to be 64 frames"),
    ],
)
def test_a_row_begins_at_a_frame(num_rows, layout, num_frames, frames, length, warning):
    got = row_frames(num_rows, layout, num_frames, 16)
    assert (got[0].tolist(), *got[1:]) == (frames, length, warning)


@given(st.integers(1, 400), st.sampled_from(sorted(AXES)), st.integers(1, 8000) | st.none(), st.integers(1, 64))
def test_scores_of_rows_spread_over_every_frame_or_the_rows_are_refused(num_rows, layout, num_frames, step):
    try:
        frames, length, _ = row_frames(num_rows, layout, num_frames, step)
    except ValueError:
        assert num_frames is not None
        return
    spread = expand_to_frames(np.arange(len(frames)), frames, length)
    assert len(spread) == (num_frames or num_rows * step) and spread[frames].tolist() == list(range(len(frames)))


def test_rows_and_length_that_do_not_belong_together_are_told():
    message = r"32 rows, which cover 512 frames at 16 per row, but the video has 5000\. Correct .*`segments`"
    with pytest.raises(ValueError, match=message):
        row_frames(32, "time_feature", 5000, 16)
    with pytest.raises(ValueError, match="has 32 segments for 31 frames"):
        row_frames(32, "segments", 31, 16)
