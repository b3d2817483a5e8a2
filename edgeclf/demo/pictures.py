"""A folder of pictures to learn from, one folder for each decor."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from pathlib import Path

import numpy as np

from edgeclf.demo.decors import DECORS, Decor
from edgeclf.demo.photographs import photograph
from edgeclf.files import sweep, write_bytes, write_text

SIDES = (216, 264)  # smallest and largest side of a picture in pixels
PNG_EVERY = 10  # every tenth picture is a PNG, the others are JPEG
LIST_NAME = "drawn.json"

_logger = logging.getLogger("edgeclf")


def draw_pictures(
    folder: str | os.PathLike[str], per_class: int = 40, seed: int = 0
) -> list[Path]:
    """Draw pictures of seven decors into class folders.

    The same arguments give the same files. A picture depends on the seed, its class
    and its number only, so that more pictures per class leave the first ones alone.
    What an earlier call drew and this one does not is removed if it is unchanged;
    all other files stay.

    Args:
        folder: Gets a folder for each class and the list of the files drawn.
        per_class: Number of pictures in each class.
        seed: Another seed, other pictures.

    Returns:
        The files drawn, class by class.

    Raises:
        ValueError: `per_class` is less than 1 or the seed is negative.
        OSError: The folder cannot be written to.
    """
    if per_class < 1:
        raise ValueError(f"Expected per_class of at least 1. Received: {per_class}.")
    if seed < 0:
        raise ValueError(f"Expected a seed of at least 0. Received: {seed}.")
    root = Path(folder)
    before = _read_list(root)
    for folder in (root.parent, root, *(root / decor.name for decor in DECORS)):
        sweep(folder)
    drawn: dict[str, str] = {}
    for class_index, decor in enumerate(DECORS):
        for number in range(1, per_class + 1):
            rng = np.random.default_rng([seed, class_index, number])
            suffix = ".jpg" if number % PNG_EVERY else ".png"
            name = f"{decor.name}/{decor.name.split()[-1].lower()}_{number:03d}{suffix}"
            content = draw_picture(decor, rng, suffix)
            write_bytes(root / name, content)
            drawn[name] = hashlib.sha256(content).hexdigest()
        _logger.info("  %s: %d pictures", decor.name, per_class)
    _remove_unchanged(root, {name: before[name] for name in before.keys() - drawn})
    write_text(root / LIST_NAME, json.dumps(drawn, indent=1, sort_keys=True) + "\n")
    return [root / name for name in drawn]


def draw_picture(decor: Decor, rng: np.random.Generator, suffix: str) -> bytes:
    """Return one picture as the content of a JPEG or PNG file.

    Args:
        decor: What to draw.
        rng: All that is random about it.
        suffix: `.jpg` or `.png`.
    """
    height, width = (int(side) for side in rng.integers(*SIDES, 2, endpoint=True))
    picture = photograph(decor, rng, (height, width))
    buffer = io.BytesIO()
    if suffix == ".png":
        picture.save(buffer, "PNG", compress_level=3)
    else:
        picture.save(buffer, "JPEG", quality=int(rng.integers(70, 93)))
    return buffer.getvalue()


def _read_list(root: Path) -> dict[str, str]:
    """Return names and SHA-256 of what was drawn before, nothing if unknown."""
    try:
        names = json.loads((root / LIST_NAME).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return names if isinstance(names, dict) else {}


def _remove_unchanged(root: Path, files: dict[str, str]) -> None:
    for name, sha256 in files.items():
        path = root / name
        inside = path.resolve().is_relative_to(root.resolve())
        if not inside or not path.is_file():
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
            path.unlink()
