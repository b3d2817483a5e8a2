"""The bytes of a model: read once, not more than may be, and only those that are meant.

What is checked is what is used: nobody opens the file a second time, so that it cannot
be another one by then.
"""

from __future__ import annotations

import io
import os
import stat
from typing import BinaryIO, TypeAlias

from edgeclf.errors import ModelError
from edgeclf.tflite.memory import MAX_MODEL_MB, MEGABYTE

ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | io.BytesIO"

_SHA256_DIGITS = 64
_PIECE_BYTES = 1 << 20


def read_model(
    model: ModelSource, sha256: str | None = None, max_model_mb: int | None = None
) -> tuple[str, bytes]:
    """Return what errors call the model, and its content.

    Args:
        model: Path or content; a `BytesIO` may have a `name`.
        sha256: Sum that the content must have, 64 hexadecimal digits. Default: any.
        max_model_mb: Most memory of the model in MB, of which the file is a part.
            Default: `MAX_MODEL_MB`.

    Raises:
        OSError: The path cannot be read; `FileNotFoundError` when it does not exist.
        ModelError: The file is larger, or has another sum.
        ValueError: `sha256` is none, or `max_model_mb` less than 1.
    """
    wanted = None if sha256 is None else checked_sha256(sha256)
    most = max_model_bytes(max_model_mb)
    name, content = _read(model, most)
    if wanted is not None:
        import hashlib  # felt by who labels one picture

        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise ModelError(
                f"{name}: Expected a file of SHA-256 {wanted}. Received: {found}. "
                "It is not the model that is meant, or was changed on the way: do not "
                "use it, get it again."
            )
    return name, content


def checked_sha256(text: str) -> str:
    """Return a sum in small letters.

    Raises:
        ValueError: It is no SHA-256, or only a part of one.
    """
    digits = text.lower()
    if len(digits) != _SHA256_DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise ValueError(
            f"Expected a SHA-256 of {_SHA256_DIGITS} hexadecimal digits, as sha256sum "
            f"prints it. Received: {text[:80]!r} ({len(text)} characters)."
        )
    return digits


def max_model_bytes(max_model_mb: int | None) -> int:
    """Return the limit in bytes; None stands for `MAX_MODEL_MB`.

    Raises:
        ValueError: It is less than 1.
    """
    megabytes = MAX_MODEL_MB if max_model_mb is None else max_model_mb
    if megabytes < 1:
        raise ValueError(
            f"Expected max_model_mb of 1 or more. Received: max_model_mb={megabytes}"
        )
    return megabytes * MEGABYTE


def _read(model: ModelSource, most: int) -> tuple[str, bytes]:
    if isinstance(model, (bytes, bytearray, memoryview)):
        return "the model", bytes(model)
    if isinstance(model, io.BytesIO):  # of one that has been read already
        return str(getattr(model, "name", "the model")), model.read()
    name = os.fsdecode(model)
    # Not pathlib: importing it takes longer than an inference.
    with open(model, "rb") as file:  # noqa: PTH123
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size <= most:
            return name, file.read()
        return name, _read_pieces(file, most, name, status.st_size)


def _read_pieces(file: BinaryIO, most: int, name: str, size_bytes: int) -> bytes:
    """Read a pipe perhaps, of which nobody knows the size."""
    content = bytearray()
    while size_bytes <= most and len(content) <= most:
        piece = file.read(_PIECE_BYTES)
        if not piece:
            return bytes(content)
        content += piece
    raise ModelError(
        f"{name}: Expected a model of at most {most // MEGABYTE} MB, which "
        f"--max_model_mb (max_model_mb=) changes. Received: more."
    )
