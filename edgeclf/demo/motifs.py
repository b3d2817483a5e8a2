"""Motifs that several decors share, each in the colours of the decor.

Every function here makes a motif: a function of the canvas, the pose and the random
numbers of the picture. `colours` are always listed from the edge inwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeclf.demo.arrangements import Motif, Stem
from edgeclf.demo.shapes import (
    HEART,
    TULIP,
    Canvas,
    Colour,
    Points,
    Pose,
    blob,
    curve,
    leaf,
    petal,
    spiral,
    star,
)


def rose(
    colours: Sequence[Colour], heart: Colour, petals: int = 6, rings: int = 2
) -> Motif:
    """Make petals in rings round a heart, each petal lighter inside."""
    outline = petal(4.6 / petals, 0.7)

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        for ring in range(rings):
            size = 1.0 - 0.34 * ring
            for index in range(petals):
                angle = 360 * (index + 0.5 * ring) / petals + rng.normal(0, 3)
                canvas.layers(pose.at(0, 0, angle, size), outline, colours, 0.8, 0.2)
        canvas.dot(pose.at(0, 0, 0, 0.2), heart)
        canvas.dot(pose.at(0, 0, 0, 0.09), colours[0])

    return draw


def disc(
    colours: Sequence[Colour],
    mark: Colour,
    lobes: int = 9,
    depth: float = 0.16,
    shrink: float = 0.76,
) -> Motif:
    """Make scalloped discs on top of each other with a ring of dots."""
    outline = blob(lobes, depth)

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        canvas.layers(pose, outline, colours, shrink)
        for index in range(lobes):
            canvas.dot(pose.polar(360 * index / lobes, 0.72, 0.07), mark)
        canvas.dot(pose.at(0, 0, 0, 0.13), mark)

    return draw


def painted_rose(base: Colour, dark: Colour, light: Colour) -> Motif:
    """Make a round rose, its heart off the middle, with white strokes of life."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        canvas.fill(pose.of(blob(11, 0.14)), base)
        canvas.dot(pose.at(0.3, 0, 0, 0.52), dark)
        for angle in range(80, 281, 40):
            edge = pose.at(0.3, 0).polar(angle, 0.66, 0.42)
            canvas.layers(edge.at(-0.4, 0), petal(0.9), (dark, base), 0.78, 0.5)
            canvas.line(edge.of(curve((0.3, -0.4), (0.9, 0), (0.3, 0.4))), 0.02, light)
        canvas.dot(pose.at(0.34, 0, 0, 0.2), base)
        for angle in range(0, 360, 45):
            canvas.dot(pose.at(0.34, 0).polar(angle, 0.34, 0.055), light)

    return draw


def cup(outline_colours: Sequence[Colour], inside: Sequence[Colour]) -> Motif:
    """Make a tulip that opens along the motif's x axis."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        body = pose.at(-0.75, 0, 0, 1.55)
        canvas.layers(body, TULIP, outline_colours, 0.86, 0.35)
        canvas.layers(body.at(0.14, 0, 0, 0.68), petal(0.5), inside, 0.7, 0.3)

    return draw


def fan(colours: Sequence[Colour], calyx: Colour, count: int, spread: float) -> Motif:
    """Make a half-open flower: petals fanned out of a calyx."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        base = pose.at(-0.6, 0)
        order = sorted(range(count), key=lambda index: -abs(2 * index - count + 1))
        for index in order:
            angle = spread * (index / (count - 1) - 0.5)
            outline = petal(1.5 / count + 0.14, 0.8)
            canvas.layers(base.at(0, 0, angle, 1.6), outline, colours, 0.82, 0.1)
        canvas.layers(base.at(-0.25, 0, 0, 0.75), petal(0.7, 0.6), (calyx,))

    return draw


def comb(colours: Sequence[Colour], teeth: Colour) -> Motif:
    """Make an embroidered half flower: bands of colour, stitches like a comb."""
    turn = np.linspace(-np.pi * 0.5, np.pi * 0.5, 20)
    half = np.stack([np.cos(turn), np.sin(turn)], axis=1)

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        base = pose.at(-0.5, 0, 0, 1.2)
        for angle in range(-80, 81, 20):
            canvas.layers(base.at(0, 0, angle, 1.2), petal(0.2, 0.8), (teeth,))
        canvas.layers(base, half, colours, 0.78)
        for angle in range(-60, 61, 30):
            canvas.line(base.at(0, 0, angle).of(_LINE * 0.45), 0.02, teeth)

    return draw


def foliage(
    colours: Sequence[Colour],
    vein: Colour | None = None,
    width: float = 0.42,
    bend: float = 0.14,
    teeth: int = 0,
) -> Motif:
    """Make one leaf, smooth or serrated, with a vein when that has a colour."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        bent = bend * (1 + rng.normal(0, 0.3))
        canvas.layers(pose, leaf(width, bent, teeth), colours, 0.78, 0.35)
        if vein is not None:
            middle = curve((0.05, 0), (0.5, 2 * bent), (0.92, 0))
            canvas.line(pose.of(middle), 0.06 * pose.size, vein)

    return draw


def fern(colours: Sequence[Colour], pairs: int = 6) -> Motif:
    """Make a feather of brush strokes, or grass when the pairs are few."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        spine = curve((0, 0), (0.6, 0.3), (1.2, 0.1))
        canvas.line(pose.of(spine), 0.05 * pose.size, colours[0])
        for index in range(pairs):
            x, y = spine[2 + index * 13 // pairs]
            size = 0.46 * (1 - 0.6 * index / pairs)
            for angle in (-52, 58):
                canvas.layers(
                    pose.at(x, y, angle, size), petal(0.34), colours, 0.75, 0.4
                )

    return draw


def vine_leaf(colours: Sequence[Colour], vein: Colour) -> Motif:
    """Make a leaf of five lobes with veins."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        base = pose.at(0.25, 0, 0, 0.8)
        for index, colour in enumerate(colours):
            for angle, size in (
                (115, 0.6),
                (-115, 0.6),
                (55, 0.85),
                (-55, 0.85),
                (0, 1),
            ):
                part = base.at(0, 0, angle, size * 0.85**index)
                canvas.fill(part.of(leaf(0.7, 0, 0)), colour)
        for angle in (-55, 0, 55):
            canvas.line(base.at(0, 0, angle).of(_LINE * 0.7), 0.04 * pose.size, vein)

    return draw


def berries(colour: Colour, shine: Colour, stalk: Colour, count: int = 5) -> Motif:
    """Make a bunch of berries on stalks, each with a point of light."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        spots = [(0.55 + 0.5 * rng.random(), rng.normal(0, 0.32)) for _ in range(count)]
        for x, y in spots:
            stem = curve((0, 0), (0.5 * x, 0.1 * y), (x, y))
            canvas.line(pose.of(stem), 0.05 * pose.size, stalk)
        for x, y in spots:
            canvas.dot(pose.at(x, y, 0, 0.2), colour)
            canvas.dot(pose.at(x - 0.06, y - 0.06, 0, 0.06), shine)

    return draw


def curl(colour: Colour, width: float = 0.1, turns: float = 1.3) -> Motif:
    """Make a tendril that winds itself up, with a drop beside it."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        canvas.line(pose.of(spiral(turns)), width * pose.size, colour)
        canvas.fill(pose.at(0.05, 0.1, 70, 0.5).of(petal(0.3)), colour)

    return draw


def drops(colours: Sequence[Colour], count: int = 3) -> Motif:
    """Make strokes of a full brush side by side, in turn in each colour."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        for index in range(count):
            angle = 34 * (index - (count - 1) / 2)
            size = 1.0 - 0.25 * abs(index - (count - 1) / 2)
            colour = colours[index % len(colours)]
            canvas.fill(pose.at(0, 0, angle, size).of(petal(0.3, 0.75)), colour)

    return draw


def heart(colours: Sequence[Colour]) -> Motif:
    """Make a heart that stands on its tip."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        canvas.layers(pose, HEART, colours, 0.7, 0.55)

    return draw


def rosette(colours: Sequence[Colour], points: int, depth: float = 0.3) -> Motif:
    """Make stars on top of each other, as cut with scissors."""
    outline = star(points, depth)

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        canvas.layers(pose, outline, colours, 0.74)

    return draw


def bird(body: Sequence[Colour], tail: Sequence[Colour], eye: Colour) -> Motif:
    """Make a cock or peacock in profile."""

    def draw(canvas: Canvas, pose: Pose, rng: np.random.Generator) -> None:
        upright = pose.at(0, 0, 90, 1.25)
        for index in range(5):
            feather = upright.at(-0.25, 0.05, 180 + 22 * index - 5, 1.0 - 0.07 * index)
            outline = leaf(0.3, 0.3)
            canvas.layers(
                feather, outline, (tail[index % len(tail)], tail[-1]), 0.6, 0.5
            )
        canvas.layers(
            upright.at(-0.45, -0.05, 8, 1.0), leaf(0.66, 0.16), body, 0.72, 0.5
        )
        canvas.layers(
            upright.at(0.25, 0.2, -78, 0.78), petal(0.5, 0.4), body, 0.72, 0.4
        )
        head = upright.at(0.4, -0.42, 0, 0.17)
        for angle in (-130, -90, -50):
            canvas.fill(head.polar(angle, 0.8, 0.9).of(petal(0.7)), tail[0])
        canvas.fill(head.at(0.7, 0, 12, 1.0).of(petal(0.6, 0.3)), tail[-1])
        canvas.dot(head, body[0])
        canvas.dot(head.at(0.2, -0.1, 0, 0.3), eye)

    return draw


def stalk(colour: Colour, width: float = 0.025) -> Stem:
    """Make a plain stem."""

    def draw(canvas: Canvas, points: Points, rng: np.random.Generator) -> None:
        canvas.line(points, width, colour, taper=False)

    return draw


_LINE = np.stack([np.linspace(0, 1, 5), np.zeros(5)], axis=1)
