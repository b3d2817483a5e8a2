"""Woven and grown surfaces: cross-stitch, linen and wood."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.demo.shapes import Colour, vary

Grid = NDArray[np.int64]
GROUND, RED, BLACK = 0, 1, 2
RHOMB_SIZES = (9, 11, 13, 15, 17)


def cross_stitch(size: int, rng: np.random.Generator) -> Image.Image:
    """Stitch red and black geometry in bands on white cloth."""
    count = int(rng.choice([48, 60, 60, 80]))
    red, black = vary((190, 24, 34), rng, 12), vary((38, 26, 30), rng, 8)
    ground = vary((244, 240, 230), rng, 5)
    if rng.random() < 0.25:
        ground, red = red, ground
    grid = np.zeros((count, count), np.int64)
    row = int(rng.integers(0, 4))
    while row < count:
        band = _band(count, rng)[: count - row]
        grid[row : row + len(band)] = band
        row += len(band) + int(rng.choice([0, 1, 2, 5]))
    if rng.random() < 0.3:
        grid = grid.T
    return Image.fromarray(_stitched(grid, (ground, red, black), size))


def linen(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a weave as brightness factors, shape `(size, size, 1)`."""
    threads = np.arange(size) * (np.pi / rng.uniform(2.2, 3.6))
    weave = np.sin(threads)[:, None] * np.sin(threads)[None, :]
    uneven = rng.normal(0, 0.02, (size, 1)) + rng.normal(0, 0.02, (1, size))
    factors: NDArray[np.float64] = 1 + 0.1 * weave + uneven
    return factors[:, :, None]


def wood(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return wood grain as brightness factors, shape `(size, size, 1)`."""
    y, x = np.mgrid[0:size, 0:size] / size
    bend = 0.05 * np.sin(2 * np.pi * (x * rng.uniform(0.5, 1.5) + rng.random()))
    rings = (y + bend) * rng.uniform(14, 30)
    fine = rng.normal(0, 0.03, (size, 1))
    factors: NDArray[np.float64] = 1 + 0.07 * np.sin(2 * np.pi * rings) + fine
    return factors[:, :, None]


def _band(width: int, rng: np.random.Generator) -> Grid:
    """Return one border, shape `(height, width)`."""
    kind = rng.random()
    if kind < 0.2:
        return _zigzag(width, rng)
    if kind < 0.3:
        rows = rng.integers(1, 4)
        return np.full((int(rows), width), RED if rng.random() < 0.7 else BLACK)
    tile = _rhomb(rng) if kind < 0.7 else _star(rng)
    height, step = tile.shape[0], tile.shape[1] + int(rng.choice([-1, 0, 0, 1, 2]))
    band = np.zeros((height, width), np.int64)
    start = (width - tile.shape[1]) // 2 % step - step
    for left in range(start, width, step):
        first, last = max(left, 0), max(min(left + tile.shape[1], width), 0)
        part = tile[:, first - left : last - left]
        band[:, first:last] = np.maximum(band[:, first:last], part)
    if rng.random() < 0.35:  # red cloth with white figures
        band = np.where(band == GROUND, RED, np.where(band == RED, GROUND, band))
    return band


def _rhomb(rng: np.random.Generator) -> Grid:
    """Return rhombs inside each other, cut by a random fourfold figure."""
    side = int(rng.choice(RHOMB_SIZES))
    middle = side // 2
    y, x = np.abs(np.mgrid[0:side, 0:side] - middle)
    distance = y + x
    rings = rng.choice([GROUND, RED, RED, BLACK], middle + 2)
    rings[middle] = RED
    tile = np.where(distance <= middle, rings[np.minimum(distance, middle + 1)], GROUND)
    hooks = rng.random((middle + 1, middle + 1)) < 0.3
    figure = hooks[y, x] & (hooks.T[y, x] | (distance > middle)) & (distance > 1)
    return np.where(figure, int(rng.choice([RED, BLACK, GROUND])), tile)


def _star(rng: np.random.Generator) -> Grid:
    """Return an eight-pointed star with a cross in its middle."""
    side = int(rng.choice(RHOMB_SIZES[1:]))
    middle = side // 2
    y, x = np.abs(np.mgrid[0:side, 0:side] - middle)
    inner = middle // 2
    points = (np.abs(y - x) <= inner) & (np.maximum(y, x) + np.abs(y - x) <= middle)
    diagonal = (y == x) | (np.minimum(y, x) == 0)
    tile = np.where(points, RED, GROUND)
    tile = np.where(points & diagonal, int(rng.choice([GROUND, BLACK])), tile)
    return np.where((y + x) >= side - 2, BLACK if rng.random() < 0.4 else RED, tile)


def _zigzag(width: int, rng: np.random.Generator) -> Grid:
    """Return a zigzag line of one or two colours."""
    period, thick = int(rng.integers(3, 7)), int(rng.integers(1, 3))
    height = period + thick
    y, x = np.mgrid[0:height, 0:width]
    offset = y - np.abs((x - width // 2) % (2 * period) - period)
    band = np.where((offset >= 0) & (offset < thick), RED, GROUND)
    return np.where(offset == -2, BLACK, band)


def _stitched(
    grid: Grid, colours: tuple[Colour, Colour, Colour], size: int
) -> NDArray[np.uint8]:
    """Return the grid as an RGB picture in which every cell is a small cross."""
    count = len(grid)
    place = (np.arange(size) + 0.5) * count / size
    cell = np.minimum(place.astype(np.int64), count - 1)
    part = place - cell - 0.5  # -0.5 to 0.5 within the cell
    y, x = np.abs(part)[:, None], np.abs(part)[None, :]
    cross = (np.abs(y - x) < 0.24) & (np.maximum(y, x) < 0.48)
    palette = np.array(colours, np.float64)
    stitched = palette[grid[cell[:, None], cell[None, :]]]
    cloth = palette[GROUND] * 0.94
    picture = np.where(cross[:, :, None], stitched, 0.55 * stitched + 0.45 * cloth)
    return np.clip(picture, 0, 255).astype(np.uint8)
