from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edgeclf import lettering
from edgeclf.errors import ImageError
from edgeclf.evaluation.contact_sheet import (
    CAPTION,
    GAP,
    HEAD,
    MARGIN,
    RIGHT,
    SIDE,
    WRONG,
    LabelledPicture,
    contact_sheet,
)
from edgeclf.lettering import PAPER, draw_text, drawable, text_width
from edgeclf.results import Category

TILE = 80


@pytest.fixture
def gray(tmp_path):
    path = tmp_path / "gray.png"
    Image.new("RGB", (90, 60), (128, 128, 128)).save(path)
    return path


def labelled(path, truth, label, score=0.5):
    return LabelledPicture(path, truth, Category(0, label, score))


def tile_of(sheet, row, column, tile=TILE):
    left = MARGIN + SIDE + column * (tile + GAP)
    top = MARGIN + HEAD + row * (tile + CAPTION + GAP)
    box = (left, top, left + tile, top + tile + CAPTION)
    return np.asarray(sheet.crop(box))


def count(picture, colour):
    return int((picture == colour).all(axis=2).sum())


def test_sheet_has_a_row_for_each_class_and_wraps_long_rows(gray):
    pictures = [labelled(gray, "a", "a")] * 5 + [labelled(gray, "b", "b")] * 2
    sheet = contact_sheet(pictures, "Title", columns=3, tile=TILE)
    step = TILE + CAPTION + GAP
    one = contact_sheet(pictures[:1], "Title", columns=3, tile=TILE)
    assert sheet.width == 2 * MARGIN + SIDE + 3 * (TILE + GAP) - GAP
    assert sheet.height == one.height + 2 * step
    assert count(tile_of(sheet, 1, 1), (128, 128, 128)) > 0.8 * TILE**2
    assert count(tile_of(sheet, 1, 2), PAPER) == TILE * (TILE + CAPTION)
    assert count(tile_of(sheet, 2, 1), (128, 128, 128)) > 0.8 * TILE**2


def test_sheet_groups_classes_in_order_of_appearance(gray):
    pictures = [
        labelled(gray, "b", "b"),
        labelled(gray, "a", "b"),
        labelled(gray, "b", "b"),
    ]
    sheet = contact_sheet(pictures, "", tile=TILE)
    assert count(tile_of(sheet, 0, 0), WRONG) == 0
    assert count(tile_of(sheet, 0, 1), WRONG) == 0
    assert count(tile_of(sheet, 1, 0), WRONG) > 0


def test_mistakes_differ_in_colour_and_in_shape(gray):
    pictures = [labelled(gray, "a", "a"), labelled(gray, "a", "b")]
    sheet = contact_sheet(pictures, "", tile=TILE)
    right, wrong = tile_of(sheet, 0, 0), tile_of(sheet, 0, 1)
    assert count(right, RIGHT) > 0
    assert count(right, WRONG) == 0
    assert count(wrong, RIGHT) == 0
    frame = np.ones((TILE, TILE), bool)
    frame[4:-4, 4:-4] = False
    assert (wrong[:TILE][frame] == WRONG).all(axis=1).mean() > 0.9
    # Without colour: the frame is dark, and a square badge fills its corners.
    assert abs(int(wrong[0, 0].mean()) - int(right[0, 0].mean())) > 60
    badge = np.s_[4:22, TILE - 22 : TILE - 4]
    corner_of = [tuple(int(v) for v in part[badge][1, 1]) for part in (right, wrong)]
    assert corner_of[0] == (128, 128, 128)
    assert corner_of[1] != (128, 128, 128)


def test_bar_is_as_long_as_the_score(gray):
    scores = (0.0, 0.25, 1.0, 1.5)
    pictures = [labelled(gray, "a", "a", score) for score in scores]
    sheet = contact_sheet(pictures, "", tile=TILE)
    lengths = []
    for column in range(len(scores)):
        bar = tile_of(sheet, 0, column)[TILE + 8]
        lengths.append(int((bar == RIGHT).all(axis=1).sum()))
    full = TILE - 32 + 1
    assert lengths == [1, pytest.approx(0.25 * full, abs=1), full, full]


def test_title_and_names_are_written(gray):
    pictures = [labelled(gray, "Wycinanki łowickie", None)]
    sheet = np.asarray(contact_sheet(pictures, "A title", "and more", tile=TILE))
    assert (sheet[MARGIN : MARGIN + 24, MARGIN:] < 100).any()
    assert (sheet[MARGIN + 28 : MARGIN + 44, MARGIN:] < 160).any()
    names = sheet[MARGIN + HEAD + 4 : MARGIN + HEAD + 50, MARGIN : MARGIN + SIDE]
    assert (names < 100).any()


@pytest.mark.parametrize(
    ("pictures", "options"), [(0, {}), (1, {"columns": 0}), (1, {"tile": 31})]
)
def test_sheet_refuses_what_cannot_be_laid_out(gray, pictures, options):
    with pytest.raises(ValueError, match=r"Expected one picture or more.*Received"):
        contact_sheet([labelled(gray, "a", "a")] * pictures, "", **options)


def test_sheet_names_a_picture_that_cannot_be_decoded(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_text("not a picture")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        contact_sheet([labelled(path, "a", "a")], "")


def test_is_right_compares_label_and_truth():
    assert labelled(Path("x"), "a", "a").is_right
    assert not labelled(Path("x"), "a", "b").is_right
    assert not labelled(Path("x"), "a", None).is_right


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Gzhel", "Gzhel"),
        ("Wycinanki łowickie", "Wycinanki łowickie"),
        ("Łódź", "Łodz"),
        ("İznik çini", "Iznik cini"),
        ("naïve – 2 × 3 …", "naive - 2 x 3 ..."),
        ("Straße", "Strasse"),
        ("花", "?"),
        ("a\nb", "a?b"),
    ],
)
def test_drawable_keeps_letters_readable(text, expected):
    assert drawable(text) == expected


def drawn_text(text, **options):
    image = Image.new("RGB", (300, 40), PAPER)
    draw_text(ImageDraw.Draw(image), (4, 4), text, 20, (0, 0, 0), **options)
    return np.asarray(image)


def test_l_with_stroke_is_an_l_and_a_stroke():
    for plain, stroked in (("l", "ł"), ("L", "Ł")):
        without, with_stroke = drawn_text(plain), drawn_text(stroked)
        added = without.astype(int) - with_stroke
        assert (added > 100).any()
        assert (added >= 0).all()
    assert text_width("ałb", 20) == text_width("alb", 20)


def test_long_text_is_shortened_to_its_width():
    assert text_width("Wycinanki łowickie", 20) > 100
    ink = (drawn_text("Wycinanki łowickie", max_width=100) < 128).any(axis=(0, 2))
    assert 50 < np.flatnonzero(ink).max() <= 4 + 100
    np.testing.assert_array_equal(
        drawn_text("short", max_width=200), drawn_text("short")
    )
    assert (drawn_text("Wycinanki", max_width=1) == drawn_text("...")).all()


def test_other_letters_are_drawn_in_a_font_of_the_system(tmp_path, monkeypatch):
    own = lettering.font(20)
    if not getattr(own, "font_bytes", None):
        pytest.skip("Pillow without FreeType has no font that could stand for one")
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(lettering, "SYSTEM_FONTS", ("ItsOwnName.ttf",))
    widths = []
    for _ in range(2):
        lettering.system_font.cache_clear()
        widths.append(text_width("Гжель?", 20))
        (fonts / "ItsOwnName.ttf").write_bytes(own.font_bytes)
    lettering.system_font.cache_clear()
    assert widths[0] == text_width("??????", 20)
    assert widths[1] == pytest.approx(own.getlength("Гжель?"), abs=2)
    assert abs(widths[1] - widths[0]) > 2
    assert text_width("Gżel", 20) == text_width("Gzel", 20)
