"""Tests of pipelines.data.listing.lists."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.data.listing.lists import (
    Line,
    frame_mask,
    match_keys,
    read_arrays,
    read_csv,
    read_lines,
    read_spans,
    refuse_twice,
)


def line(text="", number=3):
    return Line("list.txt", number, text)


def test_lines_keep_their_numbers(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone \r\n\r\n\t two  words\n".encode())
    lines = read_lines(tmp_path / "a.txt")
    assert [(line.number, line.text) for line in lines] == [(1, "one"), (3, "two  words")]
    assert lines[1].location == "line 3 of a.txt" and str(lines[1].error("no.")) == f"{tmp_path / 'a.txt'}, line 3: no."


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\n \n", r"a\.txt is empty"), (b"ok\n\xe9\n", r"a\.txt, line 2: not UTF-8 text\. Save the file as UTF-8")],
)
def test_a_list_that_holds_nothing_readable_is_told(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_lines(tmp_path / "a.txt")


def test_a_list_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"a\.txt cannot be read \(No such file"):
        read_lines(tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"a\.csv does not exist\. Create it with the columns file,label"):
        read_csv(tmp_path / "a.csv", ("file", "label"))


def test_a_table_is_read_by_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text("Label; FILE\n\n1;b c.mp4\n")
    (row,) = read_csv(tmp_path / "a.csv", ("file", "label"))
    assert (row.number, row.get("file"), row.get("label"), row.get("class")) == (3, "b c.mp4", "1", "")


@pytest.mark.parametrize(
    ("words", "first", "inclusive", "spans"),
    [
        ("165 240", 1, True, ((164, 240),)),  # MATLAB's 165:240
        ("0 1517", 0, False, ((0, 1517),)),
        ("1970 3038 0 1517", 0, False, ((0, 1517), (1970, 3038))),
        ("1 1", 1, True, ((0, 1),)),
    ],
)
def test_spans_count_from_0_and_exclude_their_end(words, first, inclusive, spans):
    assert read_spans(line(), words.split(), first, inclusive) == spans


@pytest.mark.parametrize(
    ("words", "first", "inclusive", "message"),
    [
        ("0 5", 1, True, r"list\.txt, line 3: an event must start at frame 1 or later.* Received: 0 to 5\. Correct"),
        ("5 5", 0, False, "end after its start. Received: 5 to 5"),
        ("7 9 5 3", 1, True, "Received: 5 to 3"),
        ("1 5 7", 0, False, r"first and last frame of each event.* Received: `1 5 7`\. Copy the file from the"),
        ("1 x", 0, False, "Received: `1 x`"),
        ("", 0, False, "Received: ``"),
    ],
)
def test_faulty_spans_are_told_by_line_and_remedy(words, first, inclusive, message):
    with pytest.raises(UserError, match=message):
        read_spans(line(), words.split(), first, inclusive)


def test_arrays_are_read_from_both_kinds_of_file(tmp_path):
    np.save(tmp_path / "a.npy", [0, 1])
    np.savez(tmp_path / "b.npz", x=[1], y=[0])
    assert read_arrays(tmp_path / "a.npy")["a"].tolist() == [0, 1]
    assert sorted(read_arrays(tmp_path / "b.npz")) == ["x", "y"]
    (tmp_path / "c.npz").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match=r"c\.npz cannot be read .* Write it again with numpy\.savez"):
        read_arrays(tmp_path / "c.npz")


def test_a_mask_is_one_0_or_1_a_frame():
    assert frame_mask(np.array([True, False]), "a.npy", "a").dtype == np.uint8
    for array in (np.zeros((2, 2)), np.array([0, 2])):
        with pytest.raises(UserError, match=r"a\.npy: `a` must hold one 0 or 1 per frame\. Received an array of shape"):
            frame_mask(array, "a.npy", "a")


def test_a_video_listed_twice_is_told_with_both_lines(tmp_path):
    first, second = Line(tmp_path / "train.txt", 2), Line(tmp_path / "test.txt", 9)
    refuse_twice([("a", first), ("b", second)])
    with pytest.raises(
        UserError, match=r"test\.txt, line 9: `a` is already in line 2 of train\.txt\. .* 1 more videos"
    ):
        refuse_twice([("a", first), ("a", second), ("b", first), ("b", second)])


@pytest.mark.parametrize("text", ["file,label\nyard, north.mp4,1\n", "file;label\nyard; north.mp4;1\n"])
def test_a_line_with_too_many_values_gets_a_hint_at_quotes(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    name = text.splitlines()[1][:-2]
    with pytest.raises(UserError, match=rf'line 2: 3 values for 2 columns\. A name .* needs quotes: `"{name}"`\.'):
        read_csv(tmp_path / "a.csv", ("file", "label"))


def test_empty_values_behind_the_last_column_are_no_mistake(tmp_path):
    (tmp_path / "a.csv").write_text('file,label\n"yard, north.mp4",1,,\n')
    (row,) = read_csv(tmp_path / "a.csv", ("file", "label"))
    assert row.get("file") == "yard, north.mp4" and not row.quotes_hint


def test_keys_are_paths_or_unique_names_with_or_without_suffix():
    names = ("a.mp4", "test/a.mp4", "test/b.x.avi", "test/c")
    videos = [SimpleNamespace(video_id=name.rsplit(".", 1)[0], path=f"/data/{name}") for name in names]
    keys = ["a", "test\\\\a.mp4", "b.x", "/data/test/c", "another"]
    assert match_keys("x.npz", keys, videos) == dict(zip(("a", "test/a", "test/b.x", "test/c"), keys, strict=False))
    with pytest.raises(UserError, match=r"x\.npz: keys `b\.x` and `test/b\.x\.avi` match the same file\. Keep one"):
        match_keys("x.npz", ["b.x", "test/b.x.avi"], videos)
    with pytest.raises(UserError, match=r"x\.npz: key `a` matches several files\. Use the path"):
        match_keys("x.npz", ["a"], [SimpleNamespace(video_id=f"{i}/a", path=f"{i}/a.mp4") for i in range(2)])
