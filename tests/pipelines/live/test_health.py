"""The health of a camera, judged by its pictures."""

import copy
import glob

import numpy as np
import pytest

from pipelines.data.pixels import grey_picture
from pipelines.data.video import VideoReader
from pipelines.live import HEALTH
from pipelines.live.health import FROZEN_SEC, REASONS, HealthMonitor
from tests.pipelines.live.sources import write_video

FPS = 4


def scene(seed=0):
    """A view with structure of several sizes."""
    rng = np.random.default_rng(seed)
    coarse, fine = rng.integers(30, 200, (15, 20)), rng.integers(-20, 20, (60, 80))
    return coarse.repeat(8, axis=0).repeat(8, axis=1) + fine.repeat(2, axis=0).repeat(2, axis=1)


def noisy(view, rng):
    return np.clip(view + rng.normal(0, 3, view.shape), 0, 255).astype(np.uint8)


def states(pictures, monitor=None, start=0.0):
    """Return the health after each picture."""
    monitor = monitor or HealthMonitor()
    return [monitor.update(start + number / FPS, picture) for number, picture in enumerate(pictures)]


@pytest.fixture(scope="module")
def usual():
    """The last 30 of 90 s of a well camera, and the monitor that saw them."""
    rng, monitor = np.random.default_rng(1), HealthMonitor()
    pictures = [noisy(scene(), rng) for _ in range(90 * FPS)]
    assert {health.state for health in states(pictures, monitor)} == {"ok"}
    return pictures[-30 * FPS :], monitor


def after_usual(usual, pictures):
    return states(pictures, copy.deepcopy(usual[1]), start=90.0)


def test_every_state_has_a_reason():
    assert tuple(REASONS) == HEALTH


@pytest.mark.parametrize("level, state", [(0, "black"), (16, "black"), (255, "white"), (90, "black"), (180, "white")])
def test_pictures_without_content_are_a_state_after_two_seconds_and_unusable_at_once(usual, level, state):
    flat = [np.full((120, 160), level, np.uint8)] * (4 * FPS)
    found = after_usual(usual, flat)
    assert not any(health.usable for health in found)
    assert [health.state for health in found[:8]] == ["ok"] * 8 and found[8].state == state


def test_one_black_frame_is_left_out_and_is_no_state(usual):
    found = after_usual(usual, [np.zeros((120, 160), np.uint8), *usual[0][:20]])
    assert [health.usable for health in found] == [False] + [True] * 20
    assert {health.state for health in found} == {"ok"}


def test_a_camera_is_well_again_two_seconds_after_its_last_bad_picture(usual):
    found = after_usual(usual, [np.zeros((120, 160), np.uint8)] * 12 + usual[0][:12])
    assert [health.state for health in found[12:]] == ["black"] * 8 + ["ok"] * 4
    assert [health.usable for health in found[12:]] == [False] * 8 + [True] * 4


def test_the_same_picture_for_long_is_frozen_and_a_still_scene_with_noise_is_not(usual):
    found = [health.state for health in after_usual(usual, [usual[0][-1]] * int(1.5 * FROZEN_SEC * FPS))]
    assert found[: 20 * FPS] == ["ok"] * 20 * FPS and found[-1] == "frozen"


def test_a_frozen_camera_behind_an_encoder_is_frozen_still(tmp_path):
    view = np.repeat(noisy(scene(), np.random.default_rng(2))[:, :, None], 3, axis=2)
    path = write_video(tmp_path / "still.mp4", fps=FPS, size=(160, 120), pictures=[view] * int(1.5 * FROZEN_SEC * FPS))
    reader, monitor = VideoReader(path, size_px=16), HealthMonitor()
    found = [monitor.update(time_sec, grey_picture(reader.decoded[0])).state for _, time_sec, _ in reader]
    assert found[-1] == "frozen"


def test_a_blurred_picture_and_another_view_are_states(usual):
    rng = np.random.default_rng(3)
    coarse = scene().reshape(15, 8, 20, 8).mean(axis=(1, 3)).repeat(8, axis=0).repeat(8, axis=1)
    smooth = sum(np.roll(coarse, (dy, dx), axis=(0, 1)) for dy in range(-6, 7, 2) for dx in range(-6, 7, 2)) / 49
    blurred = [np.clip(smooth + rng.normal(0, 1.2, smooth.shape), 0, 255).astype(np.uint8) for _ in range(15 * FPS)]
    assert after_usual(usual, blurred)[-1].state == "blurred"
    other = [noisy(scene(seed=9), rng) for _ in range(160 * FPS)]
    found = [health.state for health in after_usual(usual, other)]
    assert found[5] == "ok" and found[30 * FPS] == "moved" and found[-1] == "ok"  # it is the usual view now


def test_brighter_light_and_people_in_the_picture_are_no_state(usual):
    rng = np.random.default_rng(4)
    brighter = [noisy(scene() * 0.6 + 60, rng) for _ in range(30 * FPS)]
    with_people = [picture.copy() for picture in usual[0]]
    for number, picture in enumerate(with_people):
        picture[40:110, number % 100 : number % 100 + 40] = 20
    assert {health.state for health in after_usual(usual, brighter + with_people)} == {"ok"}


def test_real_normal_videos_raise_no_notice(shared_data):
    paths = sorted(glob.glob(f"{shared_data}/videos/ucsd_ped2/train/*.mp4"))[:3]
    if not paths:
        pytest.skip("UCSD Ped2 is not in the real data")
    for path in paths:
        reader, monitor = VideoReader(path, FPS, size_px=16), HealthMonitor()
        for _, time_sec, _ in reader:
            assert monitor.update(time_sec, grey_picture(reader.decoded[0])).state == "ok"
