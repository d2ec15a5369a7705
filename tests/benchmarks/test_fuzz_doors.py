"""Tests of benchmarks.fuzz_doors: what fuzzing found, and small files that reach much of the readers, once more."""

from pathlib import Path

import pytest

from benchmarks import fuzz_doors

CORPUS = Path(__file__).parent / "corpus"
DOORS = ("labels", "intervals", "frame_labels", "toml", "features", "manifest", "video")


@pytest.mark.parametrize("name", DOORS)
def test_a_file_is_used_or_refused_with_a_documented_error(name, tmp_path):
    door = getattr(fuzz_doors, name)(tmp_path)
    paths = sorted((CORPUS / name).iterdir())
    assert len(paths) >= 3 and all(path.stat().st_size <= 2048 for path in paths)
    for path in paths:
        door(path.read_bytes())


@pytest.mark.parametrize("name", DOORS[:-1])
def test_a_door_uses_what_it_starts_from(name, tmp_path):
    door = getattr(fuzz_doors, name)(tmp_path)
    assert all(map(door, fuzz_doors.seeds_of(name)))


def test_a_door_fails_where_a_value_cannot_be_true(tmp_path, monkeypatch):
    door = fuzz_doors.intervals(tmp_path)
    monkeypatch.setattr("pipelines.data.listing.dataset.ListedVideo.frame_intervals", lambda *_: (((9, 3),), ""))
    with pytest.raises(AssertionError):
        door(fuzz_doors.INTERVALS)
