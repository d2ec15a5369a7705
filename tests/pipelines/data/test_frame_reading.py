"""Tests of pipelines.data.frame_reading."""

import dataclasses

import numpy as np
import pytest

from pipelines.data.encode import Failed
from pipelines.data.frame_reading import FrameRequest, read_frames
from pipelines.data.video import VideoReader


@pytest.fixture
def request_of(make_video, tmp_path):
    return FrameRequest(make_video(tmp_path / "a.mp4", 11), 5.0, 32, False, 2)


def test_the_frames_and_facts_are_those_of_the_reader(request_of):
    reader, seen = VideoReader(request_of.path, 5.0, 32), []
    expected = list(reader)
    *snippets, facts = read_frames(request_of, None, lambda: seen.append(1))
    assert [len(snippet.mask) for snippet in snippets] == [2] * len(snippets) and len(seen) == len(expected)
    found = np.concatenate([snippet.frame_indices[snippet.mask] for snippet in snippets])
    assert found.tolist() == [frame.frame_index for frame in expected]
    np.testing.assert_array_equal(snippets[0].frames[1], expected[1].rgb)
    assert facts[:4] == (reader.fps, reader.width, reader.height, 11)
    np.testing.assert_array_equal(facts.times_sec, reader.frame_times_sec)


def test_wanted_frames_alone_are_returned_and_the_rest_is_not_read(request_of):
    indices = [frame.frame_index for frame in VideoReader(request_of.path, 5.0, 32)]
    *snippets, facts = read_frames(dataclasses.replace(request_of, wanted=frozenset(indices[1:3]), clip_frames=1), None)
    assert [snippet.frame_indices.tolist() for snippet in snippets] == [indices[1:2], indices[2:3]]
    assert facts.num_frames == indices[2] + 1


def test_a_file_that_is_no_video_fails_with_its_reason(tmp_path, request_of):
    (tmp_path / "a.avi").write_bytes(b"no video at all" * 50)
    (result,) = read_frames(dataclasses.replace(request_of, path=tmp_path / "a.avi"), None)
    assert isinstance(result, Failed) and result.reason.startswith("not a video")
