"""The seven classes of the demo.

The names are those of the traditional crafts whose manner is imitated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edgeclf.demo import ornaments
from edgeclf.demo.shapes import Colour
from edgeclf.demo.stitches import cross_stitch


@dataclass(frozen=True)
class Decor:
    """One class of the demo.

    Attributes:
        name: Label, and name of the folder.
        paint: Returns an ornament that fills a square of the given side.
        rims: Colours of edges, handles and feet of objects in this decor.
        objects: What carries the decor; names of `objects.OBJECTS`.
    """

    name: str
    paint: Callable[[int, np.random.Generator], Image.Image]
    rims: tuple[Colour, ...]
    objects: tuple[str, ...]


DECORS = (
    Decor(
        "Gorodets",
        ornaments.gorodets,
        ((178, 40, 40), (196, 130, 60), (40, 90, 60), (50, 90, 170)),
        ("plate", "box", "bowl", "plate"),
    ),
    Decor(
        "Gzhel",
        ornaments.gzhel,
        ((24, 50, 140), (250, 250, 252), (60, 96, 180)),
        ("plate", "vase", "cup", "bowl"),
    ),
    Decor(
        "Iznik",
        ornaments.iznik,
        ((24, 56, 140), (36, 156, 170), (240, 244, 244)),
        ("plate", "box", "vase", "bowl"),
    ),
    Decor(
        "Khokhloma",
        ornaments.khokhloma,
        ((24, 16, 16), (180, 30, 22), (214, 156, 44)),
        ("plate", "bowl", "vase", "cup"),
    ),
    Decor(
        "Neglyubka",
        cross_stitch,
        ((178, 24, 30), (244, 240, 232), (40, 30, 34)),
        ("cloth", "box", "cloth"),
    ),
    Decor(
        "Wycinanki łowickie",
        ornaments.wycinanki,
        ((250, 250, 250), (24, 20, 24), (200, 40, 60)),
        ("plate", "box", "cup", "cloth"),
    ),
    Decor(
        "Wzory kaszubskie",
        ornaments.kaszuby,
        ((36, 70, 150), (250, 250, 250), (220, 180, 60)),
        ("cloth", "cup", "plate", "box"),
    ),
)
