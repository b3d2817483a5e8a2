"""Damage files: bytes flipped, numbers replaced, pieces cut out or repeated.

The same seed damages the same bytes in the same way, on every machine.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

# How many of each file are tried: `make fuzz` sets what a release needs.
NUM_IMAGES = int(os.environ.get("EDGECLF_MUTANTS_IMAGES", "300"))
NUM_MODELS = int(os.environ.get("EDGECLF_MUTANTS_MODELS", "20"))

# What programs stumble over: nothing, minus one, the limits of 8, 16 and 32 bits.
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 65535, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
MOST_CHANGES = 16
LONGEST_PIECE = 4096


def mutated(content: bytes, seed: int, within: Sequence[range] = ()) -> bytes:
    """Return the content with some damage.

    Args:
        content: Any file; not empty.
        seed: Which damage.
        within: Where in the file it begins. Default: anywhere.
    """
    source = random.Random(seed)  # noqa: S311 - no secret
    damage = source.choice([_flip, _flip, _replace, _replace, _cut, _repeat, _end])
    return damage(bytearray(content), source, within or [range(len(content))])


def _flip(content: bytearray, source: random.Random, within: Sequence[range]) -> bytes:
    """Flip single bits, or all bits of single bytes at random."""
    for _ in range(source.randint(1, MOST_CHANGES)):
        bits = source.choice([1 << source.randrange(8), source.randint(1, 255)])
        content[_position(source, within)] ^= bits
    return bytes(content)


def _replace(
    content: bytearray, source: random.Random, within: Sequence[range]
) -> bytes:
    """Write other numbers of one, two or four bytes."""
    for _ in range(source.randint(1, MOST_CHANGES // 4)):
        size = source.choice([1, 2, 4])
        position = _position(source, within)
        position = min(position - position % size, len(content) - size)
        number = source.choice(NUMBERS) % (1 << 8 * size)
        content[position : position + size] = number.to_bytes(size, "little")
    return bytes(content)


def _cut(content: bytearray, source: random.Random, within: Sequence[range]) -> bytes:
    """Take a piece out; what follows moves up."""
    position = _position(source, within)
    del content[position : position + source.randint(1, LONGEST_PIECE)]
    return bytes(content)


def _repeat(
    content: bytearray, source: random.Random, within: Sequence[range]
) -> bytes:
    """Write a piece once more: over what follows, or between."""
    start, position = _position(source, within), _position(source, within)
    piece = content[start : start + source.randint(1, LONGEST_PIECE)]
    covered = source.choice([0, len(piece)])
    content[position : position + covered] = piece
    return bytes(content)


def _end(content: bytearray, source: random.Random, within: Sequence[range]) -> bytes:
    """Cut the file short."""
    return bytes(content[: _position(source, within)])


def _position(source: random.Random, within: Sequence[range]) -> int:
    return source.choice(source.choice(within))
