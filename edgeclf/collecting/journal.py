"""What became of each address, one line of JSON each.

A line is written before its picture is moved into place, so that after a crash the
next run finishes what this one began, and asks for nothing that it knows.
"""

from __future__ import annotations

import binascii
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.collecting.found import Found
from edgeclf.collecting.picture import Picture
from edgeclf.collecting.seen import COLOR_SIDE
from edgeclf.data.line_file import LineFile
from edgeclf.errors import DatasetError

STORED = "stored"
PRESENT = "present"  # a picture that was in a class folder before


@dataclass(frozen=True)
class Settled:
    """What became of one address, or a picture that was there before.

    Attributes:
        found: The address and what is known of it; None for a picture of `PRESENT`.
        outcome: `STORED`, `PRESENT`, or why it is not there, in a word or two.
        reason: The same as a sentence; "" for pictures that are there.
        is_final: Whether it need not be asked for again.
        bound: What it has of what the limit is about: the shorter side of a picture
            that is too small, the limit in bytes that one is beyond.
        files: Paths below the output folder, with forward slashes.
        picture: What is known of a picture that is there.
    """

    found: Found | None
    outcome: str
    reason: str = ""
    is_final: bool = True
    bound: int | None = None
    files: tuple[str, ...] = ()
    picture: Picture | None = None


class Journal:
    """The journal of an output folder; only one process has it open.

    Attributes:
        entries: All that was ever settled, in order.

    Args:
        path: The file; its folder must exist.

    Raises:
        OSError: It cannot be opened.
        DatasetError: Another process has it open, or it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self.entries: list[Settled] = []
        try:
            for number, line in enumerate(self._file.content.splitlines(), start=1):
                self.entries.append(_parsed(path, number, line))
        except BaseException:
            self._file.close()
            raise

    def add(self, entry: Settled) -> None:
        """Write a line.

        Raises:
            OSError: The disk does not take it.
        """
        content: dict[str, Any] = {
            "outcome": entry.outcome,
            "reason": entry.reason,
            "is_final": entry.is_final,
            "bound": entry.bound,
            "files": entry.files,
            "found": entry.found and asdict(entry.found),
            "picture": entry.picture and _described(entry.picture),
        }
        # ASCII: names that are not UTF-8 come back as they were.
        self._file.append(json.dumps(content) + "\n")
        self.entries.append(entry)

    def close(self) -> None:
        """Let others have it."""
        self._file.close()


def _described(picture: Picture) -> dict[str, Any]:
    return {
        "sha256": picture.digest.hex(),
        "size_bytes": picture.size_bytes,
        "ending": picture.ending,
        "width": picture.width,
        "height": picture.height,
        "fingerprint": _text(picture.fingerprint.tobytes()),
        "colors": _text(picture.colors.tobytes()),
    }


def _parsed(path: Path, number: int, line: bytes) -> Settled:
    """Return what a line says.

    Raises:
        DatasetError: It is not one that `Journal` writes.
    """
    try:
        entry = json.loads(line)
        found = entry["found"]
        if found is not None:
            found = Found(**{**found, "labels": tuple(found["labels"])})
        return Settled(
            found,
            entry["outcome"],
            entry["reason"],
            entry["is_final"],
            entry["bound"],
            tuple(entry["files"]),
            entry["picture"] and _picture(entry["picture"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f"Expected one JSON object a line in {path}, as edgeclf collect writes it. "
            f"Received: another line {number}. Remove that line: then its picture is "
            "asked for again."
        ) from error


def _picture(entry: dict[str, Any]) -> Picture:
    bits = np.frombuffer(binascii.a2b_base64(entry["fingerprint"]), np.uint8)
    colors = np.frombuffer(binascii.a2b_base64(entry["colors"]), np.uint8)
    return Picture(
        bytes.fromhex(entry["sha256"]),
        int(entry["size_bytes"]),
        str(entry["ending"]),
        int(entry["width"]),
        int(entry["height"]),
        bits,
        colors.reshape(COLOR_SIDE, COLOR_SIDE, 3),
    )


def _text(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).decode("ascii")
