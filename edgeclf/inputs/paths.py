"""Find pictures by path: all below a folder, all that match a pattern."""

# Not pathlib: who names one file would feel its import.
# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH118, PTH122, PTH206, PTH207

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

# Endings of the picture formats that Pillow reads (asking Pillow would load all its
# readers), and of HEIC, so that a phone's photos are refused by name, not passed over.
# fmt: off
IMAGE_ENDINGS = frozenset({
    ".apng", ".avif", ".avifs", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fli",
    ".flc", ".gif", ".heic", ".heif", ".icb", ".icns", ".ico", ".im", ".j2c", ".j2k",
    ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".msp",
    ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi",
    ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp",
    ".xbm", ".xpm",
})
# fmt: on
OnError: TypeAlias = Callable[[OSError], object]
_LITTER = frozenset({"__MACOSX", "@eaDir"})  # folders of macOS zips, of Synology


def find_images(argument: str | os.PathLike[str]) -> list[Path]:
    """Return the pictures that a path stands for.

    Args:
        argument: A file, which is returned whatever its name is and whether it exists
            or not; or a folder, of which all files with an image's ending are returned,
            at any depth. Hidden files and folders are passed over, and so is the
            litter of file managers. Links are followed, but no folder is entered
            twice.

    Returns:
        Paths that begin with `argument`, sorted by code point; empty for a folder
        without pictures.

    Raises:
        OSError: A folder cannot be read: part of the pictures are not all.
    """
    from pathlib import Path  # its import would be felt by who names one file

    return [Path(path) for path in image_arguments(str(Path(argument)), _fail)]


def image_arguments(argument: str, on_error: OnError) -> list[str]:
    """Return `find_images` as text, with `argument` as it was written.

    `./a.jpg` stays `./a.jpg`; below a folder it is joined with the relative path.

    Args:
        argument: See `find_images`.
        on_error: Called for each folder that cannot be read, with the error.
    """
    if not os.path.isdir(argument):
        return [argument]
    images = images_below(argument, on_error)
    return sorted(images, key=lambda path: path.split(os.sep))


def images_below(folder: str, on_error: OnError) -> Iterator[str]:
    """Yield the pictures of a folder as they are found, see `image_arguments`."""
    for below, files in _walk(folder, on_error):
        for name in files:
            if not is_passed_over(name) and has_image_ending(name):
                path = os.path.join(below, name)
                # A broken link stays, so that it is named when it cannot be read; one
                # that leads to a pipe or a device, whose reading may never end, does
                # not.
                if os.path.isfile(path) or _is_broken(path):
                    yield path


def matching_images(pattern: str, on_error: OnError) -> list[str]:
    """Return the pictures that match a pattern, sorted, each once.

    Args:
        pattern: With the signs of `glob`.
        on_error: Called for each folder that cannot be read, perhaps twice.

    Raises:
        ValueError: It holds a zero byte.
    """
    literal = pattern.split(os.sep)
    found: dict[str, None] = {}
    for match in sorted(set(_glob(pattern, on_error))):
        parts = [part for part in match.split(os.sep) if part not in literal]
        if not any(is_passed_over(part) for part in parts):
            found.update(dict.fromkeys(image_arguments(match, on_error)))
    # Notes and tables beside pictures are not meant; if nothing else matches, they are.
    return [name for name in found if has_image_ending(name)] or list(found)


def _glob(pattern: str, on_error: OnError) -> Iterator[str]:
    """Yield what matches; unlike `glob.glob`, `**` enters every folder only once."""
    from glob import escape, glob

    parts = pattern.split(os.sep)
    if "**" not in parts:
        yield from glob(pattern)
        return
    place = parts.index("**")
    before = os.sep.join(parts[:place]) or (os.sep if place else "")
    after = [part for part in parts[place + 1 :] if part] or ["*"]
    for root in filter(os.path.isdir, glob(before)) if before else [""]:
        for folder, _ in _walk(root or os.curdir, on_error):
            below = folder if root else os.path.relpath(folder)
            start = "" if below == os.curdir else os.path.join(escape(below), "")
            yield from _glob(start + os.sep.join(after), on_error)


def _walk(root: str, on_error: OnError) -> Iterator[tuple[str, list[str]]]:
    """Yield every folder from `root` down, and its files; litter is passed over."""
    entered = set()
    for folder, folders, files in os.walk(root, onerror=on_error, followlinks=True):
        place = os.path.realpath(folder)
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        # Sorted: a folder that two links lead to has the same name on every disk.
        folders[:] = sorted(name for name in folders if not is_passed_over(name))
        yield folder, files


def _is_broken(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)


def has_image_ending(name: str) -> bool:
    """Return whether a file's name is that of a picture."""
    return os.path.splitext(name)[1].lower() in IMAGE_ENDINGS


def _fail(error: OSError) -> None:
    raise error


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder is hidden, or litter of a file manager."""
    return name.startswith(".") or name in _LITTER
