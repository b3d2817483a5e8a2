"""Keep pictures in folders: copies by label, drawings; nothing is written over."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from edgeclf.decoder import ImageSource, open_image, pillow_settings
from edgeclf.errors import EdgeclfError
from edgeclf.files import adding, check_writable, sweep
from edgeclf.inputs.paths import IMAGE_ENDINGS
from edgeclf.labels import UNKNOWN
from edgeclf.results import Category, label_of
from edgeclf.sources import is_url

MAX_NAME_BYTES = 120  # of 255 that file systems allow: numbers and endings are added
JPEG_QUALITY = 95  # of camera frames; the most that Pillow's documentation advises
# What FAT and Windows do not allow in names (a card that goes from device to desk).
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')


class PictureFolder:
    """A folder that pictures are kept in.

    A picture never replaces another: if there is one of that name with other content,
    a number is added; if it has the same content, it is there already.

    Args:
        folder: `check` makes it.
        option: What errors call it, such as `--sort_into`.
    """

    def __init__(self, folder: str, option: str) -> None:
        self._folder = Path(folder)
        self._place = os.path.realpath(folder)
        self._option = option

    def check(self, arguments: Iterable[str]) -> None:
        """Refuse now what could not be written, or would read what it wrote itself.

        Args:
            arguments: What pictures are read from.

        Raises:
            ValueError: An argument is, holds, or lies in the folder.
            OSError: The folder cannot be made or written to.
        """
        for argument in arguments:
            if is_url(argument) or not Path(argument).exists():
                continue
            place = os.path.realpath(argument)
            if _is_in(place, self._place) or _is_in(self._place, place):
                raise ValueError(
                    f"Expected another folder for {self._option} than one that "
                    f"pictures are read from. Received: {self._folder} and {argument}"
                )
        if self._folder.is_file():
            raise NotADirectoryError(
                f"Expected a folder for {self._option}. Received a file: "
                f"{self._folder}."
            )
        check_writable(self._folder / "picture")
        for folder in self._folder.iterdir():
            if folder.is_dir():
                sweep(folder)

    def add(self, name: str, source: str | bytes) -> None:
        """Keep a copy of a picture.

        Args:
            name: Path below the folder, with `/`.
            source: Its file, whose times the copy gets; or its content.

        Raises:
            OSError: It cannot be read or written.
            EdgeclfError: Its file lies in the folder.
        """
        if isinstance(source, str) and _is_in(os.path.realpath(source), self._place):
            raise EdgeclfError(
                f"{source} lies in {self._folder}, the folder of {self._option}."
            )
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path, number = target, 1
        while True:
            if not os.path.lexists(path):
                with suppress(FileExistsError):  # another process may be quicker
                    _write_copy(source, path)
                    return
            if path.exists() and _has_content(path, source):
                return
            number += 1
            path = target.with_name(f"{target.stem}-{number}{target.suffix}")


def _write_copy(source: str | bytes, path: Path) -> None:
    """Copy a file with its times, or content.

    Raises:
        FileExistsError: There is a file at `path`.
        OSError: It cannot be read or written.
    """
    with adding(path) as temporary:
        if isinstance(source, bytes):
            temporary.write_bytes(source)
        else:
            with open(source, "rb") as file, temporary.open("wb") as copy:  # noqa: PTH123
                shutil.copyfileobj(file, copy)  # copyfile() blames the source
            mode = temporary.stat().st_mode
            shutil.copystat(source, temporary)
            temporary.chmod(mode)  # the copy can be written, if the picture cannot


class Sorter:
    """Copies pictures into a folder for each label.

    Of a model that gives several labels a picture goes into the folder of each.
    `unknown` takes those that were rejected, or for which no label was sure enough.

    Args:
        folder: Where the labels' folders are.
        labels: All labels of the model; None without.
        multi_label: Whether a picture is copied for each of its categories.
    """

    def __init__(
        self, folder: PictureFolder, labels: Sequence[str] | None, multi_label: bool
    ) -> None:
        self._folder = folder
        self._names = folder_names(labels or ())
        self._multi_label = multi_label

    def add(
        self, name: str, source: ImageSource, categories: Sequence[Category]
    ) -> None:
        """Copy one picture.

        Args:
            name: The argument that it came from.
            source: Its path, encoded bytes, or pixels, uint8 `(height, width, 3)`.
            categories: Its labels, the best first.

        Raises:
            OSError, EdgeclfError: As `PictureFolder.add`.
        """
        if isinstance(source, str):
            content: str | bytes = source
            file_name = Path(source).name
        else:
            content = encoded_picture(source)
            file_name = picture_name(name, _ending_of(content, name))
        chosen = categories if self._multi_label else categories[:1]
        for label in [self._name_of(category) for category in chosen] or [UNKNOWN]:
            self._folder.add(f"{label}/{file_name}", content)

    def _name_of(self, category: Category) -> str:
        if category.index is None:
            return UNKNOWN
        label = label_of(category)
        return self._names.get(label) or safe_name(label)


def folder_names(labels: Sequence[str]) -> dict[str, str]:
    """Return a folder name for each label; no two differ in upper and lower case only.

    Labels that would share one, such as `a/b` and `a:b`, get numbers.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in dict.fromkeys(labels):
        base = name = safe_name(label)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.casefold())
        names[label] = name
    return names


def safe_name(text: str) -> str:
    """Return a text as a name that every file system takes, and no reader hides."""
    name = _FORBIDDEN.sub("_", text).strip()
    name = os.fsencode(name)[:MAX_NAME_BYTES].decode("utf-8", "ignore").rstrip(". ")
    return "_" + name[1:] if name.startswith(".") or not name else name


def picture_name(name: str, ending: str) -> str:
    """Return a file name for what an argument stood for.

    Args:
        name: A path, an address, `-`, or what a camera calls its frame.
        ending: It is added when the name has not that of a picture.
    """
    if is_url(name):
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(name)
        name = unquote(parts.path).rstrip("/") or parts.netloc
    name = "stdin" if name == "-" else Path(name).name
    stem, given = os.path.splitext(name)  # noqa: PTH122
    if given.lower() not in IMAGE_ENDINGS:
        stem, given = name, ending
    return safe_name(stem) + given


def encoded_picture(source: ImageSource) -> bytes:
    """Return encoded bytes as they are, and pixels as a JPEG."""
    if isinstance(source, bytes):
        return source
    import io

    buffer = io.BytesIO()
    image = Image.fromarray(np.asarray(source))
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _ending_of(content: bytes, name: str) -> str:
    with pillow_settings(), open_image(content, name) as image:
        return "." + (image.format or "img").lower().replace("jpeg", "jpg")


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _has_content(path: Path, source: str | bytes) -> bool:
    if isinstance(source, str):
        import filecmp

        return filecmp.cmp(path, source, shallow=False)
    return path.stat().st_size == len(source) and path.read_bytes() == source
