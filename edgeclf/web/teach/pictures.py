"""Pictures that are added to a class, and small ones of them to look at."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from edgeclf import files, image
from edgeclf.decoder import open_image, pillow_settings
from edgeclf.errors import ImageError
from edgeclf.web.teach.project import ID_LETTERS, Listed, Project

# Endings of what can be added: what cameras, phones and browsers make. Of HEIC and
# the like the sentence says what to do.
ENDINGS = {
    "AVIF": ".avif",
    "BMP": ".bmp",
    "GIF": ".gif",
    "JPEG": ".jpg",
    "JPEG2000": ".jp2",
    "MPO": ".jpg",  # a JPEG with further pictures behind it
    "PNG": ".png",
    "PPM": ".ppm",
    "TIFF": ".tif",
    "WEBP": ".webp",
}
THUMBNAIL = 160  # pixels of the longer side
_CHECKED_SIZE = (
    224,
    224,
)  # what a JPEG is decoded to, roughly, to see that it is whole
_KEPT_BYTES = 8 << 20  # of thumbnails: about 1,500


class Checked(NamedTuple):
    """A picture that can be added.

    Attributes:
        content: Of the file.
        ending: That its format has, with the dot.
    """

    content: bytes
    ending: str


def checked(content: bytes, name: str) -> Checked:
    """Decode a picture, and say how its file is to be named.

    Args:
        content: Of the file.
        name: What errors call it.

    Raises:
        ImageError: It is damaged, too large, animated, or of a format that is not
            taken.
    """
    with pillow_settings(), open_image(content, name) as opened:
        form = opened.format or ""
        animated = form != "MPO" and getattr(opened, "is_animated", False)
    if animated:
        raise ImageError(
            f"{name} has several pictures in it. Add one of them: a class is learnt "
            "from single pictures."
        )
    if form not in ENDINGS:
        raise ImageError(f"{name} is a {form} picture. Convert it to JPEG or PNG.")
    image.decode(content, _CHECKED_SIZE, name=name)
    return Checked(content, ENDINGS[form])


class Added(NamedTuple):
    """What became of pictures.

    Attributes:
        names: Id and name of each that is new.
        duplicates: How many the class had already.
        elsewhere: Of those that are new the names that another class has too, and
            which.
        num_pictures: Of the class now.
    """

    names: list[tuple[str, str]]
    duplicates: int
    elsewhere: list[tuple[str, str]]
    num_pictures: int


def add(project: Project, label: str, pictures: list[Checked]) -> Added:
    """Write pictures into a class, each under the hash of its content.

    Raises:
        ProblemError: There is no such class.
        OSError: The disk does not take them; those before stay.
    """
    added: list[tuple[str, str]] = []
    elsewhere: list[tuple[str, str]] = []
    duplicates = 0
    with project.lock:
        folder = project.own_class_folder(label)
        there = project.pictures(label)
        others = [name for name in project.class_names() if name != label]
        by_size: dict[int, list[Path]] = {}
        for row in there:
            by_size.setdefault(row.size_bytes, []).append(row.path)
        for content, ending in pictures:
            alike = by_size.setdefault(len(content), [])
            if any(_is_same(path, content) for path in alike):
                duplicates += 1
                continue
            name = hashlib.sha256(content).hexdigest()[:ID_LETTERS] + ending
            with files.replacing(folder / name) as part, part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # it may be a Pi that loses its power
            alike.append(folder / name)
            added.append((name[:ID_LETTERS], name))
            elsewhere += [
                (name, other)
                for other in others
                if (project.folder / other / name).is_file()
            ]
        if added:
            files.sync_folder(folder)
        return Added(added, duplicates, elsewhere, len(there) + len(added))


class Thumbnails:
    """Small JPEGs of pictures, the latest of which are kept in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()
        self._making = threading.BoundedSemaphore(2)  # decoded at a time

    def of(self, picture: Listed) -> bytes:
        """Return the JPEG of a picture, at most `THUMBNAIL` pixels a side.

        Raises:
            ImageError: It cannot be decoded.
            OSError: It cannot be read.
        """
        key = (str(picture.path), picture.size_bytes, picture.modified_ns)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._making:
            content = _thumbnail(picture)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = content
                self._size_bytes += len(content)
            while self._size_bytes > _KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._size_bytes -= len(oldest)
        return content


def etag(picture: Listed) -> str:
    """Return what changes when a picture does, for the header `ETag`."""
    said = f"{picture.path}\0{picture.size_bytes}\0{picture.modified_ns}"
    return f'"{hashlib.sha256(os.fsencode(said)).hexdigest()[:20]}"'


def _thumbnail(picture: Listed) -> bytes:
    content = picture.path.read_bytes()
    wanted = (THUMBNAIL, THUMBNAIL)
    decoded = image.decode(content, wanted, name=picture.name)
    height, width = image.own_size(decoded.box, THUMBNAIL)
    pixels = image.stretch(decoded, (height, width))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return file.getvalue()


def _is_same(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
