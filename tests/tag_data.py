"""Pictures of two colours each, and tables that tag them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny
from PIL import Image


def tags_of(number: int) -> tuple[str, ...]:
    """Every picture has one of the pairs of colours, some one colour, some none."""
    blue, green, red = tiny.COLORS
    mixes = ((blue,), (green, red), (red,), (blue, red), (blue, green), (green,), ())
    return mixes[number % len(mixes)]


def pixels(tags: tuple[str, ...], seed: int) -> np.ndarray:
    """The colours beside each other, noisy; gray noise for none."""
    if not tags:
        source = np.random.default_rng(seed)
        coarse = source.normal(128, 55, (6, 6, 1)).repeat(3, axis=2)
        gray = np.kron(coarse, np.ones((5, 7, 1)))[:, :40]
        return np.clip(gray, 0, 255).astype(np.uint8)
    halves = [tiny.pixels(color, seed, (40 // len(tags), 30)) for color in tags]
    return np.concatenate(halves, axis=1)


def write_pictures(folder: Path, count: int) -> list[str]:
    """Write pictures; return the rows of a table of their tags."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        tags = tags_of(number)
        Image.fromarray(pixels(tags, number)).save(folder / f"{number:03}.png")
        rows.append(f"{number:03}.png,{';'.join(tags)}")
    return rows


def write_table(path: Path, rows: list[str]) -> Path:
    path.write_text("file,tags\n" + "".join(f"{row}\n" for row in rows), "utf-8")
    return path
