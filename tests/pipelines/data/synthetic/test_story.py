import numpy as np

from pipelines.data.synthetic.story import event_frames, simulate


def story(event, seed=0, num_frames=120):
    return simulate(np.random.default_rng(seed), 4, num_frames, 10.0, event)


def fastest_change(poses, frames, person):
    """Largest change of an arm between two frames, and the largest step on the ground."""
    arms = np.array([poses[frame][person].arms for frame in frames])
    ground = np.array([(poses[frame][person].across, poses[frame][person].depth) for frame in frames])
    return np.abs(np.diff(arms, axis=0)).max(), np.abs(np.diff(ground, axis=0)).max()


def test_the_event_lies_inside_the_video_and_takes_its_share():
    for seed in range(200):
        start, end = event_frames(np.random.default_rng(seed), 100)
        assert 0 < start < end < 100 and 15 <= end - start <= 35


def test_people_stay_in_sight_and_walk_without_jumps():
    for seed in range(10):
        poses = story((40, 70), seed).poses
        for person in range(4):
            assert all(-0.05 < frame[person].across < 1.05 and -0.05 <= frame[person].depth <= 1.0 for frame in poses)
            assert fastest_change(poses, range(120), person)[1] < 0.26


def test_two_people_meet_calmly_in_every_story():
    for event in (None, (40, 70)):
        for seed in range(10):
            calm = [frame for i, frame in enumerate(story(event, seed).poses) if event is None or not 35 <= i < 75]
            gaps = [abs(a.across - b.across) + abs(a.depth - b.depth) for a, b, *_ in calm]
            assert min(gaps) < 0.25


def test_only_the_event_moves_limbs_in_jerks_and_ends_on_the_ground():
    poses = story((40, 75)).poses
    assert fastest_change(poses, range(52, 75), 0)[0] > 3 * fastest_change(poses, range(40), 0)[0]
    assert max(frame[1].fall for frame in poses[40:75]) == 1
    assert all(person.fall == 0 for frame in poses[:40] for person in frame)
    assert poses[-1][1].fall == 0


def test_the_same_seed_tells_the_same_story():
    assert story((40, 70)).poses == story((40, 70)).poses
    assert story((40, 70)).poses != story((40, 70), seed=1).poses
