import math

import pytest

from pipelines.live.quiet import QuietClips

CLIP = b"clip"


def write(quiet, camera, start, end):
    path = quiet.path(camera, start, end)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CLIP)


def test_a_clip_is_due_once_per_period_and_after_a_whole_quiet_stretch(tmp_path):
    quiet = QuietClips(tmp_path, every_sec=100, length_sec=20)
    assert quiet.due("door", now=-math.inf, quiet_since=None) is None
    assert quiet.due("door", now=1000.0, quiet_since=981.0) is None
    assert quiet.due("door", now=1001.5, quiet_since=981.0) == (981, 1001)
    assert quiet.due("door", now=1100.9, quiet_since=981.0) is None
    assert quiet.due("yard", now=1100.9, quiet_since=981.0) == (1080, 1100)
    assert quiet.due("door", now=1101.0, quiet_since=981.0) == (1081, 1101)


def test_after_a_restart_the_period_goes_on(tmp_path):
    write(QuietClips(tmp_path), "door", 1000, 1020)
    again = QuietClips(tmp_path, every_sec=100, length_sec=20)
    assert again.due("door", now=1119.0, quiet_since=0.0) is None
    assert again.due("door", now=1120.0, quiet_since=0.0) == (1100, 1120)


def test_clips_come_in_order_and_the_oldest_go(tmp_path):
    quiet = QuietClips(tmp_path, keep=2)
    for camera, start in (("yard", 300), ("door", 400), ("door", 100), ("door", 200)):
        write(quiet, camera, start, start + 20)
    (tmp_path / "quiet" / "door" / ".tmp-1-2.mp4").write_bytes(CLIP)
    (tmp_path / "quiet" / "door" / "500-520.mp4").write_bytes(b"")
    found = [(clip.camera, clip.start) for clip in quiet.clips()]
    assert found == [("door", 100), ("door", 200), ("yard", 300), ("door", 400)]
    (tmp_path / "quiet" / "door" / "500-520.mp4").unlink()
    quiet.trim("door")
    assert [clip.start for clip in quiet.clips("door")] == [200, 400] and len(quiet.clips("yard")) == 1


def test_no_name_leads_out_of_the_folder(tmp_path):
    with pytest.raises(ValueError, match="letters, digits"):
        QuietClips(tmp_path).path("../door", 1, 2)
