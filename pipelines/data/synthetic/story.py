"""Motion of the people: they walk, stop, meet and talk, and in some stories chase and fight.

A fight differs from the rest only by its motion: in every story the same two people meet, stand close and talk. A
ground point is ``(across, depth)``, both 0..1, with depth 1 nearest to the camera. Limb angles are radians from hanging
straight down, positive to the front.
"""

from dataclasses import dataclass, field, replace

import numpy as np

STROLL_SPEED = (0.07, 0.13)  # ground widths per second
RUN_SPEED = 0.5
TALKING_DISTANCE = 0.085
FIGHTING_DISTANCE = 0.1
EVENT_SHARE = (0.15, 0.35)  # of the duration


@dataclass
class Pose:
    """Position and posture of a person in one frame."""

    across: float
    depth: float
    facing: int  # 1 right, -1 left
    stride: float = 0.0  # swing of the legs
    phase: float = 0.0
    arms: tuple[float, float] = (0.05, -0.05)  # shoulder angles
    elbows: tuple[float, float] = (0.15, 0.15)
    lean: float = 0.0  # of the whole body, to the front
    kick: float = 0.0  # angle of the front leg
    fall: float = 0.0  # 0 upright .. 1 on the ground


@dataclass(frozen=True)
class Story:
    """Poses ``[frame][person]``, and the abnormal frames ``(start, end_exclusive)`` or None."""

    poses: list = field(repr=False)
    event: tuple[int, int] | None


def event_frames(rng, num_frames):
    """Sample the frames of the event: 15 to 35 % of the video, away from both ends."""
    length = max(2, round(num_frames * rng.uniform(*EVENT_SHARE)))
    margin = max(1, num_frames // 12)
    start = int(rng.integers(margin, max(margin + 1, num_frames - length - margin)))
    return start, min(start + length, num_frames)


def simulate(rng, num_people, num_frames, frames_per_sec, event, people_size=1.0):
    """Simulate a story.

    Args:
        rng: NumPy generator.
        num_people: Number of people, at least two.
        num_frames: Length of the story.
        frames_per_sec: Frame rate.
        event: Frames of the fight, or None for a story without one.
        people_size: Factor on the distance between people who talk or fight.
    """
    people = [_Person(rng, 1 / frames_per_sec) for _ in range(num_people)]
    first, second = people[:2]
    talk = _talk_frames(rng, num_frames, event)
    poses = []
    for frame in range(num_frames):
        for person in people[2:]:
            person.stroll()
        if event and event[0] <= frame < event[1]:
            _fight(first, second, (frame - event[0]) / (event[1] - event[0]), FIGHTING_DISTANCE * people_size)
        elif talk[0] <= frame < talk[1]:
            _talk(first, second, TALKING_DISTANCE * people_size)
        else:
            first.stroll()
            second.stroll()
        poses.append([replace(person.pose) for person in people])
    return Story(poses, event)


def _talk_frames(rng, num_frames, event):
    """Sample the frames of the calm meeting, in the longer part of the video without the event."""
    length = round(num_frames * rng.uniform(0.3, 0.5))
    low, high = 0, num_frames
    if event:
        low, high = (0, event[0]) if event[0] >= num_frames - event[1] else (event[1], num_frames)
    start = low + int(rng.integers(0, max(1, high - low - length)))
    return start, min(start + length, high)


class _Person:
    """One person, with a target, a speed and times to stand."""

    def __init__(self, rng, step_sec):
        self.rng, self.step_sec = rng, step_sec
        self.pose = Pose(rng.uniform(0.05, 0.95), rng.uniform(0.1, 1.0), int(rng.choice([-1, 1])))
        self.pose.phase = rng.uniform(0, 2 * np.pi)
        self.speed = rng.uniform(*STROLL_SPEED)
        self.target, self.standing_sec = self._somewhere(), 0.0
        self.jerk, self.jerk_sec = np.zeros(6), 0.0

    def _somewhere(self):
        return self.rng.uniform(0.02, 0.98), self.rng.uniform(0.1, 1.0)

    def stroll(self):
        """Walk to the target, sometimes stand there, then choose the next target."""
        if self.standing_sec > 0:
            self.standing_sec -= self.step_sec
            self.stand()
        elif self.go(self.target, self.speed):
            self.target = self._somewhere()
            self.standing_sec = self.rng.uniform(0.5, 2.5) if self.rng.random() < 0.6 else 0.0

    def go(self, target, speed):
        """Take one step towards a ground point; return True on arrival."""
        pose = self.pose
        way = np.subtract(target, (pose.across, pose.depth)) * (1.0, 0.5)  # depth looks shorter than width
        distance, step = float(np.hypot(*way)), speed * self.step_sec
        if distance <= step:
            self.stand()
            return True
        pose.across += way[0] / distance * step
        pose.depth = float(np.clip(pose.depth + way[1] / distance * step * 2, 0.0, 1.0))
        if abs(way[0]) > 0.01:
            pose.facing = 1 if way[0] > 0 else -1
        running = speed > 2 * STROLL_SPEED[1]
        pose.phase += 2 * np.pi * self.step_sec * (1.9 if running else 0.5 + 4 * speed)
        pose.stride = 0.8 if running else 0.42
        swing = np.sin(pose.phase) * pose.stride * 0.8
        pose.arms, pose.elbows = (-swing, swing), (1.2, 1.2) if running else (0.25, 0.25)
        pose.lean, pose.kick, pose.fall = 0.2 if running else 0.03, 0.0, max(0.0, pose.fall - 3 * self.step_sec)
        return False

    def stand(self, gesture=0.0):
        """Stand with a slight sway; ``gesture`` lifts the arms, as in a conversation."""
        pose = self.pose
        pose.phase += 2 * np.pi * 0.35 * self.step_sec
        sway = np.sin(pose.phase)
        pose.stride, pose.kick, pose.lean, pose.fall = 0.06, 0.0, 0.02 * sway, max(0.0, pose.fall - 3 * self.step_sec)
        pose.arms = (0.08 + gesture * (0.6 + 0.4 * sway), -0.05 + gesture * 0.3)
        pose.elbows = (0.2 + gesture * 1.2, 0.2 + gesture * 0.5)

    def struggle(self, strength=1.0):
        """Move the limbs jerkily: new random angles every 0.08 to 0.25 seconds."""
        self.jerk_sec -= self.step_sec
        if self.jerk_sec <= 0:
            self.jerk_sec = self.rng.uniform(0.08, 0.25)
            self.jerk = self.rng.uniform(-1, 1, 6)
        pose, jerk = self.pose, self.jerk
        pose.arms = (1.3 + 0.9 * strength * jerk[0], 0.9 + 1.3 * strength * jerk[1])
        pose.elbows = (0.5 + 0.5 * jerk[2], 0.5 - 0.5 * jerk[2])
        pose.lean = 0.15 + 0.3 * strength * jerk[3]
        pose.kick = 1.2 * strength * max(0.0, jerk[4] - 0.2)
        pose.stride, pose.phase = 0.4, pose.phase + 2.5 * jerk[5]


def _talk(first, second, distance):
    """Approach each other, then talk in turns with calm gestures."""
    if _approach(first, second, distance, max(first.speed, second.speed)):
        turn = np.sin(first.pose.phase * 0.9) > 0
        first.stand(gesture=0.9 if turn else 0.1)
        second.stand(gesture=0.1 if turn else 0.9)


def _fight(attacker, victim, progress, distance):
    """Chase until 0.3 of the event, then hit; from 0.6 the victim falls and is kicked, at the end it gets up."""
    if progress < 0.3 and not _chase(attacker, victim, distance):
        return
    attacker.struggle()
    victim.struggle(0.7)
    side = 1 if victim.pose.across >= attacker.pose.across else -1
    attacker.pose.facing, victim.pose.facing = side, -side
    shove = 0.02 * attacker.jerk[5]
    victim.pose.across = float(np.clip(victim.pose.across + shove, 0.1, 0.9))
    _pull_together(attacker, victim, side * distance * (1 + 0.5 * attacker.jerk[0]))
    if progress > 0.6:
        change = 4 * victim.step_sec * (1 if progress < 0.9 else -1)
        victim.pose.fall = float(np.clip(victim.pose.fall + change, 0, 1))
        attacker.pose.kick = max(attacker.pose.kick, 0.5)


def _chase(attacker, victim, reach):
    """Let the attacker run after the slower victim; return True when they have met."""
    distance = victim.pose.across - attacker.pose.across
    if abs(distance) < reach and abs(victim.pose.depth - attacker.pose.depth) < 0.1:
        return True
    away = np.clip(victim.pose.across + np.sign(distance or 1) * 0.3, 0.05, 0.95)
    victim.go((away, victim.pose.depth), RUN_SPEED * 0.55)
    attacker.go((victim.pose.across, victim.pose.depth), RUN_SPEED * 1.5)
    return False


def _pull_together(attacker, victim, reach):
    """Move the attacker to ``reach`` left of the victim, at most one fast step."""
    step = 1.2 * attacker.step_sec
    pose = attacker.pose
    pose.across += float(np.clip(victim.pose.across - reach - pose.across, -step, step))
    pose.depth += float(np.clip(victim.pose.depth - 0.02 - pose.depth, -2 * step, 2 * step))


def _approach(first, second, distance, speed):
    """Let both walk to the middle between them; return True when they stand ``distance`` apart, face to face."""
    middle = (first.pose.across + second.pose.across) / 2, (first.pose.depth + second.pose.depth) / 2
    side = 1 if first.pose.across <= second.pose.across else -1
    middle_across = float(np.clip(middle[0], 0.1, 0.9))
    there = first.go((middle_across - side * distance / 2, middle[1]), speed)
    there &= second.go((middle_across + side * distance / 2, middle[1]), speed)
    if there:
        first.pose.facing, second.pose.facing = side, -side
    return there
