"""Padding changes no real frame, neither by what stands in it nor by being there."""

import numpy as np
import pytest
from cases import choices
from harness import along_frames, assert_equal_numbers, make, outputs, to_numpy


def of_real_frames(found, mask):
    return {name: value[mask] if value.shape[:2] == mask.shape else value for name, value in found.items()}


@pytest.mark.parametrize("case", choices("padding"), ids=str)
def test_what_stands_in_padding_changes_no_real_frame(case):
    mask = case.inputs["mask"]

    def garbage(array, axis):
        shape = [len(mask) if place == 0 else mask.shape[1] if place == axis else 1 for place in range(array.ndim)]
        return np.where(mask.reshape(shape), array, np.float32(1000.0))

    thing = make(case)
    others = {name: value for name, value in case.inputs.items() if name != "mask"}
    found = to_numpy(outputs(case, thing, case.inputs | along_frames(others, mask.shape[1], garbage)))
    expected = to_numpy(outputs(case, thing))
    assert_equal_numbers(of_real_frames(found, mask), of_real_frames(expected, mask))


@pytest.mark.parametrize("case", choices("cut"), ids=str)
def test_a_padded_video_equals_the_video_cut_to_its_length(case):
    num_frames = case.inputs["mask"].shape[1]
    thing = make(case)
    padded = to_numpy(outputs(case, thing))
    padded.pop("loss", None)  # of the whole batch
    for video, length in enumerate(case.inputs["mask"].sum(axis=1)):

        def of_video(values, video=video, length=length):
            values = {name: value[video : video + 1] for name, value in values.items()}
            return along_frames(values, num_frames, lambda array, axis: array.take(range(length), axis))

        alone = to_numpy(outputs(case, thing, of_video(case.inputs)))
        alone.pop("loss", None)
        assert_equal_numbers(alone, of_video(padded))
