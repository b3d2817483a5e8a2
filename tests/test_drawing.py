from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeclf import Category, ImageError
from edgeclf.drawing import (
    BAR,
    BEST,
    FOOT,
    LEGEND,
    MARGIN,
    OTHERS,
    PANEL,
    ROW,
    SIDE,
    colors,
    overlay,
    show,
)
from edgeclf.lettering import INK, PAPER, TRACK

CATEGORIES = [
    Category(2, "Wycinanki łowickie", 0.75),
    Category(0, "Gzhel", 0.25),
    Category(1, "Iznik", 0.0),
]


def bars(drawn: Image.Image, row: int) -> np.ndarray:
    """The pixels of one bar from left to right, (PANEL, 3)."""
    left = drawn.width - MARGIN - PANEL
    top = MARGIN + row * ROW + 25 + BAR // 2
    return np.asarray(drawn)[top, left : left + PANEL]


def filled(line: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((line == color).all(axis=1).sum())


def inked(pixels: np.ndarray) -> np.ndarray:
    """Where something is written, (height, width)."""
    return (pixels < 128).all(axis=-1)


def test_bars_are_as_long_as_the_scores() -> None:
    drawn = show(Image.new("RGB", (40, 30), "red"), CATEGORIES)
    assert drawn.size == (SIDE + PANEL + 3 * MARGIN, SIDE * 3 // 4 + 2 * MARGIN)
    assert filled(bars(drawn, 0), BEST) == round(0.75 * PANEL)
    assert filled(bars(drawn, 1), OTHERS) == round(0.25 * PANEL)
    assert filled(bars(drawn, 2), TRACK) == PANEL
    assert filled(bars(drawn, 3), PAPER) == PANEL  # no fourth row


def test_picture_is_whole_and_upright(picture: Callable[..., Path]) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20, 0], pixels[:, 20:, 2] = 255, 255  # red left, blue right
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to be upright: red on top
    path = picture(name="turned.png")
    Image.fromarray(pixels).save(path, exif=exif)
    drawn = np.asarray(show(path, CATEGORIES))
    inner = drawn[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE // 2]
    assert (inner[:300] == (255, 0, 0)).all()
    assert (inner[-300:] == (0, 0, 255)).all()
    turned = np.asarray(show(path, CATEGORIES, rotation=180))
    inner = turned[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE // 2]
    assert (inner[:300] == (0, 0, 255)).all()
    lower = np.asarray(show(path, CATEGORIES, region=(0.0, 0.5, 1.0, 1.0)))
    assert (lower[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE] == (0, 0, 255)).all()


def test_long_labels_end_before_the_score() -> None:
    long = show(Image.new("RGB", (9, 9)), [Category(0, "Wycinanki " * 9, 0.5)])
    left = long.width - MARGIN - PANEL
    line = inked(np.asarray(long)[MARGIN : MARGIN + 22, left : left + PANEL])
    columns = np.flatnonzero(line.any(axis=0))
    gaps = np.diff(columns)
    assert columns.max() < PANEL
    assert gaps.max() >= MARGIN - 2  # between the dots and the score
    assert columns[gaps.argmax()] > PANEL // 2


def test_letters_with_strokes_are_drawn() -> None:
    image = Image.new("RGB", (9, 9))
    with_stroke, without = (
        inked(np.asarray(show(image, [Category(0, label, 0.5)])))
        for label in ("łódź", "lódź")
    )
    assert (with_stroke & ~without).any()


@pytest.mark.parametrize(
    ("count", "rows"), [(0, 0), (1, 1), (5, 5), (6, 6), (7, 5), (40, 5)]
)
def test_labels_without_room_are_counted(count: int, rows: int) -> None:
    tags = [Category(index, f"tag {index}", 1.0) for index in range(count)]
    drawn = show(Image.new("RGB", (64, 30)), tags)  # 300 pixels high: six rows
    full = [filled(bars(drawn, row), PAPER) == 0 for row in range(6)]
    assert full == [True] * rows + [False] * (6 - rows)
    below = np.asarray(drawn)[MARGIN + rows * ROW :, drawn.width - MARGIN - PANEL :]
    assert (below != PAPER).any() == (rows < count or not count)


def test_class_without_label_has_its_number() -> None:
    image = Image.new("RGB", (9, 9))
    drawn = [show(image, [Category(7, label, 0.5)]) for label in (None, "7")]
    np.testing.assert_array_equal(*map(np.asarray, drawn))


@pytest.mark.parametrize(
    ("width", "height", "inner"),
    [
        (1, 1, (SIDE, SIDE)),
        (4000, 8, (SIDE, 1)),
        (8, 4000, (1, SIDE)),
        (3000, 2000, (SIDE, 427)),
    ],
)
def test_pictures_of_any_size(width: int, height: int, inner: tuple[int, int]) -> None:
    image = Image.new("RGB", (width, height), (250, 0, 250))
    drawn = np.asarray(show(image, CATEGORIES))
    place = (drawn == (250, 0, 250)).all(axis=2)
    assert place.sum() == inner[0] * inner[1]
    assert drawn.shape[0] == max(inner[1], len(CATEGORIES) * ROW) + 2 * MARGIN
    heat = overlay(image, np.eye(2, dtype=np.float32), CATEGORIES[0])
    assert heat.width == max(inner[0], 2 * LEGEND) + 2 * MARGIN
    assert heat.height == inner[1] + FOOT + 2 * MARGIN


def test_heat_is_where_the_evidence_is() -> None:
    evidence = np.full((4, 4), -1, np.float32)
    evidence[0, 3] = 2
    heat = np.asarray(overlay(np.full((9, 9, 3), 128, np.uint8), evidence), int)
    inner = heat[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]
    assert inner[80, 560].sum() > 500  # the middle of the cell: bright yellow
    assert inner[80, 560, 2] < inner[80, 560, 0]
    assert inner[400:, :300].max() < 80  # the picture's gray, dimmed
    assert np.unravel_index(inner.sum(axis=2).argmax(), (SIDE, SIDE))[0] < SIDE // 4


def test_overlay_of_raw_and_of_relative_evidence_is_the_same() -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    evidence = np.array([[-1, 4], [2, 8]], np.float32)
    drawn = [overlay(image, values) for values in (evidence, evidence.clip(0) / 8)]
    np.testing.assert_array_equal(*map(np.asarray, drawn))


def test_overlay_names_the_class() -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    evidence = np.ones((2, 2), np.float32)
    foot = [
        inked(np.asarray(overlay(image, evidence, category))[SIDE + MARGIN :, :300])
        for category in (None, CATEGORIES[0])
    ]
    assert not foot[0].any()
    assert foot[1].sum() > 200


def test_colors_grow_lighter_in_even_steps() -> None:
    """The lightness of CIELAB rises, each tenth by 6 to 12 of 100."""
    rgb = colors(np.linspace(0, 1, 11, dtype=np.float32)) / 255
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(
        luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27
    )
    steps = np.diff(lightness)
    assert steps.min() > 6
    assert steps.max() < 12
    np.testing.assert_array_equal(
        colors(np.float32([0, 1])), [(0, 0, 4), (252, 255, 164)]
    )


def test_damaged_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_text("text")
    with pytest.raises(ImageError, match="broken"):
        show(path, CATEGORIES)
    with pytest.raises(ImageError, match="broken"):
        overlay(path, np.ones((2, 2), np.float32))


def test_ink_can_be_read_on_paper() -> None:
    assert sum(PAPER) - sum(INK) > 600
