import numpy as np
import pytest

from pipelines.data.synthetic import scene as synthetic_scene
from pipelines.data.synthetic.scene import Camera, ground_to_picture, random_look
from pipelines.data.synthetic.story import Pose


def look():
    return random_look(np.random.default_rng(5))


@pytest.mark.parametrize("kind", synthetic_scene.BACKGROUNDS)
def test_every_background_has_texture_and_stays_the_same(monkeypatch, kind):
    monkeypatch.setattr(synthetic_scene, "BACKGROUNDS", (kind,))
    camera = Camera(np.random.default_rng(0), 160, 120)
    first, second = (camera.shoot([], [], 0.0).astype(int) for _ in range(2))
    assert first.shape == (120, 160, 3) and first.std() > 8
    noise = (first - second).std()
    assert 2 < noise < 6  # two pictures differ by the sensor's noise alone


def test_a_person_stands_where_the_ground_says(monkeypatch):
    monkeypatch.setattr(synthetic_scene, "NOISE_LEVEL", 0.0)
    camera = Camera(np.random.default_rng(0), 160, 120)
    pose = Pose(across=0.3, depth=0.5, facing=1)
    changed = np.abs(camera.shoot([pose], [look()], 0.0).astype(int) - camera.shoot([], [], 0.0)).max(-1) > 12
    rows, columns = np.nonzero(changed)
    x, y, height = ground_to_picture(pose, (160, 120))
    assert abs(np.median(columns) - x) < 4
    assert abs(rows.max() - y) < 4 and abs(rows.max() - rows.min() - height) < 0.2 * height


def test_the_nearer_person_is_larger_and_drawn_in_front():
    near, far = Pose(0.5, 1.0, 1), Pose(0.5, 0.2, 1)
    assert ground_to_picture(near, (160, 120))[2] > 1.5 * ground_to_picture(far, (160, 120))[2]
    looks = [look(), random_look(np.random.default_rng(6))]
    pictures = [
        Camera(np.random.default_rng(0), 160, 120).shoot(poses, order, 0.0)
        for poses, order in (([near, far], looks), ([far, near], looks[::-1]))
    ]
    np.testing.assert_array_equal(*pictures)


def test_a_silhouette_is_where_the_picture_shows_the_person_and_draws_no_random_number(monkeypatch):
    monkeypatch.setattr(synthetic_scene, "NOISE_LEVEL", 0.0)
    camera = Camera(np.random.default_rng(0), 160, 120)
    pose = Pose(across=0.3, depth=0.5, facing=1)
    state = camera.rng.bit_generator.state
    mask = camera.silhouette([pose], [look()])
    assert mask.shape == (120, 160) and mask.dtype == bool and camera.rng.bit_generator.state == state
    changed = np.abs(camera.shoot([pose], [look()], 0.0).astype(int) - camera.shoot([], [], 0.0)).max(-1) > 12
    assert (mask & changed).sum() > 0.7 * mask.sum() and mask.sum() > 0.6 * changed.sum()
    assert not camera.silhouette([], []).any()


def test_the_light_drifts_slowly():
    camera = Camera(np.random.default_rng(0), 80, 60)
    means = np.array([camera.shoot([], [], time).mean() for time in np.arange(0, 40, 0.5)])
    assert means.max() / means.min() > 1.02 and np.abs(np.diff(means)).max() < 1.5
