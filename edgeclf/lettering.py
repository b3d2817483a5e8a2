"""Text on pictures, also without a font file on the machine.

Pillow carries one small font. It has the ASCII letters only, so other Latin letters
lose their marks, except that ł and Ł get their stroke back. What has no Latin base
letter is drawn in a font of the system's; where there is none, it becomes a question
mark.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Fill = tuple[int, int, int]

INK = (34, 38, 46)
SOFT_INK = (106, 112, 122)
TRACK = (224, 227, 232)  # of a bar, where it is not filled
PAPER = (255, 255, 255)

SYSTEM_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "FreeSans.ttf")

_STROKED = {"ł": "l", "Ł": "L"}
_PLAIN = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
        "đ": "d", "Đ": "D", "\u0131": "i", "\u00d7": "x", "\u2013": "-",
        "\u2014": "-", "\u2019": "'",
    }
)  # fmt: skip


@lru_cache(maxsize=16)
def font(size: float) -> Font:
    """Return Pillow's own font, in the given size where Pillow can scale it."""
    try:
        return ImageFont.load_default(size=size)
    except (TypeError, ImportError):  # Pillow before 10.1, or without FreeType
        return ImageFont.load_default()


def drawable(text: str) -> str:
    """Return the text in the letters that `draw_text` can draw."""
    letters = []
    for letter in text.translate(_PLAIN):
        if letter not in _STROKED:
            bare = unicodedata.normalize("NFKD", letter)
            bare = "".join(part for part in bare if not unicodedata.combining(part))
            letter = bare if bare.isascii() and bare.isprintable() else "?"
        letters.append(letter)
    return "".join(letters)


@lru_cache(maxsize=16)
def system_font(size: float) -> Font | None:
    """Return a font of the system's that has more than Latin letters, if there is one.

    Pillow looks for the names in the folders where systems keep their fonts.
    """
    for name in SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, round(size))
        except (OSError, ImportError):
            continue
    return None


def text_width(text: str, size: float) -> float:
    """Return how many pixels a text takes from left to right."""
    return _length(*_typeset(text, size))


def draw_text(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    text: str,
    size: float,
    fill: Fill,
    max_width: float | None = None,
) -> None:
    """Draw one line of text, shortened with dots where it would be too wide.

    Args:
        draw: Where.
        position: `(left, top)` in pixels.
        text: Any text; see `drawable`.
        size: Height of the font in pixels.
        fill: RGB.
        max_width: In pixels. Default: as wide as it gets.
    """
    if max_width is not None and text_width(text, size) > max_width:
        while text and text_width(text + "...", size) > max_width:
            text = text[:-1]
        text = text.rstrip() + "..."
    line, typeface = _typeset(text, size)
    left, top = position
    draw.text((left, top), line, fill=fill, font=typeface)
    if typeface is not font(size):
        return
    for index, letter in enumerate(line := drawable(text)):
        if letter in _STROKED:
            before = left + _length(_ascii(line[:index]), typeface)
            _draw_stroke(draw, (before, top), typeface, _STROKED[letter], fill)


def _typeset(text: str, size: float) -> tuple[str, Font]:
    """Return a text as it is drawn, and in which font."""
    line = drawable(text)
    if line.count("?") > text.count("?") and (other := system_font(size)) is not None:
        return text, other
    return _ascii(line), font(size)


def _ascii(line: str) -> str:
    return "".join(_STROKED.get(letter, letter) for letter in line)


def _length(line: str, typeface: Font) -> float:
    return float(_draw_nowhere().textlength(line, font=typeface))


def _draw_nowhere() -> ImageDraw.ImageDraw:
    return ImageDraw.Draw(Image.new("L", (1, 1)))


def _draw_stroke(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    typeface: Font,
    letter: str,
    fill: Fill,
) -> None:
    """Cross the stem of an l or L that stands at `position`, rising to the right."""
    inked = Image.new("L", (200, 200))
    ImageDraw.Draw(inked).text((0, 0), letter, fill=255, font=typeface)
    left, top, right, bottom = inked.getbbox() or (0, 0, 1, 1)
    height = bottom - top
    x = position[0] + left + (right - left) * (0.5 if letter == "l" else 0.2)
    y = position[1] + top + 0.52 * height
    reach = 0.2 * height
    ends = (x - reach, y + 0.6 * reach, x + reach, y - 0.6 * reach)
    draw.line(ends, fill=fill, width=max(1, round(height / 11)))
