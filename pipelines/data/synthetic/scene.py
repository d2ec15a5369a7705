"""Pictures of a simulated surveillance camera: background, people, changing light and sensor noise."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLING = 2
BACKGROUNDS = ("street", "yard", "corridor", "car_park")
SKIN = ((224, 186, 156), (198, 152, 118), (150, 106, 78), (104, 72, 54))
HAIR = ((34, 28, 26), (70, 50, 36), (128, 98, 62), (150, 146, 142))
WHITE = (255, 255, 255)
COVERED = 100  # grey level above which a pixel of a white silhouette counts as covered; far limbs are a darker grey
NOISE_LEVEL = 2.5  # standard deviation of the sensor noise, in grey levels


@dataclass(frozen=True)
class Look:
    """Appearance of a person."""

    skin: tuple
    hair: tuple
    top: tuple
    trousers: tuple
    height: float  # factor on the size at the depth of the person
    build: float  # factor on the widths


def random_look(rng):
    """Sample an appearance; everybody has the same distribution of colours."""
    return Look(
        SKIN[rng.integers(len(SKIN))],
        HAIR[rng.integers(len(HAIR))],
        _cloth(rng, 30, 215),
        _cloth(rng, 25, 120),
        rng.uniform(0.9, 1.1),
        rng.uniform(0.85, 1.2),
    )


def _cloth(rng, low, high):
    """Sample a muted colour."""
    colour = rng.integers(low, high, 3)
    return tuple(int(value) for value in 0.55 * colour + 0.45 * colour.mean())


class Camera:
    """A fixed camera in front of one background.

    Args:
        rng: NumPy generator; decides the background, its colours and the light.
        width_px, height_px: Size of the picture.
        people_size: Factor on the size of the people; a large factor simulates a close camera.
    """

    def __init__(self, rng, width_px, height_px, people_size=1.0):
        self.rng, self.width_px, self.height_px, self.people_size = rng, width_px, height_px, people_size
        self.size = (width_px * OVERSAMPLING, height_px * OVERSAMPLING)
        self.background = _background(rng, BACKGROUNDS[rng.integers(len(BACKGROUNDS))], self.size)
        self.light_phase, self.light_hz = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.06)

    def shoot(self, poses, looks, time_sec):
        """Render the people at one time as a uint8 picture ``(height, width, 3)``."""
        picture = self.background.copy()
        canvas = ImageDraw.Draw(picture, "RGBA")
        for pose, look in sorted(zip(poses, looks, strict=True), key=lambda item: item[0].depth):
            _paint_person(canvas, pose, look, self.size, self.people_size)
        pixels = np.asarray(picture.resize((self.width_px, self.height_px), Image.Resampling.BOX), np.float32)
        light = 1 + 0.04 * np.sin(self.light_phase + 2 * np.pi * self.light_hz * time_sec)
        noise = self.rng.normal(0, NOISE_LEVEL, pixels.shape[:2])[..., None] + self.rng.normal(0, 0.8, pixels.shape)
        return np.clip(pixels * light + noise, 0, 255).astype(np.uint8)

    def silhouette(self, poses, looks):
        """Return which pixels show these people, bool ``(height, width)``, whoever stands in front of them."""
        picture = Image.new("RGB", self.size)
        canvas = ImageDraw.Draw(picture, "RGBA")
        for pose, look in zip(poses, looks, strict=True):
            white = replace(look, skin=WHITE, hair=WHITE, top=WHITE, trousers=WHITE)
            _paint_person(canvas, pose, white, self.size, self.people_size)
        pixels = np.asarray(picture.resize((self.width_px, self.height_px), Image.Resampling.BOX))
        return pixels.max(axis=-1) > COVERED


def ground_to_picture(pose, size):
    """Return foot point and body height in pixels of the oversampled picture."""
    width, height = size
    x = width * (0.5 + (pose.across - 0.5) * (0.8 + 0.25 * pose.depth))
    return x, height * (0.50 + 0.47 * pose.depth), height * (0.24 + 0.20 * pose.depth)


def _paint_person(canvas, pose, look, size, people_size):
    x, y, height = ground_to_picture(pose, size)
    height *= look.height * people_size
    canvas.ellipse((x - 0.2 * height, y - 0.035 * height, x + 0.2 * height, y + 0.045 * height), fill=(0, 0, 0, 70))
    body = _Body(canvas, (x, y), height, pose.facing, pose.lean + pose.fall * 1.45)
    swing = np.sin(pose.phase) * pose.stride
    far, near = tuple(int(0.8 * value) for value in look.trousers), look.trousers
    far_top = tuple(int(0.82 * value) for value in look.top)
    hip, neck = (0.0, 0.48), (0.0, 0.82)
    limb, arm = 0.085 * look.build, 0.062 * look.build
    body.limb((0.0, 0.78), pose.arms[1], pose.elbows[1], 0.17, far_top, look.skin, arm)
    body.limb(hip, -swing, -_knee(-swing, pose), 0.25, far, far, limb)
    body.limb(hip, swing + pose.kick, -_knee(swing, pose), 0.25, near, near, limb)
    body.line(hip, neck, look.top, 0.17 * look.build)
    body.disc((0.01, 0.92), 0.075, look.skin)
    body.disc((-0.012, 0.945), 0.068, look.hair)
    body.limb((0.0, 0.78), pose.arms[0], pose.elbows[0], 0.17, look.top, look.skin, arm)


def _knee(swing, pose):
    return 0.08 + max(0.0, -swing) * 1.1 + 0.3 * pose.fall


class _Body:
    """Paint in body coordinates: (forward, up) in body heights from the feet, all tilted by one angle."""

    def __init__(self, canvas, foot, height, facing, tilt):
        self.canvas, self.foot, self.height, self.facing = canvas, foot, height, facing
        self.cos, self.sin = np.cos(tilt), np.sin(tilt)

    def _at(self, point):
        forward = point[0] * self.cos + point[1] * self.sin
        up = point[1] * self.cos - point[0] * self.sin
        return self.foot[0] + self.facing * forward * self.height, self.foot[1] - max(up, 0.02) * self.height

    def line(self, start, end, colour, width):
        (x0, y0), (x1, y1), half = self._at(start), self._at(end), width * self.height / 2
        self.canvas.line((x0, y0, x1, y1), fill=colour, width=max(1, round(2 * half)))
        for x, y in ((x0, y0), (x1, y1)):
            self.canvas.ellipse((x - half, y - half, x + half, y + half), fill=colour)

    def disc(self, centre, radius, colour):
        (x, y), r = self._at(centre), radius * self.height
        self.canvas.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def limb(self, joint, angle, bend, length, upper, lower, width):
        """Paint two bones: ``angle`` from hanging down, ``bend`` added at the middle joint."""
        middle = joint[0] + length * np.sin(angle), joint[1] - length * np.cos(angle)
        end = middle[0] + length * np.sin(angle + bend), middle[1] - length * np.cos(angle + bend)
        self.line(middle, end, lower, width * 0.85)
        self.line(joint, middle, upper, width)


def _background(rng, kind, size):
    """Paint an empty background with surface texture and a slight vignette."""
    width, height = size
    tone = rng.uniform(0.75, 1.1)
    tint = np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.06, 0.06, 3)
    picture = Image.new("RGB", size)
    {"street": _street, "yard": _yard, "corridor": _corridor, "car_park": _car_park}[kind](
        ImageDraw.Draw(picture), rng, width, height
    )
    pixels = np.asarray(picture, np.float32) * tone * tint
    for cells, strength in ((8, 0.06), (40, 0.05), (160, 0.05)):
        grain = Image.fromarray(rng.uniform(-1, 1, (cells * 3 // 4, cells)).astype(np.float32))
        pixels *= 1 + strength * np.asarray(grain.resize(size, Image.Resampling.BILINEAR))[..., None]
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    pixels *= (1 - 0.18 * (across**2 + down**2) / 2)[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _street(canvas, rng, width, height):
    canvas.rectangle((0, 0, width, height), fill=(132, 130, 126))
    horizon, x = height * 0.42, 0
    while x < width:  # houses
        end, shade = x + int(width * rng.uniform(0.18, 0.32)), int(rng.integers(85, 150))
        canvas.rectangle((x, 0, end, horizon), fill=(shade, shade - 8, shade - 18))
        for wx in range(x + 8, end - 14, 26):
            for wy in range(6, int(horizon) - 30, 30):
                canvas.rectangle((wx, wy, wx + 12, wy + 18), fill=(52, 60, 70))
        x = end
    canvas.rectangle((0, horizon, width, height * 0.55), fill=(156, 152, 146))  # pavement
    canvas.line((0, height * 0.55, width, height * 0.55), fill=(186, 182, 176), width=3)
    canvas.rectangle((0, height * 0.56, width, height), fill=(92, 92, 95))
    for x in range(-20, width, 70):
        canvas.polygon(
            [(x, height * 0.77), (x + 36, height * 0.77), (x + 32, height * 0.79), (x - 4, height * 0.79)],
            fill=(186, 186, 180),
        )


def _yard(canvas, rng, width, height):
    canvas.rectangle((0, 0, width, height), fill=(128, 122, 108))
    horizon = int(height * 0.44)
    canvas.rectangle((0, 0, width, horizon), fill=(134, 96, 80))
    for row, y in enumerate(range(0, horizon, 9)):  # bricks
        canvas.line((0, y, width, y), fill=(112, 82, 70))
        for x in range((row % 2) * 11, width, 22):
            canvas.line((x, y, x, y + 9), fill=(112, 82, 70))
    door = int(width * rng.uniform(0.1, 0.8))
    canvas.rectangle((door, horizon - 82, door + 40, horizon), fill=(62, 72, 66))
    for share in (0.5, 0.58, 0.7, 0.86):  # slabs
        canvas.line((0, height * share, width, height * share), fill=(112, 107, 95), width=2)
    for x in range(-width, 2 * width, 60):
        canvas.line((width / 2 + (x - width / 2) * 0.6, horizon, x, height), fill=(114, 109, 97), width=2)


def _corridor(canvas, rng, width, height):
    canvas.rectangle((0, 0, width, height), fill=(170, 168, 160))
    left, top, right, bottom = width * 0.22, height * 0.1, width * 0.78, height * 0.45  # the far wall
    floor_left, floor_right = -width * 0.15, width * 1.15
    canvas.polygon([(floor_left, height), (left, bottom), (right, bottom), (floor_right, height)], fill=(126, 118, 108))
    canvas.polygon([(0, 0), (left, top), (right, top), (width, 0)], fill=(192, 192, 188))
    canvas.rectangle((left, top, right, bottom), fill=(150, 151, 149))
    shade = int(rng.integers(60, 110))
    door = left + (right - left) * rng.uniform(0.1, 0.7)
    canvas.rectangle((door, height * 0.2, door + width * 0.11, bottom), fill=(shade, shade - 12, shade - 26))
    for light in (0.36, 0.58):
        near = width * (0.5 + (light - 0.47) * 2.2)
        canvas.polygon(
            [(near, 0), (width * light, top), (width * (light + 0.06), top), (near + width * 0.14, 0)],
            fill=(228, 228, 222),
        )
    for depth in (0.1, 0.24, 0.44, 0.7):  # floor tiles
        y, edge = bottom + (height - bottom) * depth, left + (floor_left - left) * depth
        canvas.line((edge, y, width - edge, y), fill=(114, 106, 97), width=2)
    for share in np.linspace(0.1, 0.9, 7):
        start, end = left + (right - left) * share, floor_left + (floor_right - floor_left) * share
        canvas.line((start, bottom, end, height), fill=(116, 108, 99), width=2)


def _car_park(canvas, rng, width, height):
    canvas.rectangle((0, 0, width, height), fill=(104, 105, 108))
    horizon = height * 0.4
    canvas.rectangle((0, 0, width, horizon), fill=(120, 134, 118))
    canvas.rectangle((0, horizon - 14, width, horizon), fill=(146, 146, 142))
    for x in range(0, width, 64):  # bays, some of them taken
        canvas.line((x, horizon + 4, x - 10, horizon + 48), fill=(186, 186, 182), width=3)
        if rng.random() < 0.55:
            colour = tuple(int(value) for value in rng.integers(50, 180, 3))
            canvas.rounded_rectangle((x + 8, horizon - 26, x + 56, horizon + 14), 8, fill=colour)
            canvas.rounded_rectangle((x + 14, horizon - 22, x + 50, horizon - 6), 5, fill=(40, 46, 54))
            canvas.rectangle((x + 10, horizon + 10, x + 54, horizon + 17), fill=(30, 30, 32))
