"""Find pictures that are the same, or nearly, so that no split tears them apart."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FINGERPRINT_SIDE = 16  # 16 x 16 differences = 256 bits
FINGERPRINT_BYTES = FINGERPRINT_SIDE * FINGERPRINT_SIDE // 8
MAX_DIFFERENT_BITS = 12  # of 256; unrelated pictures of one class differ by 38 and more
MAX_RELATIVE_DISTANCE = 0.2  # of two bottlenecks; a flat picture has no fingerprint
LEAST_SIMILARITY = 256 - 2 * MAX_DIFFERENT_BITS  # of bits as -1 and 1, multiplied
ROWS_AT_ONCE = 256
COLUMNS_AT_ONCE = 2048
FEW = 16

NOHASH = "_nohash_"  # in file names: what follows is another view of one picture


def fingerprint(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the 256-bit difference hash of a picture, uint8 `(32,)`.

    Bit (row, column) says whether gray level rises from one column to the next in
    the picture shrunk to 16 rows and 17 columns.

    Source: N. Krawetz, "Kind of Like That" (2013), dHash, with 16 in place of 8.

    Args:
        pixels: uint8 `(height, width, 3)` RGB.
    """
    gray = Image.fromarray(pixels).convert("L")
    size = (FINGERPRINT_SIDE + 1, FINGERPRINT_SIDE)  # (width, height)
    small = np.asarray(gray.resize(size, Image.Resampling.BILINEAR), np.int16)
    return np.packbits(small[:, 1:] > small[:, :-1])


def conflicting(digests: Sequence[bytes], labels: Sequence[str]) -> list[list[int]]:
    """Return groups of identical pictures that stand in more than one class.

    Args:
        digests: SHA-256 of each picture's file.
        labels: Its class.

    Returns:
        Positions of all copies, group by group, in order of first appearance.
    """
    positions: dict[bytes, list[int]] = defaultdict(list)
    for position, digest in enumerate(digests):
        positions[digest].append(position)
    return [
        copies
        for copies in positions.values()
        if len({labels[position] for position in copies}) > 1
    ]


def group_near_duplicates(
    names: Sequence[str],
    fingerprints: NDArray[np.uint8],
    bottlenecks: NDArray[np.float32],
) -> NDArray[np.intp]:
    """Number the groups of pictures that must stay in one split.

    Two pictures belong together when their fingerprints and their bottlenecks are
    both close: the same picture saved at another quality or size. So do pictures
    whose file names agree up to `_nohash_`, as in tensorflow-for-poets, and the file
    that has what stands before it for a name, with its ending or without.

    Args:
        names: Path of each picture.
        fingerprints: Their 256-bit hashes, uint8 `(n, 32)`.
        bottlenecks: float32 `(n, depth)`.

    Returns:
        For each picture the position of the first picture of its group, `(n,)`.
    """
    groups = np.arange(len(names))
    for start in range(0, len(names), ROWS_AT_ONCE):
        rows = _signs(fingerprints[start : start + ROWS_AT_ONCE])
        for first in range(0, start + len(rows), COLUMNS_AT_ONCE):
            columns = _signs(fingerprints[first : first + COLUMNS_AT_ONCE])
            for row, similarities in enumerate(rows @ columns.T, start):
                alike = np.flatnonzero(similarities >= LEAST_SIMILARITY) + first
                _join_close(groups, bottlenecks, row, alike[alike < row])

    prefixes: dict[str, int] = {}
    for position, name in enumerate(names):
        prefix, marker, _ = name.partition(NOHASH)
        if marker:
            _join(groups, prefixes.setdefault(prefix, position), position)
    for position, name in enumerate(names):
        for prefix in (name, os.path.splitext(name)[0]):  # noqa: PTH122 - no Path
            if prefix in prefixes:
                _join(groups, prefixes[prefix], position)
    return groups


def _signs(fingerprints: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return bits as -1 and 1: then a product is 256 - 2 * (different bits)."""
    return np.unpackbits(fingerprints, axis=1).astype(np.float32) * 2 - 1


def _join_close(
    groups: NDArray[np.intp],
    bottlenecks: NDArray[np.float32],
    row: int,
    candidates: NDArray[np.intp],
) -> None:
    """Join a picture's group with those of the candidates that are close to it."""
    for group in np.unique(groups[candidates]).tolist():
        members = candidates[groups[candidates] == group]
        few, rest = members[:FEW], members[FEW:]  # mostly the few decide
        if _any_close(bottlenecks[row], bottlenecks[few]) or _any_close(
            bottlenecks[row], bottlenecks[rest]
        ):
            _join(groups, group, row)


def _any_close(vector: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    scales = np.maximum(np.linalg.norm(others, axis=1), np.linalg.norm(vector))
    distances = np.linalg.norm(others - vector, axis=1)
    return bool((distances <= MAX_RELATIVE_DISTANCE * scales).any())


def _join(groups: NDArray[np.intp], first: int, second: int) -> None:
    """Give two pictures' groups one number, the lower."""
    low, high = sorted((int(groups[first]), int(groups[second])))
    groups[groups == high] = low
