"""Write pictures that are drawn of pictures: one file, or a folder of them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from edgeclf.decoder import ImageSource
from edgeclf.errors import EdgeclfError
from edgeclf.files import check_writable, write_bytes
from edgeclf.labelling.sorting import PictureFolder, picture_name

FOLDER_FORMAT = "PNG"  # of what is drawn into a folder


class Illustrations:
    """Where an option such as `--show OUT` puts what is drawn.

    `OUT` is a file if it ends as one of Pillow's formats does, otherwise a folder, in
    which no file is written over. A camera's frames write the file anew each time.

    Args:
        out: What the user wrote.
        option: What errors call it.
        arguments: What pictures are read from; None for a camera.
        total: How many pictures there will be; None when that is not known.

    Raises:
        ValueError: A file for several pictures; an ending that Pillow cannot write for
            a single one; or a picture that is read would be written over.
        OSError: The file or folder cannot be written.
    """

    def __init__(
        self, out: str, option: str, arguments: Sequence[str] | None, total: int | None
    ) -> None:
        self._out = out
        self._option = option
        self._is_camera = arguments is None
        self._written = False
        self._folder: PictureFolder | None = None
        ending = os.path.splitext(out)[1].lower()  # noqa: PTH122
        self._format = _format_of(ending)
        if Path(out).is_dir() or out.endswith(os.sep) or not ending:
            self._folder = PictureFolder(out, option)
        elif self._format is None:
            if total == 1:
                raise ValueError(
                    f"Expected {option} FILE with an ending that Pillow can write, "
                    f"such as .png, or a folder. Received: {out}"
                )
            self._folder = PictureFolder(out, option)
        elif total is not None and total > 1:
            raise ValueError(
                f"Expected {option} FOLDER for {total} pictures. Received: {out}"
            )
        if self._folder is not None:
            self._folder.check(arguments or ())
            return
        for argument in arguments or ():
            if self._is_out(argument):
                raise ValueError(self._refusal(argument))
        check_writable(out)

    def add(self, name: str, source: ImageSource, drawn: Image.Image) -> None:
        """Write what was drawn of a picture.

        Args:
            name: The argument that the picture came from.
            source: The picture: its path, encoded bytes or pixels.
            drawn: What to write.

        Raises:
            OSError: It cannot be written.
            EdgeclfError: It would replace `source`, or a second picture the first.
        """
        if self._folder is not None:
            called = picture_name(source if isinstance(source, str) else name, ".png")
            content = _encoded(drawn, FOLDER_FORMAT)
            self._folder.add(Path(called).with_suffix(".png").name, content)
            return
        if isinstance(source, str) and self._is_out(source):
            raise EdgeclfError(self._refusal(source))
        if self._written and not self._is_camera:
            raise EdgeclfError(
                f"Expected {self._option} FOLDER for several pictures. "
                f"Received: {self._out}"
            )
        self._written = True
        write_bytes(self._out, _encoded(drawn, self._format))

    def _is_out(self, path: str) -> bool:
        return os.path.realpath(path) == os.path.realpath(self._out)

    def _refusal(self, path: str) -> str:
        return f"Expected another file for {self._option} than the picture {path}."


def _format_of(ending: str) -> str | None:
    """Return Pillow's name of a format that it can write colours in; None if none."""
    name = Image.registered_extensions().get(ending)
    try:
        _encoded(Image.new("RGB", (1, 1)), name)
    except (KeyError, OSError, ValueError):
        return None
    return name


def _encoded(image: Image.Image, name: str | None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name)
    return buffer.getvalue()
