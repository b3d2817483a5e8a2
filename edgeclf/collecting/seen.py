"""Tell pictures that are there already, or nearly, from new ones as they arrive."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.data.duplicates import FINGERPRINT_BYTES, MAX_DIFFERENT_BITS

DUPLICATE, NEAR_DUPLICATE = "duplicate", "near-duplicate"

# Slim things on white have few bits, and those in the same places: of 1016 products,
# ten pairs that only share an outline differ by 12 bits or less, one by none at all.
# Their colours differ by 52 gray levels and more in some cell of 8 x 8; a picture saved
# at half the size and at a JPEG quality of 30 differs from itself by 20 at most.
COLOR_SIDE = 8
MAX_DIFFERENT_LEVELS = 32
# Without colours: no pair of unlike pictures with more bits than this is that close.
LEAST_BITS = 96

_WORDS = FINGERPRINT_BYTES // 2
_FIRST_WORDS = 4  # 64 bits tell nearly all unlike pictures apart
_FIRST_CAPACITY = 1024
_BITS = np.unpackbits(np.arange(1 << 16, dtype=">u2").view(np.uint8).reshape(-1, 2), 1)
_BITS_OF = _BITS.sum(axis=1, dtype=np.uint8)  # of each 16-bit word


class Copy(NamedTuple):
    """That a picture repeats one that was there before.

    Attributes:
        kind: `DUPLICATE` or `NEAR_DUPLICATE`.
        of: Name of the other picture.
    """

    kind: str
    of: str


class Seen:
    """The pictures that have arrived so far; may be asked by several threads.

    A picture takes 0.3 kB, and a comparison with 100,000 others about 1 ms.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[bytes, str] = {}  # of each digest
        self._digests: list[bytes] = []  # of what is compared
        self._count = 0
        self._words = np.empty((_WORDS, _FIRST_CAPACITY), np.uint16)
        self._sums = np.empty(_FIRST_CAPACITY, np.int16)
        self._colors = np.empty((_FIRST_CAPACITY, COLOR_SIDE**2 * 3), np.uint8)
        self._has_colors = np.empty(_FIRST_CAPACITY, np.bool_)

    def __len__(self) -> int:
        """Return how many pictures are remembered, near-duplicates not counted."""
        return self._count

    def add(
        self,
        digest: bytes,
        fingerprint: NDArray[np.uint8],
        pixels: NDArray[np.uint8] | None = None,
        name: str = "",
    ) -> Copy | None:
        """Say what a picture is, and remember it if it is new.

        Args:
            digest: SHA-256 of the picture's file.
            fingerprint: Its difference hash, uint8 `(32,)`.
            pixels: What that was taken of, uint8 `(height, width, 3)` RGB: colours
                decide where an outline does not. Without them a picture with few bits
                set, or few unset, is near to none.
            name: What to call it when another one repeats it.

        Returns:
            What it repeats; None for a new one.
        """
        words = np.frombuffer(fingerprint.tobytes(), np.uint16)
        colors = None if pixels is None else mean_colors(pixels)
        with self._lock:
            if (known := self._names.get(digest)) is not None:
                return Copy(DUPLICATE, known)
            if (near := self._near(words, colors)) is not None:
                other = self._names[digest] = self._names[self._digests[near]]
                return Copy(NEAR_DUPLICATE, other)
            self._names[digest] = name
            self._digests.append(digest)
            self._remember(words, colors)
            return None

    def _near(
        self, words: NDArray[np.uint16], colors: NDArray[np.uint8] | None
    ) -> int | None:
        """Return the first that is near, of all; each step leaves few."""
        bits = int(_BITS_OF[words].sum(dtype=np.int64))
        sums = self._sums[: self._count]
        near = np.flatnonzero(np.abs(sums - bits) <= MAX_DIFFERENT_BITS)
        different = np.zeros(len(near), np.int64)
        for part in (slice(_FIRST_WORDS), slice(_FIRST_WORDS, _WORDS)):
            for word, others in zip(words[part], self._words[part], strict=True):
                different += _BITS_OF[others[near] ^ word]
            is_near = different <= MAX_DIFFERENT_BITS
            near, different = near[is_near], different[is_near]
        is_near = is_clear = np.zeros(len(near), np.bool_)
        if colors is not None:
            levels = np.abs(self._colors[near].astype(np.int16) - colors)
            is_alike = levels.max(axis=1, initial=0) <= MAX_DIFFERENT_LEVELS
            is_clear = self._has_colors[near]
            is_near = is_clear & is_alike
        middle = FINGERPRINT_BYTES * 4  # as many bits set as not
        is_telling = np.abs(sums[near] - middle) <= middle - LEAST_BITS
        is_near = is_near | (~is_clear & is_telling)
        return int(near[is_near][0]) if is_near.any() else None

    def _remember(
        self, words: NDArray[np.uint16], colors: NDArray[np.uint8] | None
    ) -> None:
        if self._count == len(self._sums):
            self._words = np.concatenate([self._words, self._words], axis=1)
            self._sums = np.concatenate([self._sums, self._sums])
            self._colors = np.concatenate([self._colors, self._colors])
            self._has_colors = np.concatenate([self._has_colors, self._has_colors])
        self._words[:, self._count] = words
        self._sums[self._count] = _BITS_OF[words].sum(dtype=np.int64)
        self._colors[self._count] = 0 if colors is None else colors
        self._has_colors[self._count] = colors is not None
        self._count += 1


def mean_colors(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean colours of 8 x 8 cells, uint8 `(192,)`."""
    size = (COLOR_SIDE, COLOR_SIDE)
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    return np.asarray(small).reshape(-1)
