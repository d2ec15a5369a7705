"""The list of cameras: read, checked, changed, and never shown with its passwords."""

import dataclasses

import pytest

from pipelines.config import UserError, load_config
from pipelines.live.cameras import (
    Camera,
    camera_of,
    change_camera,
    find_cameras,
    model_of,
    named_apart,
    read_cameras,
    without_credentials,
)
from tests.pipelines.live.sources import write_video

DOOR = """# cameras of the shop
[[cameras]]
name = "door"  # the front door
source = "rtsp://admin:secret@10.0.0.5/live"
threshold = 0.5

[[cameras]]
name = "yard"
source = "recordings"
zones = [[[0.1, 0.1], [0.5, 0.1], [0.5, 0.9]]]
transport = "udp"
enabled = false
"""


def written(tmp_path, text=DOOR):
    path = tmp_path / "cameras.toml"
    path.write_text(text)
    return path


def test_cameras_are_read_in_order_with_their_defaults(tmp_path):
    door, yard = read_cameras(written(tmp_path))
    assert door == Camera("door", "rtsp://admin:secret@10.0.0.5/live", threshold=0.5)
    assert yard.zones == (((0.1, 0.1), (0.5, 0.1), (0.5, 0.9)),)
    assert (yard.transport, yard.enabled, yard.notice_threshold) == ("udp", False, None)


def test_a_change_keeps_comments_and_every_other_line(tmp_path):
    path = written(tmp_path)
    change_camera(path, "door", threshold=0.75, zones=(((0, 0), (1, 0), (1, 1)),))
    text = path.read_text()
    assert "# cameras of the shop" in text and "# the front door" in text
    door, yard = read_cameras(path)
    assert (door.threshold, door.zones) == (0.75, (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)),))
    change_camera(path, "door", threshold=None, zones=None)
    assert read_cameras(path)[0].threshold is None and read_cameras(path)[1] == yard


def test_a_wrong_change_leaves_the_file_as_it_was(tmp_path):
    path = written(tmp_path)
    for name, values in (("door", {"threshold": 2.0}), ("gate", {"threshold": 0.5})):
        with pytest.raises(UserError, match=name):
            change_camera(path, name, **values)
    assert path.read_text() == DOOR


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ('name = "door"', 'name = "../door"', "camera 1 of .* needs a `name`"),
        ('name = "yard"', 'name = "Door"', "two cameras of .*name `(d|D)oor`"),
        ("threshold = 0.5", "threshold = 1.5", "`threshold` of camera `door` of .* between 0 and 1. Received: 1.5"),
        ("threshold = 0.5", "treshold = 0.5", "unknown key `treshold`. Known keys: .*threshold"),
        ("threshold = 0.5", "threshold = nan", "between 0 and 1"),
        ('"udp"', '"sctp"', "must be tcp or udp"),
        ("false", '"no"', "must be true or false"),
        ("[0.5, 0.9]", "[0.5, 9]", "`zones` of camera `yard`"),
        (", [0.5, 0.9]", "", "polygons of 3 points"),
        ('source = "recordings"', "", "camera `yard` of .* needs a `source`"),
        ("rtsp://admin", "ftp://admin", "ftp://10.0.0.5/live cannot be watched"),
        ("[[cameras]]", "[cameras", "is not valid TOML"),
        ("# cameras of the shop", "camera = 1", "unknown key `camera`"),
    ],
)
def test_an_error_names_the_camera_and_the_key(tmp_path, old, new, problem):
    with pytest.raises(UserError, match=problem) as error:
        read_cameras(written(tmp_path, DOOR.replace(old, new, 1)))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("text", ["", "cameras = 3", "cameras = [3]"])
def test_a_file_without_cameras_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"cameras"):
        read_cameras(written(tmp_path, text))
    with pytest.raises(UserError, match="cannot be read"):
        read_cameras(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "source",
    ["rtsp://u:p@h:554/s", "rtsp://u:p/secret@h:554/s", "rtsp://h:554/s?user=u&password=p", "rtsp://u:p@x@h:554/s#k"],
)
def test_an_address_is_shown_without_its_credentials(source):
    assert without_credentials(source) == "rtsp://h:554/s"


def test_a_source_on_the_command_line_gets_a_name(tmp_path):
    assert camera_of("videos/front door.mp4").name == "front_door"
    assert camera_of("rtsp://u:p@cam1:554/live/0").name == "cam1_554_live_0"
    assert camera_of("/dev/video0").kind == "device" and camera_of(str(tmp_path)).kind == "folder"
    assert [camera.name for camera in named_apart([camera_of("a/x.mp4"), camera_of("b/x.mp4")])] == ["x", "x_2"]
    with pytest.raises(UserError, match="cannot be watched"):
        camera_of("file:///etc/passwd")


@pytest.mark.parametrize(
    "settings, problem",
    [
        ({}, "nothing to watch: name a source"),
        ({"sources": ("none.mp4",)}, "none.mp4 does not exist"),
        ({"sources": ("a.mp4",), "cameras": "c.toml"}, "not both"),
        ({"cameras": "none.toml"}, "none.toml cannot be read"),
        ({"sources": ("ftp://u:secret@h/a",)}, "ftp://h/a cannot be watched"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_the_way_out(settings, problem):
    options = dataclasses.replace(load_config().watch, **settings)
    with pytest.raises(UserError, match=problem) as error:
        find_cameras(options)
    assert "secret" not in str(error.value)


def test_sources_and_files_of_cameras_give_the_same_cameras(tmp_path):
    video = write_video(tmp_path / "a.mp4", num_frames=2)
    (tmp_path / "c.toml").write_text(f'[[cameras]]\nname = "a"\nsource = "{video}"\n[[cameras]]\nname = "b"\n'
                                     'source = "rtsp://h/b"\nenabled = false\n')
    options = load_config().watch
    listed = find_cameras(dataclasses.replace(options, cameras=str(tmp_path / "c.toml")))
    assert listed == find_cameras(dataclasses.replace(options, sources=(str(video),)))


def test_the_model_of_a_camera_comes_before_that_of_the_command_and_of_the_run(tmp_path):
    config = load_config(overrides=[f"work_dir={tmp_path}", "score.model=chosen"])
    assert model_of(Camera("a", "a.mp4", model="own"), config) == "own"
    assert model_of(Camera("a", "a.mp4"), config) == "chosen"
    with pytest.raises(UserError, match="has exported no model"):
        model_of(Camera("a", "a.mp4"), load_config(overrides=[f"work_dir={tmp_path}"]))
