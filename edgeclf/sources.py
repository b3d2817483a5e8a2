"""Find the pictures that a path stands for: itself, or all below a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
    """
    from pathlib import Path  # its import would be felt by who names one file

    root = Path(argument)
    if not root.is_dir():
        return [root]
    images = []
    entered = set()
    for folder, folders, files in os.walk(root, onerror=_fail, followlinks=True):
        place = os.path.realpath(folder)
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        # Sorted: a folder that two links lead to has the same name on every disk.
        folders[:] = sorted(name for name in folders if not is_passed_over(name))
        images += [
            Path(folder, name)
            for name in files
            if not is_passed_over(name)
            and os.path.splitext(name)[1].lower() in IMAGE_ENDINGS  # noqa: PTH122
        ]
    # A broken link stays, so that it is named when it cannot be read.
    return sorted(path for path in images if path.is_file() or path.is_symlink())


def image_arguments(argument: str) -> list[str]:
    """Return `find_images` as text, with `argument` as it was written.

    `./a.jpg` stays `./a.jpg`; below a folder it is joined with the relative path.
    """
    if not os.path.isdir(argument):  # noqa: PTH112
        return [argument]
    return [
        os.path.join(argument, path.relative_to(argument))  # noqa: PTH118
        for path in find_images(argument)
    ]


def _fail(error: OSError) -> None:
    """Stop at a folder that cannot be read: part of the pictures are not all."""
    raise error


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder is hidden, or litter of a file manager."""
    return name.startswith(".") or name in _LITTER
