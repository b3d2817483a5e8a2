"""Pictures that people have corrected, as `retrain` takes them.

```
DIR/Gzhel/0123456789abcdef.jpg      of a model that gives one label
DIR/images/0123456789abcdef.jpg     of a model that gives tags,
DIR/tags.csv                        and file,tags for each of them
```

A file is named after what was sent: who corrects a picture again moves it. What was
sent as a file may say where and when it was taken, and with whose camera: that is left
out.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from edgeclf import files
from edgeclf.decoder import open_image, pillow_settings
from edgeclf.errors import DatasetError, LabelError
from edgeclf.image import load

IMAGES = "images"
TABLE = "tags.csv"
HEADER = ("file", "tags")
SEPARATORS = ";,"  # of tags; the first is written
MAX_NAME_BYTES = 255  # of a folder's name, where most systems end
_DIGITS = 16
_LOSSLESS = {"BMP", "GIF", "PNG", "TIFF"}
# Parts of a JPEG file that say how to show it: JFIF, colour profile, Adobe's colours.
_PLAIN = {"APP0", "APP2", "APP14"}


class Feedback:
    """The folder of corrected pictures. Threads may share one object.

    Args:
        folder: Is made where it is missing.
        labels: Of the model.
        multi_label: Whether it gives tags.

    Raises:
        LabelError: A label cannot name a folder, or a tag cannot stand in the table.
        OSError: The folder cannot be written to.
    """

    def __init__(
        self, folder: Path, labels: Sequence[str], *, multi_label: bool
    ) -> None:
        self._folder = folder
        self._multi_label = multi_label
        self._writing = threading.Lock()
        for label in labels:
            _check_label(label, multi_label)
        files.check_writable(folder / TABLE)

    def store(self, content: bytes, labels: Sequence[str]) -> Path:
        """Store a picture with what people say it shows; return its path.

        A process that is killed meanwhile leaves the picture under its old label,
        under both, or under the new one; storing it again leaves it under the new one.

        Args:
            content: The picture's file.
            labels: One, or for a model of tags any number.

        Raises:
            ImageError: It is no picture.
            DatasetError: The table is damaged.
            OSError: It cannot be written.
        """
        stem = hashlib.sha256(content).hexdigest()[:_DIGITS]
        content, ending = _without_metadata(content)
        with self._writing:
            if self._multi_label:
                path = self._folder / IMAGES / (stem + ending)
                _write(path, content)
                self._write_row(path.name, labels)
                return path
            (label,) = labels
            path = self._folder / label / (stem + ending)
            _write(path, content)
            for other in self._folder.glob(f"*/{stem}{ending}"):
                if other != path:
                    other.unlink()
            return path

    def _write_row(self, name: str, tags: Sequence[str]) -> None:
        table = self._folder / TABLE
        rows = {}
        if table.exists():
            try:
                with table.open(encoding="utf-8-sig", newline="") as file:
                    rows = {row[0]: row[1:] for row in csv.reader(file) if row}
            except (csv.Error, UnicodeError) as error:
                raise DatasetError(
                    "Expected a table in UTF-8 that can be added to. Received: "
                    f"{table} ({error}). Mend it, or move it away."
                ) from error
            rows.pop(HEADER[0], None)
        rows[name] = [SEPARATORS[0].join(tags)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows([file, *cells] for file, cells in rows.items())
        _write(table, files.encoded(text.getvalue()))


def _without_metadata(content: bytes) -> tuple[bytes, str]:
    """Return a picture's file without what it says about its making, and its ending.

    A JPEG file that says nothing stays as it is, as all photos from Telegram do. Of
    others the pixels that training sees are written anew.

    Raises:
        ImageError: It is no picture.
    """
    with pillow_settings():
        image = open_image(content, "image")
        parts = {name for name, _ in getattr(image, "applist", ())}
        if image.format == "JPEG" and parts <= _PLAIN:
            return content, ".jpg"
    pixels = Image.fromarray(load(content, None))
    file = io.BytesIO()
    if image.format in _LOSSLESS:
        pixels.save(file, "PNG")
        return file.getvalue(), ".png"
    pixels.save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue(), ".jpg"


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there in full when the power fails."""
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    files.sync_folder(path.parent)


def _check_label(label: str, multi_label: bool) -> None:
    if multi_label:
        if set(label) & set(SEPARATORS):
            raise LabelError(
                f"Expected tags without any of {SEPARATORS!r}, which separate them in "
                f"{TABLE}, for --feedback. Received: {label!r}"
            )
    elif (
        not label
        or label[0] in "._"
        or set(label) & set("/\\\0")
        or len(os.fsencode(label)) > MAX_NAME_BYTES
    ):
        raise LabelError(
            "Expected labels that can name folders, without slashes, not beginning "
            f"with a dot or an underscore, of {MAX_NAME_BYTES} bytes at most, for "
            f"--feedback. Received: {label!r}"
        )
