"""Look into every picture of a folder: does it decode, how large is it, a copy of what.

Needs no model, and nothing but NumPy and Pillow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf import image
from edgeclf.data.findings import Finding, some
from edgeclf.data.listing import Picture
from edgeclf.decoder import DAMAGE, open_image, pillow_settings
from edgeclf.errors import ImageError

TINY_SIDE = 32  # pixels; ornament and leaves are gone below, whatever the model
HUGE_PIXELS = 30_000_000  # decoded in full it takes 0.1 s and 90 MB
THUMBNAIL_SIDE = 8
# Levels of 255 by which thumbnails of the same pixels differ at most: one may come of
# a JPEG that was scaled down while it was decoded, the other of a PNG.
THUMBNAIL_TOLERANCE = 12
_SAME_FORMAT = {"MPO": "JPEG", "DIB": "BMP"}  # several JPEGs in one; BMP, no header
_ORIENTATION_TAG = 0x0112
_SEVERAL_FRAMES = frozenset({"GIF", "PNG", "WEBP", "TIFF", "AVIF"})
_DEEP_MODES = ("I", "F")  # "I;16" too: 16, 32 bits


class Inspected(NamedTuple):
    """What is known of a picture's file.

    Attributes:
        digest: SHA-256 of the file; empty if it cannot be read.
        size: `(height, width)` in pixels, upright; None if it cannot be decoded.
        thumbnail: uint8 `(8, 8, 3)`, RGB; None likewise.
        findings: What is odd about it.
    """

    digest: bytes
    size: tuple[int, int] | None
    thumbnail: NDArray[np.uint8] | None
    findings: list[Finding]


def inspect_pictures(
    pictures: Sequence[Picture],
    input_size: tuple[int, int],
    num_workers: int,
    progress: Callable[[Iterable[Inspected]], Iterable[Inspected]],
) -> list[Inspected]:
    """Decode every picture once.

    Args:
        pictures: Where they are.
        input_size: `(height, width)` of the model's input in pixels.
        num_workers: Threads.
        progress: Wraps the results, to show how far it is.
    """
    Image.registered_extensions()  # loads Pillow's readers, here and not in a thread
    with ThreadPoolExecutor(num_workers) as executor:
        results = executor.map(lambda each: inspect(each, input_size), pictures)
        return list(progress(results))


def inspect(picture: Picture, input_size: tuple[int, int]) -> Inspected:
    """Decode one picture and say what is odd about its file.

    Args:
        picture: Where it is.
        input_size: See `inspect_pictures`.
    """
    name = picture.name
    digest = b""
    try:
        content = picture.path.read_bytes()
        digest = hashlib.sha256(content).digest()
        size, oddities = _read_header(content, name)
        side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        thumbnail = image.load(content, side, name=name)
    except (ImageError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        detail = reason or str(error).removeprefix(f"{name} ")
        return Inspected(digest, None, None, [Finding("unreadable", name, detail)])
    findings = [Finding(kind, name, detail) for kind, detail in oddities]
    findings += _about_size(name, size, input_size)
    return Inspected(digest, size, thumbnail, findings)


def _read_header(
    content: bytes, name: str
) -> tuple[tuple[int, int], list[tuple[str, str]]]:
    """Return `(height, width)` of the upright picture, and kind and detail of oddities.

    Raises:
        ImageError: The file is in no known format, or is damaged.
    """
    oddities = []
    with pillow_settings(), open_image(content, name) as header:
        found = _SAME_FORMAT.get(header.format or "", header.format)
        ending = Path(name).suffix
        named = Image.registered_extensions().get(ending.lower(), "")
        if _SAME_FORMAT.get(named, named) != found:
            oddities.append(("misnamed", f"{found} inside, named {ending}"))
        colours = _unusual_colours(header)
        if colours:
            oddities.append(("colours", colours))
        width, height = header.size
        try:
            orientation = header.getexif().get(_ORIENTATION_TAG, 1)
            frames = getattr(header, "n_frames", 1)
        except DAMAGE:  # of what a picture may do without
            return (height, width), oddities
        if frames > 1 and found in _SEVERAL_FRAMES:
            oddities.append(("animated", f"{frames} frames"))
        if orientation in range(2, 9):
            oddities.append(("rotated", f"EXIF orientation {orientation}"))
            if orientation > 4:  # a quarter turn
                width, height = height, width
    return (height, width), oddities


def _unusual_colours(header: Image.Image) -> str:
    if header.mode == "CMYK":
        return "CMYK, for print"
    raw = [str(tile[3]) for tile in getattr(header, "tile", None) or ()]
    if header.mode.startswith(_DEEP_MODES) or any(";16" in mode for mode in raw):
        return "more than 8 bits a channel"
    return ""


def _about_size(
    name: str, size: tuple[int, int], input_size: tuple[int, int]
) -> Iterator[Finding]:
    height, width = size
    pixels = f"{width} x {height} pixels"
    if min(size) < _tiny_side(input_size):
        yield Finding("tiny", name, pixels)
    elif height < input_size[0] and width < input_size[1]:
        wanted = f"{input_size[1]} x {input_size[0]}"
        yield Finding("small", name, f"{pixels}, the model's input {wanted}")
    elif height * width > HUGE_PIXELS:
        yield Finding("huge", name, pixels)


def is_tiny(path: Path, input_size: tuple[int, int]) -> bool:
    """Return whether a picture is too small to show anything, by its header alone.

    Args:
        path: Where it is; one that cannot be read is not tiny.
        input_size: `(height, width)` of the model's input in pixels.
    """
    try:
        with pillow_settings(), open_image(path, path.name) as header:
            return bool(min(header.size) < _tiny_side(input_size))
    except (ImageError, OSError):
        return False


def _tiny_side(input_size: tuple[int, int]) -> int:
    """Return the least side of a picture that is not tiny: half a small input's."""
    return min(TINY_SIDE, min(input_size) // 2)


def group_copies(
    pictures: Sequence[Picture], inspected: Sequence[Inspected]
) -> list[list[int]]:
    """Group pictures of the same bytes or of the same pixels, once upright.

    Args:
        pictures: Where they are.
        inspected: What is known of each.

    Returns:
        Positions, group by group. The first of a group is the one to keep: no link,
        the one that was changed longest ago (a copy is younger), of the shortest name.
    """
    first: dict[bytes, int] = {}
    groups: dict[int, list[int]] = {}
    for row, each in enumerate(inspected):
        if each.size is not None:
            groups.setdefault(first.setdefault(each.digest, row), []).append(row)
    by_pixels: dict[bytes, int] = {}
    for row in _look_alikes(inspected, list(groups)):
        try:
            pixels = image.load(pictures[row].path, None)
        except (ImageError, OSError):  # it could be read a moment ago
            continue
        key = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
        same = by_pixels.setdefault(key, row)
        if same != row:
            groups[same] += groups.pop(row)

    def rank(row: int) -> tuple[bool, int, int, str]:
        path, name = pictures[row].path, pictures[row].name
        try:
            changed_ns = path.lstat().st_mtime_ns
        except OSError:  # it could be read a moment ago
            changed_ns = 0
        return path.is_symlink(), changed_ns, len(name), name

    several = [sorted(group, key=rank) for group in groups.values() if len(group) > 1]
    return sorted(several)


def _look_alikes(inspected: Sequence[Inspected], rows: Sequence[int]) -> list[int]:
    """Return those rows, in order, for which another one may have the same pixels.

    Decoding in full is the cost: few pictures have the size and the thumbnail of
    another.
    """
    by_size: dict[tuple[int, int] | None, list[int]] = {}
    for row in rows:
        by_size.setdefault(inspected[row].size, []).append(row)
    alike: set[int] = set()
    for members in by_size.values():
        thumbnails = np.stack([inspected[row].thumbnail for row in members])  # type: ignore[misc]
        flat = thumbnails.reshape(len(members), -1).astype(np.int16)
        means = flat.mean(axis=1)
        order = np.argsort(means)
        # Thumbnails that are close have means that are close: a few to compare with.
        ends = np.searchsorted(
            means[order], means[order] + THUMBNAIL_TOLERANCE, side="right"
        )
        for place, end in enumerate(ends.tolist()):
            others = order[place + 1 : end]
            apart = np.abs(flat[others] - flat[order[place]]).max(axis=1, initial=0)
            close = others[apart <= THUMBNAIL_TOLERANCE]
            if len(close):
                alike.update(members[each] for each in [order[place], *close])
    return sorted(alike)


def within_folders(
    groups: Iterable[Sequence[int]], labels: Sequence[Hashable]
) -> list[list[int]]:
    """Take groups apart by folder: what is left are those of two or more in one.

    Args:
        groups: Positions of pictures that are alike.
        labels: Of each picture its folder.
    """
    parts = []
    for group in groups:
        by_folder: dict[Hashable, list[int]] = {}
        for row in group:
            by_folder.setdefault(labels[row], []).append(row)
        parts += [rows for rows in by_folder.values() if len(rows) > 1]
    return parts


def report_copies(
    pictures: Sequence[Picture], groups: Iterable[Sequence[int]]
) -> Iterator[Finding]:
    """Yield a finding for each copy that is one too many.

    Args:
        pictures: Where they are.
        groups: See `group_copies`.
    """
    for group in groups:
        members = [pictures[row] for row in group]
        names = [member.name for member in members]
        if len({member.label for member in members}) > 1:
            for name in names:
                others = some(other for other in names if other != name)
                yield Finding("conflicting", name, "the same picture", others)
        else:
            for name in names[1:]:
                yield Finding("duplicate", name, "the same picture", (names[0],))


def report_leaks(
    groups: Iterable[Sequence[str]], splits: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield a finding for each picture whose like stands in another split.

    Args:
        groups: Names of pictures that are alike.
        splits: Split by name; what it does not name is passed over.
    """
    for group in groups:
        placed = {name: splits[name] for name in group if name in splits}
        for name, split in placed.items():
            others = some(other for other in placed if placed[other] != split)
            if others:
                where = " and ".join(sorted({placed[other] for other in others}))
                yield Finding("leak", name, f"in {split}, its like in {where}", others)
