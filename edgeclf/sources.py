"""Where pictures come from: files, folders, patterns, lists, stdin, URLs."""

# Not pathlib: who names one file would feel its import.
# ruff: noqa: PTH112, PTH113, PTH116, PTH117, PTH118, PTH120, PTH123

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn

from edgeclf.errors import EdgeclfError, ImageError
from edgeclf.inputs.paths import OnError, image_arguments, matching_images

if TYPE_CHECKING:
    from edgeclf.decoder import ImageSource

STDIN = "-"
LIST_ENDINGS = (".txt", ".lst", ".list")  # of text files that hold paths
MAX_PIPED_BYTES = 1 << 28  # of one picture, so that no pipe fills the memory


class Input(NamedTuple):
    """One picture, or what stands in its place.

    Attributes:
        name: What the user called it; below a folder that path joined with the rest.
            Of a URL without user name and password.
        read: Returns the path, the encoded bytes or the pixels; raises `EdgeclfError`
            or `OSError`, with a sentence for the user, for one that cannot be had.
    """

    name: str
    read: Callable[[], ImageSource]

    @classmethod
    def of(cls, name: str, image: ImageSource) -> Input:
        """Return one that is in memory already."""
        return cls(name, partial(_return, image))

    @classmethod
    def failing(cls, name: str, error: Exception) -> Input:
        """Return one that cannot be had, and why."""
        return cls(name, partial(_raise, error))


class Inputs:
    """The pictures that a command's arguments stand for, in this order.

    An argument is the first of these that fits:

    - `http://` or `https://`: a picture to download, see `edgeclf.inputs.fetch`.
    - `-`: stdin, one encoded picture or lines as of a list; lines are taken as they
      come, before the pipe ends.
    - A folder: all pictures below it, see `find_images`.
    - A file that ends in `.txt`, `.lst` or `.list`: a list, UTF-8, each line a path,
      pattern, folder or URL, but no list. Paths are those of the working directory,
      else of the list's own folder. Zero bytes may separate them too.
    - Any other file, whatever its name.
    - A pattern with `*`, `?`, `[...]` or `**` (any depth): the pictures that match,
      sorted, each once, and those in folders that match. Hidden files and the litter
      of file managers are passed over unless the pattern names them.
    - A missing file.

    What holds no picture at all is one `Input` whose `read` says why, and so is each
    folder that cannot be read, after the pictures of the others. A picture that is
    named twice comes twice.

    Args:
        arguments: What the user wrote.
        allow_private: Whether URLs may lead to private addresses.
        stdin: What `-` reads, once. Default: the process's own.

    Raises:
        ValueError: `-` is given twice.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        allow_private: bool = False,
        stdin: BinaryIO | None = None,
    ) -> None:
        self._arguments = tuple(arguments)
        if self._arguments.count(STDIN) > 1:
            raise ValueError("Expected - (stdin) once. Received: it twice.")
        self._allow_private = allow_private
        self._stdin = stdin
        self._first_bytes: bytes | None = None
        self._expanded: dict[str, list[Input]] = {}

    def __iter__(self) -> Iterator[Input]:
        for argument in self._arguments:
            if argument == STDIN:
                yield from self._from_stdin()
            else:
                yield from self._listed(argument)

    def len_hint(self) -> int | None:
        """Return how many there are; None when that shows only as stdin is read.

        With `-` alone it waits for the first bytes: an encoded picture is one.
        """
        if STDIN not in self._arguments:
            return sum(len(self._listed(argument)) for argument in self._arguments)
        from edgeclf.inputs.lines import is_picture

        if len(self._arguments) > 1:
            return None
        try:
            return 1 if is_picture(self._stdin_head()) else None
        except (EdgeclfError, OSError):  # said when it is its turn
            return 1

    def _listed(self, argument: str) -> list[Input]:
        if argument not in self._expanded:
            if _is_list(argument):
                inputs = self._from_list(argument)
            else:
                inputs = _expand(argument, self._allow_private)
            self._expanded[argument] = list(inputs)
        return self._expanded[argument]

    def _from_list(self, path: str) -> Iterator[Input]:
        from edgeclf.inputs.lines import first_bytes, is_picture

        try:
            with open(path, "rb") as file:
                head = first_bytes(file)
                if is_picture(head):
                    yield Input(path, partial(_read_file, path))
                else:
                    yield from self._from_lines(path, head, file)
        except OSError as error:
            yield Input.failing(path, error)

    def _from_stdin(self) -> Iterator[Input]:
        from edgeclf.inputs.lines import is_picture

        try:
            head = self._stdin_head()
            if is_picture(head):
                content = head + _read_piped(self._open_stdin(), len(head))
                yield Input.of(STDIN, content)
            else:
                yield from self._from_lines(STDIN, head, self._open_stdin())
        except (EdgeclfError, OSError) as error:
            yield Input.failing(STDIN, error)

    def _open_stdin(self) -> BinaryIO:
        if self._stdin is None:
            if sys.stdin is None:
                raise ImageError("Expected pictures on stdin (-). Received: it closed.")
            self._stdin = sys.stdin.buffer
        return self._stdin

    def _stdin_head(self) -> bytes:
        if self._first_bytes is None:
            from edgeclf.inputs.lines import first_bytes

            self._first_bytes = first_bytes(self._open_stdin())
        return self._first_bytes

    def _from_lines(self, name: str, head: bytes, stream: BinaryIO) -> Iterator[Input]:
        """Expand what a list or stdin, called `name`, names."""
        from edgeclf.inputs.lines import path_lines

        folder = "" if name == STDIN else os.path.dirname(name)
        line = None
        try:
            for line in path_lines(name, head, stream):
                path = _resolved(line, folder)
                if _is_list(path):
                    reason = f"{line} is a list in a list. Give it as an argument."
                    yield Input.failing(line, ImageError(reason))
                else:
                    yield from _expand(path, self._allow_private)
        except ImageError as error:
            yield Input.failing(name, error)
        else:
            if line is None:
                place = "stdin (-)" if name == STDIN else name
                expected = f"Expected a picture or paths, one a line, from {place}."
                yield Input.failing(name, ImageError(f"{expected} Received: nothing."))


def _expand(argument: str, allow_private: bool) -> Iterator[Input]:
    """Yield the pictures of anything but stdin and lists."""
    if is_url(argument):
        from edgeclf.inputs.connection import printable

        yield Input(printable(argument), partial(_download, argument, allow_private))
    elif os.path.isdir(argument):
        reason = f"{argument} is a folder without image files."
        yield from _found(argument, image_arguments, reason)
    elif os.path.lexists(argument) or not any(sign in argument for sign in "*?["):
        yield Input(argument, partial(_read_file, argument))
    else:
        reason = f"Expected pictures that match {argument}. Received: none."
        yield from _found(argument, matching_images, reason)


def _found(
    argument: str, find: Callable[[str, OnError], list[str]], nothing: str
) -> Iterator[Input]:
    """Yield what `find` finds and the folders that it cannot read; else `nothing`."""
    errors: list[OSError] = []
    try:
        paths = find(argument, errors.append)
    except (OSError, ValueError) as error:  # no working directory; a zero byte
        reason = f"Expected pictures. Received: {argument!r} ({error})."
        yield Input.failing(argument, ImageError(reason))
        return
    for path in paths:
        yield Input(path, partial(_read_file, path))
    for folder, reading in {str(error.filename): error for error in errors}.items():
        yield Input.failing(folder, reading)
    if not paths and not errors:
        yield Input.failing(argument, ImageError(nothing))


def is_url(argument: str) -> bool:
    """Return whether an argument is the address of a picture on the web."""
    return argument[:8].lower().startswith(("http://", "https://"))


def _is_list(argument: str) -> bool:
    return argument.lower().endswith(LIST_ENDINGS) and os.path.isfile(argument)


def _resolved(line: str, folder: str) -> str:
    """Return a list's line as it is, or below the list's folder if it is there."""
    if not folder or is_url(line) or os.path.isabs(line) or os.path.lexists(line):
        return line
    below = os.path.join(folder, line)
    if os.path.lexists(below):
        return below
    from glob import escape, has_magic

    pattern = os.path.join(escape(folder), line)
    is_below = has_magic(line) and not _has_match(line) and _has_match(pattern)
    return pattern if is_below else line


def _has_match(pattern: str) -> bool:
    errors: list[OSError] = []
    try:
        return bool(matching_images(pattern, errors.append) or errors)
    except (OSError, ValueError):  # said when it is its turn
        return True


def _read_file(path: str) -> str | bytes:
    """Return the path of a file that is there, or what a pipe with a name holds."""
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a zero byte, from a list that is none
        raise ImageError(f"Expected a path. Received: {path!r} ({error}).") from error
    if stat.S_ISFIFO(mode):  # `<(command)` of a shell
        with open(path, "rb") as file:
            return _read_piped(file, 0)
    return path


def _read_piped(stream: BinaryIO, num_read: int) -> bytes:
    """Return the rest of a picture of which `num_read` bytes are there already."""
    content = stream.read(MAX_PIPED_BYTES - num_read + 1)
    if num_read + len(content) > MAX_PIPED_BYTES:
        raise ImageError(
            f"Expected a picture of at most {MAX_PIPED_BYTES} bytes from a pipe. "
            "Received: more."
        )
    return content


def _download(url: str, allow_private: bool) -> bytes:
    from edgeclf.inputs.fetch import fetch_image

    return fetch_image(url, allow_private=allow_private)


def _return(image: ImageSource) -> ImageSource:
    return image


def _raise(error: Exception) -> NoReturn:
    raise error
