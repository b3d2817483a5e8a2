"""Outlines, poses and the canvas they are painted on.

Points are float arrays of shape `(n, 2)`, x to the right and y downwards. A canvas
covers [-1, 1] in both directions; an outline starts at (0, 0) and points along x to
(1, 0), or has (0, 0) in its middle and the radius 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where a motif stands: position, angle in degrees (clockwise), size, mirroring.

    Attributes:
        x: Position in the unit of the canvas.
        y: See `x`.
        angle: Direction of the motif's own x axis.
        size: Length that the motif's 1 gets.
        flip: Whether the motif's y axis is turned over.
    """

    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0
    size: float = 1.0
    flip: bool = False

    def of(self, points: Points) -> Points:
        """Return the motif's points in the unit of the canvas, shape `(n, 2)`."""
        radians = math.radians(self.angle)
        cosine, sine = self.size * math.cos(radians), self.size * math.sin(radians)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        if self.flip:
            turn[1] = -turn[1]
        moved: Points = points @ turn + (self.x, self.y)
        return moved

    def at(self, x: float, y: float, angle: float = 0.0, size: float = 1.0) -> Pose:
        """Return the pose of a part, given relative to this one."""
        ((new_x, new_y),) = self.of(np.array([[x, y]]))
        turn = -angle if self.flip else angle
        return Pose(new_x, new_y, self.angle + turn, self.size * size, self.flip)

    def polar(self, degrees: float, distance: float, size: float = 1.0) -> Pose:
        """Return the pose of a part that looks outwards from the middle."""
        radians = math.radians(degrees)
        x, y = distance * math.cos(radians), distance * math.sin(radians)
        return self.at(x, y, degrees, size)


class Canvas:
    """A square RGB picture that outlines are filled on.

    Attributes:
        image: The picture so far.
        size: Its side in pixels.
    """

    def __init__(self, size: int, ground: Colour) -> None:
        self.size = size
        self.image = Image.new("RGB", (size, size), ground)
        self._draw = ImageDraw.Draw(self.image)

    def fill(self, points: Points, colour: Colour) -> None:
        """Fill a closed outline."""
        pixels = (points + 1) * (self.size / 2)
        self._draw.polygon(pixels.ravel().tolist(), fill=colour)

    def layers(
        self,
        pose: Pose,
        outline: Points,
        colours: Sequence[Colour],
        shrink: float = 0.78,
        anchor: float = 0.0,
    ) -> None:
        """Fill an outline again and again, each time smaller, like a loaded brush.

        Args:
            pose: Where.
            outline: What.
            colours: One per layer, outermost first.
            shrink: Factor from layer to layer.
            anchor: The point (anchor, 0) that stays where it is.
        """
        around = pose.of(np.concatenate([[(anchor, 0.0)], outline]))
        fixed, spokes = around[0], around[1:] - around[0]
        for step, colour in enumerate(colours):
            self.fill(fixed + spokes * shrink**step, colour)

    def dot(self, pose: Pose, colour: Colour) -> None:
        """Fill a circle of the pose's size."""
        self.fill(pose.of(CIRCLE), colour)

    def texture(self, factors: NDArray[np.float64]) -> None:
        """Multiply the picture by brightness factors, shape `(size, size, 1)`."""
        pixels = np.asarray(self.image, np.float64) * factors
        self.image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        self._draw = ImageDraw.Draw(self.image)

    def line(
        self, points: Points, width: float, colour: Colour, taper: bool = True
    ) -> None:
        """Fill a ribbon along a curve, thin at its end when it tapers."""
        along = np.linspace(1.0, 0.15 if taper else 1.0, len(points))
        self.fill(ribbon(points, width * along), colour)


def blob(lobes: int, depth: float, count: int = 72) -> Points:
    """Return a round outline of radius 1 with scalloped edge."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius = 1 - depth * (0.5 - 0.5 * np.cos(lobes * turn))
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def star(points: int, depth: float) -> Points:
    """Return a star of radius 1 whose notches reach down to `1 - depth`."""
    turn = np.arange(2 * points) * (np.pi / points)
    radius = np.where(np.arange(2 * points) % 2, 1 - depth, 1.0)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def petal(width: float, fullness: float = 0.65) -> Points:
    """Return a drop from (0, 0) to (1, 0), widest at about `fullness`."""
    along = np.linspace(0, 1, 11)
    skewed = along ** (math.log(0.5) / math.log(fullness))
    return _closed(along, 0.5 * width * np.sin(np.pi * skewed) ** 0.8, 0 * along)


def leaf(width: float, bend: float = 0.0, teeth: int = 0) -> Points:
    """Return a pointed leaf from (0, 0) to (1, 0), with saw teeth when wanted."""
    along = np.linspace(0, 1, 8 + 8 * teeth if teeth else 11)
    half = 0.5 * width * np.sin(np.pi * along)
    if teeth:
        half = half * (0.68 + 0.32 * (1 - (along * teeth) % 1))
    return _closed(along, half, bend * np.sin(np.pi * along))


def curve(
    start: Sequence[float], control: Sequence[float], end: Sequence[float]
) -> Points:
    """Return a quadratic Bezier curve, shape `(16, 2)`."""
    t = np.linspace(0, 1, 16)[:, None]
    weights = np.concatenate([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)
    points: Points = weights @ np.array([start, control, end], np.float64)
    return points


def spiral(turns: float) -> Points:
    """Return a curl that starts at (0, 0) and winds itself up, about 1 wide."""
    t = np.linspace(0, 1, 30)
    radius, turn = 0.5 * (1 - 0.85 * t), 2 * np.pi * turns * t + np.pi
    return np.stack([0.5 + radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def ribbon(points: Points, widths: Points) -> Points:
    """Return the outline of a line with the given width at each point."""
    ahead = np.empty_like(points)  # (n, 2)
    ahead[1:-1] = points[2:] - points[:-2]
    ahead[0], ahead[-1] = points[1] - points[0], points[-1] - points[-2]
    length = np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)
    normal = ahead[:, ::-1] * (-1, 1) * (widths / (2 * length))[:, None]
    return np.concatenate([points + normal, (points - normal)[::-1]])


def shades(dark: Colour, light: Colour, count: int) -> tuple[Colour, ...]:
    """Return `count` colours on the straight line from one colour to another."""
    steps = np.linspace(dark, light, count).round().astype(int)
    return tuple((int(red), int(green), int(blue)) for red, green, blue in steps)


def vary(colour: Colour, rng: np.random.Generator, amount: float = 14.0) -> Colour:
    """Return a colour near the given one, as the next pot of paint has it."""
    mixed = np.clip(np.asarray(colour) + rng.normal(0, amount, 3), 0, 255)
    red, green, blue = mixed.round().astype(int)
    return int(red), int(green), int(blue)


def _closed(along: Points, half: Points, middle: Points) -> Points:
    upper = np.stack([along, middle - half], axis=1)
    lower = np.stack([along, middle + half], axis=1)
    return np.concatenate([upper, lower[::-1]])


CIRCLE = blob(1, 0.0, 24)
HEART = np.array(
    [
        [0.0, 0.0], [0.12, -0.16], [0.4, -0.42], [0.68, -0.5], [0.9, -0.42],
        [1.0, -0.24], [0.94, -0.06], [0.78, 0.0], [0.94, 0.06], [1.0, 0.24],
        [0.9, 0.42], [0.68, 0.5], [0.4, 0.42], [0.12, 0.16],
    ]
)  # fmt: skip
TULIP = np.array(
    [
        [0.0, 0.0], [0.08, -0.2], [0.3, -0.34], [0.62, -0.34], [1.0, -0.46],
        [0.84, -0.24], [0.72, -0.16], [1.06, 0.0], [0.72, 0.16], [0.84, 0.24],
        [1.0, 0.46], [0.62, 0.34], [0.3, 0.34], [0.08, 0.2],
    ]
)  # fmt: skip
