"""From an ornament to a photograph: object or close-up, light and camera."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from edgeclf.demo.decors import Decor
from edgeclf.demo.objects import OBJECTS, Light, Scene
from edgeclf.demo.shapes import Colour, vary

BACKDROPS: tuple[Colour, ...] = (
    (250, 250, 250), (250, 250, 250), (232, 232, 230), (206, 200, 190),
    (150, 112, 78), (96, 104, 116), (176, 190, 200), (58, 52, 50),
)  # fmt: skip
PLAIN_SHARE = 0.4  # of the pictures show the ornament alone
CANVAS_SIZE = 420  # side in pixels; the picture is reduced from it


def photograph(
    decor: Decor, rng: np.random.Generator, image_size: tuple[int, int]
) -> Image.Image:
    """Paint an ornament, put it on an object or leave it plain, and take its picture.

    Args:
        decor: What to paint.
        rng: All that is random about the picture.
        image_size: `(height, width)` of the picture in pixels.
    """
    ornament = decor.paint(CANVAS_SIZE, rng)
    if rng.random() < PLAIN_SHARE:
        picture, light = _close_up(ornament, rng), np.ones((2, 2))
    else:
        picture, light = _on_object(ornament, decor, rng)
    height, width = image_size
    return _exposed(
        picture.resize((width, height), Image.Resampling.BILINEAR), light, rng
    )


def _close_up(ornament: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = ornament.width
    ground = ornament.getpixel((2, 2))
    turned = ornament.rotate(
        rng.normal(0, 6), Image.Resampling.BILINEAR, fillcolor=ground
    )
    part = round(side / rng.uniform(1.0, 1.4))
    left, top = (int(value) for value in rng.integers(0, side - part + 1, 2))
    return turned.crop((left, top, left + part, top + part))


def _on_object(
    ornament: Image.Image, decor: Decor, rng: np.random.Generator
) -> tuple[Image.Image, Light]:
    rim = vary(decor.rims[int(rng.integers(len(decor.rims)))], rng, 8)
    backdrop = vary(BACKDROPS[int(rng.integers(len(BACKDROPS)))], rng, 6)
    scene = Scene(ornament, rim, backdrop)
    OBJECTS[decor.objects[int(rng.integers(len(decor.objects)))]](scene, rng)
    return scene.canvas.image, scene.light


def _exposed(
    picture: Image.Image, light: Light, rng: np.random.Generator
) -> Image.Image:
    """Light the picture and add what a camera does: cast, blur and noise."""
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.5)))
    height, width = picture.height, picture.width
    rows = np.arange(height) * len(light) // height
    columns = np.arange(width) * light.shape[1] // width
    slope_x, slope_y = rng.normal(0, 0.08, 2)
    lamp = rng.uniform(0.75, 1.05) + slope_x * np.linspace(-1, 1, width)
    lamp = lamp + slope_y * np.linspace(-1, 1, height)[:, None]
    factors = (light[rows[:, None], columns] * lamp)[:, :, None]
    cast = rng.normal(1, 0.03, 3)
    vivid = rng.uniform(0.8, 1.15)
    noise = rng.standard_normal((height, width, 3), np.float32) * rng.uniform(0, 8)
    pixels = np.asarray(picture, np.float32)
    gray = pixels @ np.full((3, 3), 1 / 3, np.float32)
    pixels = (gray + np.float32(vivid) * (pixels - gray)) * (factors * cast) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
