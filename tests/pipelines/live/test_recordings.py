"""A folder that recordings are dropped into."""

import os

from pipelines.live.recordings import Recordings, ScoredFiles, identity_of


def drop(folder, name, content=b"x", mtime=1000):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (mtime, mtime))
    return path


def test_a_file_is_taken_when_it_has_stopped_growing(tmp_path):
    path, recordings = drop(tmp_path, "a.mp4"), Recordings(tmp_path)
    assert recordings.next(now=0.0) is None and recordings.next(now=2.0) is None
    path.write_bytes(b"longer")
    assert recordings.next(now=4.0) is None and recordings.next(now=6.0) is None
    assert recordings.next(now=7.0)[0] == path
    assert recordings.next(now=99.0) is None


def test_the_oldest_comes_first_and_what_is_no_video_is_left_alone(tmp_path):
    for name, mtime in (("b.mp4", 2000), ("a.mp4", 3000), ("day/c.avi", 1000), ("notes.txt", 1), (".d.mp4", 1)):
        drop(tmp_path, name, mtime=mtime)
    recordings = Recordings(tmp_path)
    recordings.next(0.0)
    assert [recordings.next(9.0)[0].name for _ in range(3)] == ["c.avi", "b.mp4", "a.mp4"]
    assert recordings.next(9.0) is None


def test_a_scored_file_is_not_taken_again_and_a_replaced_one_is(tmp_path):
    folder, state = tmp_path / "drop", tmp_path / "state" / "door.json"
    path = drop(folder, "a|b.mp4")
    scored = ScoredFiles(state, folder)
    scored.add(identity_of(path, folder))
    again = Recordings(folder, ScoredFiles(state, folder).identities)
    assert again.next(0.0) is None and again.next(9.0) is None
    drop(folder, "a|b.mp4", b"new", mtime=1001)
    again.next(10.0)
    assert again.next(20.0)[0] == path


def test_files_that_are_gone_are_forgotten_and_a_damaged_state_is_empty(tmp_path):
    folder, state = tmp_path / "drop", tmp_path / "door.json"
    first, second = drop(folder, "a.mp4"), drop(folder, "b.mp4")
    scored = ScoredFiles(state, folder)
    scored.add(identity_of(first, folder))
    first.unlink()
    scored.add(identity_of(second, folder))
    assert ScoredFiles(state, folder).identities == [identity_of(second, folder)]
    state.write_text("{")
    assert ScoredFiles(state, folder).identities == []
