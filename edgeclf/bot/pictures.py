"""The picture in a message: which of its sizes to take, and its bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from telegram import Bot, Document, File, Message, PhotoSize

from edgeclf.inputs.paths import IMAGE_ENDINGS

ENOUGH = 2  # times the model's input, as JPEGs are scaled while they are decoded
DOWNLOAD_S = 90.0  # for all of a file; the Bot API server allows no resuming
_UNTOLD = {None, "", "application/octet-stream"}  # media types that say nothing


class Picture(NamedTuple):
    """A picture in a message.

    Attributes:
        file_id: Of what the model gets to see.
        unique_id: Of the same, the same for all bots and at all times.
        largest_id: The `file_id` of its largest size.
        size_bytes: As far as Telegram says it.
    """

    file_id: str
    unique_id: str
    largest_id: str
    size_bytes: int | None


class TooLargeError(Exception):
    """A file has more bytes than the bot takes.

    Attributes:
        size_bytes: How many.
    """

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes


def picture_of(message: Message, input_size: tuple[int, int] | None) -> Picture | None:
    """Return the picture in a message; None if it has none.

    Args:
        message: Any message.
        input_size: `(height, width)` of the model's input; None if it takes any.
    """
    if message.photo:
        size = choose_size(message.photo, input_size)
        largest = choose_size(message.photo, None)
        return Picture(
            size.file_id, size.file_unique_id, largest.file_id, size.file_size
        )
    document = message.document
    # A GIF comes as an animation, and for old clients as a document too.
    if document is None or message.animation or not is_image(document):
        return None
    return Picture(
        document.file_id,
        document.file_unique_id,
        document.file_id,
        document.file_size,
    )


def choose_size(
    sizes: Sequence[PhotoSize], input_size: tuple[int, int] | None
) -> PhotoSize:
    """Return the smallest size that has twice the pixels of the model's input each way.

    Args:
        sizes: One or more.
        input_size: `(height, width)`. None: the largest size is wanted.
    """
    ordered = sorted(sizes, key=lambda size: size.width * size.height)
    if input_size is not None:
        height, width = (ENOUGH * side for side in input_size)
        for size in ordered:
            if size.height >= height and size.width >= width:
                return size
    return ordered[-1]


def is_image(document: Document) -> bool:
    """Tell whether a file is sent as an image, by its type, else by its name.

    Whether it is one is for the decoder to say.
    """
    if document.mime_type in _UNTOLD:
        ending = PurePosixPath(document.file_name or "").suffix.lower()
        return ending in IMAGE_ENDINGS
    return (document.mime_type or "").startswith("image/")


async def download(bot: Bot, file_id: str, max_bytes: int) -> bytes:
    """Return a file's bytes.

    A Bot API server that runs with `--local` says where the file lies on its disk: it
    is read from there when this machine has that path too.

    Raises:
        TelegramError: It cannot be fetched.
        TooLargeError: It has more than `max_bytes`.
        OSError: The local file cannot be read.
        asyncio.TimeoutError: It takes longer than `DOWNLOAD_S`.
    """
    file = await bot.get_file(file_id)
    _check_size(file.file_size or 0, max_bytes)
    path = file.file_path or ""
    if os.path.isabs(path):  # noqa: PTH117 - of the server's system
        return await asyncio.to_thread(_read, Path(path), max_bytes)
    if "://" not in path:
        # A file of that name happens to lie in the current folder, which the library
        # would read in place of Telegram's.
        address = f"{bot.base_file_url}/{path}"
        file = File(file.file_id, file.file_unique_id, file.file_size, address)
        file.set_bot(bot)
    content = await asyncio.wait_for(
        file.download_as_bytearray(read_timeout=30), DOWNLOAD_S
    )
    _check_size(len(content), max_bytes)
    return bytes(content)


def _read(path: Path, max_bytes: int) -> bytes:
    _check_size(path.stat().st_size, max_bytes)
    return path.read_bytes()


def _check_size(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise TooLargeError(size_bytes)
