"""A batch equals its videos one by one."""

import pytest
from cases import choices
from harness import assert_equal_numbers, make, outputs, to_numpy


@pytest.mark.parametrize("case", choices("singles"), ids=str)
def test_a_batch_equals_its_videos_one_by_one(case):
    thing = make(case)
    batch = to_numpy(outputs(case, thing))
    batch.pop("loss", None)  # of the whole batch
    for video in range(3):
        alone = to_numpy(outputs(case, thing, {name: x[video : video + 1] for name, x in case.inputs.items()}))
        alone.pop("loss", None)
        assert_equal_numbers(alone, {name: value[video : video + 1] for name, value in batch.items()})
