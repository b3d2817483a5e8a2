"""Ornaments in the manner of six decors: grounds, colours and motifs of each.

Every picture mixes its own pots of paint and puts the motifs together in its own way.
Some motifs are common to several decors, as they are in life.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

from edgeclf.demo import motifs
from edgeclf.demo.arrangements import (
    Kit,
    bands,
    bouquet,
    branch,
    frame,
    medallion,
    scatter,
    wreath,
)
from edgeclf.demo.shapes import Canvas, Colour, shades, vary
from edgeclf.demo.stitches import linen, wood

Arrangement = Callable[[Canvas, Kit, np.random.Generator], None]
WHITE: Colour = (250, 250, 248)
BLACK: Colour = (24, 16, 16)


def gzhel(size: int, rng: np.random.Generator) -> Image.Image:
    """Paint cobalt brush strokes on white."""
    deep = vary((16, 38, 126), rng)
    pale = vary((214, 226, 248), rng, 6)
    blues = shades(deep, pale, 5)
    lighter = shades(vary((70, 110, 200), rng), pale, 3)
    kit = Kit(
        flowers=(
            motifs.rose(blues, pale, petals=6),
            motifs.rose(blues[:4], blues[4], petals=8, rings=3),
            motifs.rose(lighter, deep, petals=5),
            motifs.fan(blues, deep, 5, 100),
        ),
        leaves=(
            motifs.fern((deep,)),
            motifs.foliage(blues[:4], deep, width=0.5),
            motifs.foliage(lighter, deep, width=0.36, bend=0.25),
        ),
        fillers=(
            motifs.curl(deep),
            motifs.drops(blues[:3]),
            motifs.berries(blues[1], pale, deep),
        ),
        stem=motifs.stalk(deep),
    )
    canvas = Canvas(size, vary((249, 250, 252), rng, 3))
    _arrange(canvas, kit, (wreath, bouquet, branch, branch, scatter, bands), rng)
    return canvas.image


def khokhloma(size: int, rng: np.random.Generator) -> Image.Image:
    """Paint red berries and golden leaves on black, red or gold."""
    gold, red = vary((226, 166, 40), rng, 10), vary((196, 32, 22), rng, 10)
    ground = _choose((BLACK, BLACK, BLACK, red, gold, (238, 214, 160)), rng)
    black = vary(BLACK, rng, 5)
    bright = (250, 214, 96)
    leaf = black if ground == gold else gold
    fruit = gold if ground == red else red
    green = vary((70, 110, 40), rng)
    kit = Kit(
        flowers=(
            motifs.rose((leaf, bright), fruit, petals=10, rings=1),
            motifs.disc((fruit, leaf, fruit), bright, lobes=8),
            motifs.rose((fruit, bright, fruit), leaf, petals=6, rings=2),
        ),
        leaves=(
            motifs.vine_leaf((leaf, bright), red if ground != red else black),
            motifs.foliage((leaf, bright), fruit, width=0.4, bend=0.25),
            motifs.fern((_choose((leaf, green, fruit), rng),), pairs=4),
        ),
        fillers=(
            motifs.berries(fruit, bright, leaf, count=6),
            motifs.berries(fruit, bright, green, count=4),
            motifs.curl(leaf, 0.12),
            motifs.drops((leaf, fruit)),
        ),
        stem=motifs.stalk(leaf, 0.03),
    )
    canvas = Canvas(size, vary(ground, rng, 5))
    _arrange(canvas, kit, (wreath, branch, branch, scatter, scatter, medallion), rng)
    return canvas.image


def gorodets(size: int, rng: np.random.Generator) -> Image.Image:
    """Paint pink and red roses with white strokes of life on ochre wood."""
    red, pink = vary((178, 30, 40), rng), vary((232, 130, 140), rng)
    blue, black = vary((60, 100, 170), rng), vary((40, 24, 24), rng, 6)
    green, cream = vary((46, 104, 58), rng), (250, 244, 232)
    ground = _choose(
        ((226, 176, 96), (214, 156, 78), (238, 204, 140), (172, 52, 34), WHITE), rng
    )
    kit = Kit(
        flowers=(
            motifs.painted_rose(pink, red, cream),
            motifs.painted_rose(red, black, cream),
            motifs.painted_rose(_choose((blue, pink), rng), black, cream),
            motifs.bird((black, red), (red, green, black), cream),
        ),
        leaves=(
            motifs.foliage((green, vary((96, 150, 80), rng)), cream, width=0.55),
            motifs.foliage((green,), cream, width=0.4, bend=0.2),
            motifs.fern((green,), pairs=4),
        ),
        fillers=(
            motifs.drops((green, black)),
            motifs.rose((pink, red), cream, petals=5, rings=1),
            motifs.berries(red, cream, green, count=3),
        ),
        stem=motifs.stalk(green, 0.03),
    )
    canvas = Canvas(size, ground)
    if ground != WHITE:
        canvas.texture(wood(size, rng))
    _arrange(canvas, kit, (wreath, wreath, bouquet, bands, branch), rng)
    return canvas.image


def wycinanki(size: int, rng: np.random.Generator) -> Image.Image:
    """Cut bright paper, fold upon fold, and glue it on white or black."""
    bright = [
        vary(colour, rng, 12)
        for colour in (
            (222, 30, 60), (240, 120, 30), (250, 210, 50), (40, 150, 70),
            (30, 100, 190), (130, 50, 150), (230, 70, 150),
        )
    ]  # fmt: skip
    rng.shuffle(bright)
    first, second, third, fourth = bright[:4]
    green = vary((30, 130, 70), rng)
    ground = _choose((WHITE, WHITE, WHITE, BLACK, (226, 226, 224)), rng)
    kit = Kit(
        flowers=(
            motifs.rosette((first, second, third, fourth, first), 14, 0.22),
            motifs.disc((second, first, fourth, third), WHITE, 10, 0.22),
            motifs.fan((third, first, second), green, 7, 170),
            motifs.bird((first, third, second), (green, second, fourth), WHITE),
            motifs.rosette((fourth, WHITE, second, third), 18, 0.34),
        ),
        leaves=(
            motifs.foliage((green, second, third), teeth=5, width=0.5),
            motifs.foliage((green,), teeth=6, width=0.4, bend=0.2),
            motifs.foliage((first, third), teeth=0, width=0.4),
        ),
        fillers=(
            motifs.drops((third, first, fourth)),
            motifs.heart((first, fourth)),
            motifs.rosette((second, third), 8),
        ),
        stem=motifs.stalk(green, 0.035),
    )
    canvas = Canvas(size, ground)
    _arrange(canvas, kit, (medallion, bouquet, bouquet, wreath, scatter), rng)
    folded = canvas.image.crop((0, 0, size // 2, size))
    unfolded = canvas.image.copy()
    unfolded.paste(ImageOps.mirror(folded), (size - size // 2, 0))
    return unfolded


def kaszuby(size: int, rng: np.random.Generator) -> Image.Image:
    """Embroider flowers in three blues, yellow, red, green and black on linen."""
    navy, blue = vary((26, 48, 110), rng, 10), vary((50, 104, 180), rng, 10)
    sky, green = vary((130, 182, 220), rng, 10), vary((60, 136, 70), rng, 10)
    yellow, red = vary((240, 196, 60), rng, 10), vary((206, 44, 44), rng, 10)
    thread = _choose((BLACK, green, navy), rng)
    kit = Kit(
        flowers=(
            motifs.comb((navy, blue, sky, yellow), _choose((navy, green), rng)),
            motifs.cup((navy, blue, sky), (yellow, red)),
            motifs.rose((blue, sky, navy), yellow, petals=6, rings=1),
            motifs.fan((blue, sky), green, 5, 110),
        ),
        leaves=(
            motifs.foliage((green,), vary((30, 90, 40), rng), width=0.4, bend=0.2),
            motifs.foliage((green, yellow), width=0.45),
            motifs.foliage((blue, sky), navy, width=0.4),
        ),
        fillers=(
            motifs.heart((red, yellow)),
            motifs.curl(thread, 0.06),
            motifs.berries(_choose((red, yellow), rng), navy, green, count=3),
            motifs.drops((blue, yellow, red)),
        ),
        stem=motifs.stalk(thread, 0.018),
    )
    ground = _choose((WHITE, (246, 240, 226), (226, 210, 178), (250, 250, 250)), rng)
    canvas = Canvas(size, ground)
    _arrange(canvas, kit, (bouquet, bouquet, branch, medallion, scatter, bands), rng)
    canvas.texture(linen(size, rng))
    return canvas.image


def iznik(size: int, rng: np.random.Generator) -> Image.Image:
    """Glaze tulips, carnations and saz leaves in coral, cobalt and turquoise."""
    cobalt, turquoise = vary((24, 56, 140), rng, 10), vary((36, 156, 170), rng)
    coral, green = vary((202, 58, 40), rng, 12), vary((40, 120, 90), rng)
    white = vary((242, 246, 246), rng, 3)
    ground = _choose((white, white, white, cobalt, turquoise), rng)
    edge = white if ground == cobalt else cobalt
    petal = _choose((coral, coral, turquoise), rng)
    kit = Kit(
        flowers=(
            motifs.cup((edge, coral), (white, coral)),
            motifs.fan((edge, petal, petal, white), green, 5, 120),
            motifs.cup((edge, petal, white), (edge, coral)),
            motifs.rose((edge, white, turquoise), coral, petals=8, rings=2),
        ),
        leaves=(
            motifs.foliage((edge, turquoise), white, 0.44, 0.32, teeth=6),
            motifs.foliage((edge, green), coral, 0.4, 0.3, teeth=5),
            motifs.foliage((edge, turquoise), bend=0.25, width=0.3),
        ),
        fillers=(
            motifs.fern((edge, turquoise), pairs=5),
            motifs.berries(coral, white, edge, count=4),
            motifs.rose((edge, white), coral, petals=5, rings=1),
            motifs.curl(edge, 0.07),
        ),
        stem=motifs.stalk(edge, 0.022),
    )
    canvas = Canvas(size, ground)
    _arrange(canvas, kit, (medallion, medallion, bouquet, scatter, branch, wreath), rng)
    if rng.random() < 0.6:
        frame(canvas, edge, _choose((coral, white, turquoise), rng), 0.14)
    return canvas.image


def _arrange(
    canvas: Canvas,
    kit: Kit,
    arrangements: tuple[Arrangement, ...],
    rng: np.random.Generator,
) -> None:
    arrangements[int(rng.integers(len(arrangements)))](canvas, kit, rng)


def _choose(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    return colours[int(rng.integers(len(colours)))]
