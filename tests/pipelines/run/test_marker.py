"""Tests of pipelines.run.marker."""

from pipelines.run.marker import is_marked, mark


def test_a_marker_stands_for_its_settings_alone(tmp_path):
    path = tmp_path / "state" / "finished"
    assert not is_marked(path, "a")
    mark(path, "a")
    assert is_marked(path, "a") and not is_marked(path, "b")


def test_a_damaged_marker_counts_as_absent(tmp_path):
    path = tmp_path / "finished"
    path.write_bytes(b"\xff\xfe")
    assert not is_marked(path, "a")
    assert not is_marked(tmp_path, "a")
