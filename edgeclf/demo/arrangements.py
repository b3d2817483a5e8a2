"""How a decor's motifs are put together on the ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeclf.demo.shapes import Canvas, Colour, Points, Pose, curve

Motif = Callable[[Canvas, Pose, np.random.Generator], None]
Stem = Callable[[Canvas, Points, np.random.Generator], None]


@dataclass(frozen=True)
class Kit:
    """The motifs of one decor.

    A motif stands at its pose: a flower with its middle, a leaf and a filler with
    their base.

    Attributes:
        flowers: Large motifs.
        leaves: What grows beside them.
        fillers: Berries, curls, buds.
        stem: Draws a curve.
    """

    flowers: tuple[Motif, ...]
    leaves: tuple[Motif, ...]
    fillers: tuple[Motif, ...]
    stem: Stem


def wreath(canvas: Canvas, kit: Kit, rng: np.random.Generator) -> None:
    """Put flowers in a ring, leaves between them and one flower in the middle."""
    count = int(rng.integers(4, 8))
    start, radius = rng.uniform(0, 360), rng.uniform(0.55, 0.68)
    flower, leaf, filler = _one_of_each(kit, rng)
    middle = Pose(angle=start)
    around = np.radians(np.linspace(0, 360, 61))
    kit.stem(canvas, radius * np.stack([np.cos(around), np.sin(around)], 1), rng)
    for index in range(count):
        angle, step = 360 * index / count, 360 / count
        for side in (-1, 1):
            base = middle.polar(angle + step * (0.5 - 0.18 * side), radius)
            leaf(canvas, base.at(0, 0, 65 * side + 25, 0.3), rng)
        filler(canvas, middle.polar(angle + step / 2, radius - 0.06, -0.22), rng)
        filler(canvas, middle.polar(angle + step / 2, radius + 0.06, 0.22), rng)
        flower(canvas, middle.polar(angle, radius, 0.95 / count + 0.08), rng)
    if rng.random() < 0.8:
        for index in range(count):
            leaf(canvas, middle.polar(360 * index / count, 0.1, 0.26), rng)
        pick(kit.flowers, rng)(canvas, Pose(angle=start, size=0.2), rng)


def bouquet(canvas: Canvas, kit: Kit, rng: np.random.Generator) -> None:
    """Let a symmetrical plant grow from the lower edge."""
    root = (0.0, 0.9)
    flower, leaf, filler = _one_of_each(kit, rng)
    second = pick(kit.flowers, rng)
    ends = [(0.42, -0.28), (0.62, 0.22)] if rng.random() < 0.6 else [(0.55, -0.1)]
    kit.stem(canvas, curve(root, (0.0, 0.3), (0.0, -0.3)), rng)
    seed = int(rng.integers(2**32))
    for flip in (False, True):
        side, twin = (1 if flip else -1), np.random.default_rng(seed)
        for x, y in ends:
            x, y = side * (x + twin.normal(0, 0.04)), y + twin.normal(0, 0.04)
            kit.stem(canvas, curve(root, (0.15 * x, y + 0.25), (x, y)), twin)
            second(canvas, Pose(x, y, -90 + 35 * side, 0.22, flip), twin)
            filler(canvas, Pose(0.5 * x, y + 0.3, -90 + 60 * side, 0.24, flip), twin)
        for y, size in ((0.75, 0.4), (0.45, 0.34), (0.1, 0.3), (-0.72, 0.24)):
            angle = -90 + side * (20 + 50 * twin.random())
            leaf(canvas, Pose(0.0, y, angle, size, flip), twin)
        filler(canvas, Pose(0.1 * side, -0.68, -90 + 40 * side, 0.3, flip), twin)
    flower(canvas, Pose(0, -0.48, -90, rng.uniform(0.28, 0.36)), rng)


def branch(canvas: Canvas, kit: Kit, rng: np.random.Generator) -> None:
    """Lead one winding branch across the ground."""
    bend = rng.uniform(0.4, 0.9) * rng.choice([-1, 1])
    t = np.linspace(0, 1, 40)
    path = np.stack([1.9 * t - 0.95, 0.55 * bend * np.sin(2 * np.pi * t)], 1)
    turned = Pose(angle=rng.uniform(-60, 60)).of(path)
    kit.stem(canvas, turned, rng)
    for index in range(2, 38, 3):
        ahead = turned[index + 1] - turned[index - 1]
        angle = float(np.degrees(np.arctan2(ahead[1], ahead[0])))
        side = 1 if index % 2 else -1
        motif = pick(kit.leaves if rng.random() < 0.6 else kit.fillers, rng)
        size = rng.uniform(0.28, 0.45)
        x, y = turned[index]
        motif(canvas, Pose(x, y, angle + side * rng.uniform(35, 75), size), rng)
    for index in (6, 20, 33):
        x, y = turned[index] + rng.normal(0, 0.04, 2)
        size = rng.uniform(0.24, 0.38)
        pick(kit.flowers, rng)(canvas, Pose(x, y, rng.uniform(0, 360), size), rng)


def scatter(canvas: Canvas, kit: Kit, rng: np.random.Generator) -> None:
    """Strew flowers and leaves all over, in loose rows."""
    count = int(rng.integers(3, 5))
    step = 2.2 / count
    for row in range(count + 1):
        for column in range(count + 1):
            x = -1.1 + step * (column + 0.5 * (row % 2)) + rng.normal(0, 0.06)
            y = -1.1 + step * row + rng.normal(0, 0.06)
            pose = Pose(x, y, rng.uniform(0, 360), step * rng.uniform(0.36, 0.5))
            for index in range(3):
                motif = pick(kit.leaves if index else kit.fillers, rng)
                motif(canvas, pose.polar(120 * index + 20, 0.5, 1.1), rng)
            pick(kit.flowers, rng)(canvas, pose, rng)


def bands(canvas: Canvas, kit: Kit, rng: np.random.Generator) -> None:
    """Repeat a flower and its leaves along horizontal borders."""
    count = int(rng.integers(4, 7))
    step = 2 / count
    for y in (-0.62, 0.62) if rng.random() < 0.5 else (-0.68, 0.0, 0.68):
        flower, leaf, filler = _one_of_each(kit, rng)
        kit.stem(canvas, np.stack([np.linspace(-1, 1, 9), np.full(9, y)], 1), rng)
        for index in range(count + 1):
            x = -1 + step * index
            for angle in (-140, -40, 40, 140):
                leaf(canvas, Pose(x, y, angle, 0.72 * step), rng)
            for angle in (-90, 90):
                filler(canvas, Pose(x + step / 2, y, angle, 0.5 * step), rng)
            flower(canvas, Pose(x, y, -90, 0.42 * step), rng)


def medallion(canvas: Canvas, kit: Kit, rng: np.random.Generator) -> None:
    """Turn one corner's motifs four times (or six, or eight) round the middle."""
    count = int(rng.choice([4, 4, 6, 8]))
    flower, leaf, filler = _one_of_each(kit, rng)
    outer = pick(kit.flowers, rng)
    start = float(rng.choice([0, 45, 90]))
    reach = rng.uniform(0.62, 0.78)
    seed = int(rng.integers(2**32))
    for index in range(count):
        twin = np.random.default_rng(seed)
        angle = 360 * index / count
        pose = Pose(angle=start)
        kit.stem(canvas, pose.polar(angle, 0).of(_ray(reach)), twin)
        for side in (-1, 1):
            base = pose.polar(angle, 0.34)
            leaf(canvas, base.at(0, 0, 52 * side, 0.36), twin)
            filler(canvas, pose.polar(angle, 0.55).at(0, 0, 60 * side, 0.26), twin)
        outer(canvas, pose.polar(angle, reach, 0.95 / count + 0.05), twin)
        filler(canvas, pose.polar(angle + 180 / count, 0.62, 0.3), twin)
    flower(canvas, Pose(angle=start, size=rng.uniform(0.24, 0.34)), rng)


def frame(canvas: Canvas, band: Colour, dots: Colour, width: float) -> None:
    """Draw a border of the given width with a row of dots in it."""
    inner = 1 - width
    for angle in range(0, 360, 90):
        side = Pose(angle=angle)
        edge = np.array([[-1, -1], [1, -1], [inner, -inner], [-inner, -inner]])
        canvas.fill(side.of(edge), band)
        for x in np.linspace(-1, 1, round(2.4 / width)):
            canvas.dot(side.at(x, width / 2 - 1, 0, 0.28 * width), dots)


def pick(motifs: tuple[Motif, ...], rng: np.random.Generator) -> Motif:
    """Return one of the motifs."""
    return motifs[int(rng.integers(len(motifs)))]


def _one_of_each(kit: Kit, rng: np.random.Generator) -> tuple[Motif, Motif, Motif]:
    return pick(kit.flowers, rng), pick(kit.leaves, rng), pick(kit.fillers, rng)


def _ray(length: float) -> Points:
    return np.stack([np.linspace(0.1, length, 6), np.zeros(6)], axis=1)
