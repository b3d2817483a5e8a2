"""Which picture of a message is taken, and how many."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("telegram")

from telegram import Bot, Document, File, Message, PhotoSize

from edgeclf.bot.pictures import TooLargeError, choose_size, download, picture_of
from edgeclf.bot.rate import Rate, Refusal

SIZES = [
    PhotoSize(f"f{width}", f"u{width}", width, width * 3 // 4, file_size=width)
    for width in (90, 1280, 320, 800)
]


@pytest.mark.parametrize(
    ("input_size", "width"),
    [((224, 224), 800), ((96, 96), 320), ((240, 320), 800), ((999, 9), 1280)],
)
def test_the_smallest_size_with_twice_the_input_is_taken(
    input_size: tuple[int, int], width: int
) -> None:
    assert choose_size(SIZES, input_size).width == width
    assert choose_size(SIZES, None).width == 1280


def message(**content: Any) -> Message:
    chat = {"id": 1, "type": "private"}
    fields = {"message_id": 1, "date": 0, "chat": chat, **content}
    return Message.de_json(fields, None)


def test_a_photo_is_corrected_with_its_largest_size() -> None:
    sizes = [size.to_dict() for size in SIZES]
    picture = picture_of(message(photo=sizes), (224, 224))
    assert picture == ("f800", "u800", "f1280", 800)


@pytest.mark.parametrize(
    ("mime_type", "file_name", "is_picture"),
    [
        ("image/png", "x.bin", True),
        ("image/heic", None, True),
        ("application/octet-stream", "x.JPG", True),
        (None, "x.webp", True),
        (None, "x", False),
        (None, None, False),
        ("application/pdf", "x.jpg", False),
        ("video/mp4", "x.gif", False),
    ],
)
def test_files_are_pictures_by_type_or_name(
    mime_type: str | None, file_name: str | None, is_picture: bool
) -> None:
    document = Document("f", "u", file_name, mime_type, file_size=5).to_dict()
    picture = picture_of(message(document=document), None)
    assert (picture == ("f", "u", "f", 5)) is is_picture
    assert picture_of(message(text="x.jpg"), None) is None


class LocalBot(Bot):
    """A bot whose server runs with --local on this machine."""

    __slots__ = ("path",)

    async def get_file(self, file_id: str, **_: Any) -> File:  # type: ignore[override]
        return File(file_id, "u", file_path=str(self.path))


def test_a_local_server_says_where_the_file_lies(tmp_path: Path) -> None:
    bot = LocalBot("1:x")
    with bot._unfrozen():
        bot.path = tmp_path / "picture"
    bot.path.write_bytes(b"12345")
    assert asyncio.run(download(bot, "f", 5)) == b"12345"
    with pytest.raises(TooLargeError):
        asyncio.run(download(bot, "f", 4))


def test_rate_counts_any_minute_by_the_senders_clock() -> None:
    rate = Rate(2)
    assert [rate.admit(1, at) for at in (0, 30)] == [None, None]
    assert rate.admit(1, 40) == Refusal(20, is_first=True)
    assert rate.admit(1, 41) == Refusal(19, is_first=False)
    assert rate.admit(2, 41) is None
    assert rate.admit(1, 60) is None
    assert rate.admit(1, 61) == Refusal(29, is_first=True)


def test_rate_forgets_chats_that_are_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    rate = Rate(1)
    for chat in range(10_001):
        rate.admit(chat, 0)
    assert rate.admit(0, 59) is not None
    rate.admit(0, 61)
    assert len(rate._sent) == 1
