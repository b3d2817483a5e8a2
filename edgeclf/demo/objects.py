"""Objects that carry an ornament: plate, vase, cup, bowl, box and cloth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from edgeclf.demo.shapes import Canvas, Colour, Points, Pose, blob, ribbon, vary

Light = NDArray[np.float64]  # brightness factors, shape (height, width)
Maker = Callable[["Scene", np.random.Generator], None]

ROUND = blob(1, 0.0, 64)
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


class Scene:
    """A ground with shadow, on which parts of an object are put.

    Attributes:
        canvas: The picture so far.
        light: Brightness factors of the objects, shape `(size, size)`, on a grid
            half as fine as the canvas.
        rim: Colour of edges, handles and feet.
    """

    def __init__(self, ornament: Image.Image, rim: Colour, backdrop: Colour) -> None:
        self.canvas = Canvas(ornament.width, backdrop)
        self.rim = rim
        self._ornament = ornament
        side = ornament.width // 2
        axis = (np.arange(side) + 0.5) * 2 / side - 1
        self._y, self._x = axis[:, None], axis[None, :]
        self.light: Light = np.ones((side, side))

    def shadow(self, outline: Points, dx: float, dy: float, depth: float) -> None:
        """Darken the ground beside an outline, softly."""
        side = len(self.light)
        mask = _mask(outline + np.array([dx, dy]), side // 2)
        soft = mask.filter(ImageFilter.GaussianBlur(side / 60)).resize((side, side))
        self.light *= 1 - depth * np.asarray(soft, np.float64) / 255

    def cover(self, outline: Points, light: Light | float = 1.0) -> None:
        """Fill an outline with the ornament, stretched to its extent, and light it."""
        size = self.canvas.size
        low, high = _pixels(outline.min(0), size), _pixels(outline.max(0), size)
        left, top = (int(value) for value in low)
        width, height = (max(int(value), 1) for value in high - low)
        part = self._ornament.resize((width, height), Image.Resampling.BILINEAR)
        mask = _mask(outline, size).crop((left, top, left + width, top + height))
        self.canvas.image.paste(part, (left, top), mask)
        self._lit(outline, light)

    def fill(self, outline: Points, colour: Colour, light: Light | float = 1.0) -> None:
        """Fill an outline with a colour and light it."""
        self.canvas.fill(outline, colour)
        self._lit(outline, light)

    def round_light(self, middle: float, half: float) -> Light:
        """Return the light on a standing cylinder: dark edges, one bright streak."""
        across = np.clip((self._x - middle) / half, -1, 1)
        body = 0.62 + 0.42 * np.sqrt(1 - (across + 0.25) ** 2 / 1.6)
        streak = 0.3 * np.exp(-(((across + 0.42) / 0.09) ** 2))
        return np.broadcast_to(body + streak, self.light.shape)

    def glossy(self, x: float, y: float) -> Light:
        """Return the light on a flat glazed surface with one reflection."""
        distance = np.hypot(self._x - x, self._y - y)
        return 0.92 + 0.35 * np.exp(-((distance / 0.28) ** 2)) - 0.08 * distance

    def folds(self, along_x: float, along_y: float) -> Light:
        """Return the light on cloth with soft folds, so many across the scene."""
        return 0.94 + 0.08 * np.sin(np.pi * (along_x * self._x + along_y * self._y))

    def _lit(self, outline: Points, light: Light | float) -> None:
        inside = np.asarray(_mask(outline, len(self.light)), np.float64) / 255
        self.light = self.light * (1 - inside) + np.asarray(light) * inside


def plate(scene: Scene, rng: np.random.Generator) -> None:
    """Put down a round plate with a coloured rim, seen more or less from above."""
    height = rng.uniform(0.7, 1.0)
    radius = rng.uniform(0.7, 0.92)
    x, y = rng.normal(0, 0.05, 2)
    edge = ROUND * (radius, radius * height) + (x, y)
    scene.shadow(edge * 1.02, 0.05, 0.07, 0.45)
    scene.fill(edge, scene.rim)
    light = scene.glossy(x - 0.3, y - 0.35 * height)
    share = rng.choice([0.96, 0.9, 0.78])
    if share < 0.8:
        scene.fill(0.95 * (edge - (x, y)) + (x, y), vary((246, 246, 244), rng, 4))
    scene.cover(share * (edge - (x, y)) + (x, y), light)


def vase(scene: Scene, rng: np.random.Generator) -> None:
    """Stand up a vase with neck and foot."""
    heights = np.linspace(-0.85, 0.85, 26)
    belly, where = rng.uniform(0.46, 0.66), rng.uniform(-0.1, 0.3)
    neck = rng.uniform(0.16, 0.3)
    half = neck + (belly - neck) * np.exp(-(((heights - where) / 0.42) ** 2))
    half += 0.1 * np.exp(-(((heights + 0.85) / 0.12) ** 2))
    _stand(scene, heights, half, rng)


def cup(scene: Scene, rng: np.random.Generator) -> None:
    """Stand up a cup with a handle."""
    heights = np.linspace(-0.55, 0.6, 16)
    top, bottom = rng.uniform(0.5, 0.62), rng.uniform(0.32, 0.56)
    t = np.linspace(0, 1, 16)
    half = top + (bottom - top) * t ** rng.uniform(1.0, 2.6)
    side = float(rng.choice([-1, 1]))
    turn = np.linspace(-1.9, 1.9, 20)
    ear = np.stack([side * (top - 0.1 + 0.34 * np.cos(turn)), 0.32 * np.sin(turn)], 1)
    scene.fill(ribbon(ear, np.full(20, 0.1)), scene.rim)
    _stand(scene, heights, half, rng)


def bowl(scene: Scene, rng: np.random.Generator) -> None:
    """Stand up a bowl, wider than high."""
    heights = np.linspace(-0.3, 0.5, 16)
    t = np.linspace(0, 1, 16)
    half = rng.uniform(0.7, 0.85) * np.sqrt(1 - 0.75 * t ** rng.uniform(1.6, 3.5))
    _stand(scene, heights, half, rng)


def box(scene: Scene, rng: np.random.Generator) -> None:
    """Put down a casket or tile: a square with a frame and, perhaps, a side."""
    x, y = rng.normal(0, 0.04, 2)
    pose = Pose(x, y, rng.normal(0, 9), rng.uniform(0.62, 0.8))
    square = SQUARE * (1, rng.uniform(0.7, 1))
    thick = rng.choice([0.04, 0.04, 0.3])
    scene.shadow(pose.of(square * 1.02), 0.06, 0.08 + thick, 0.5)
    side = np.concatenate(
        [pose.of(square)[[3, 2]], pose.of(square)[[2, 3]] + (0, thick)]
    )
    scene.fill(side, scene.rim, 0.7)
    scene.fill(pose.of(square), scene.rim)
    scene.cover(pose.of(square * rng.choice([0.98, 0.92])), scene.glossy(-0.4, -0.4))


def cloth(scene: Scene, rng: np.random.Generator) -> None:
    """Spread a cloth with soft folds and a fringe or hem."""
    x, y = rng.normal(0, 0.05, 2)
    pose = Pose(x, y, rng.normal(0, 14), rng.uniform(0.7, 0.92))
    high = rng.uniform(0.6, 1.0)
    square = SQUARE * (high, 1)
    scene.shadow(pose.of(square), 0.03, 0.04, 0.4)
    ends = np.linspace(-high, high, 40)
    for x in ends:
        thread = np.array([[x, 0.9], [x + rng.normal(0, 0.02), 1.12]])
        scene.canvas.line(pose.of(thread), 0.02, scene.rim, taper=False)
    scene.fill(pose.of(square), scene.rim)
    light = scene.folds(*rng.uniform(-4, 4, 2))
    scene.cover(pose.of(square * 0.96), light)


def _stand(
    scene: Scene, heights: Points, half: Points, rng: np.random.Generator
) -> None:
    """Put down a turned body: half widths at heights, a shadow, a rim and a foot."""
    x = rng.normal(0, 0.05)
    scale = rng.uniform(0.92, 1.1)
    heights, half = scale * heights, scale * half
    left, right = np.stack([x - half, heights], 1), np.stack([x + half, heights], 1)
    outline = np.concatenate([left, right[::-1]])
    light = scene.round_light(x, float(half.max()))
    foot = ROUND * (1.15 * half[-1], 0.1) + (x + 0.08, heights[-1])
    scene.shadow(foot, 0.06, 0.02, 0.6)
    scene.fill(ROUND * (half[-1], 0.06) + (x, heights[-1]), scene.rim, light)
    scene.cover(outline, light)
    band = np.concatenate([left[-2:], right[-2:][::-1]])
    scene.fill(band, scene.rim, light)
    mouth = ROUND * (half[0], 0.09 * scale + 0.08 * half[0]) + (x, heights[0])
    scene.fill(mouth, scene.rim, light)
    scene.fill(0.86 * (mouth - (x, heights[0])) + (x, heights[0]), (70, 62, 58))


def _mask(outline: Points, size: int) -> Image.Image:
    """Return an outline as an 8-bit mask of the whole scene."""
    mask = Image.new("L", (size, size), 0)
    corners = (outline + 1) * (size / 2)
    ImageDraw.Draw(mask).polygon(corners.ravel().tolist(), fill=255)
    return mask


def _pixels(point: Points, size: int) -> Points:
    """Return a point of the unit canvas in whole pixels within the picture."""
    pixels: Points = np.clip((point + 1) * (size / 2), 0, size).round()
    return pixels


OBJECTS: dict[str, Maker] = {
    "plate": plate, "vase": vase, "cup": cup, "bowl": bowl, "box": box, "cloth": cloth,
}  # fmt: skip
