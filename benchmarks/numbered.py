"""As many JPEGs as wanted, no two of the same bytes, made in seconds.

A hundred photos are drawn: the shared flowers, or patches where those are not at hand,
enlarged, with the noise of a camera. Each file is one of them with its number in a
comment, which no decoder looks at.

    python -m benchmarks.numbered --size 612 816 --count 1000 --output DIR
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from benchmarks.datasets import SHARED_DIR, WORK_DIR
from benchmarks.measure import Contender, positive, run_once, say

NUM_DRAWN = 100
JPEG_QUALITY = 85
PER_FOLDER = 1000
COMMENT = b"\xff\xfe"  # JPEG's marker. Source: ITU-T T.81, table B.1
START_BYTES = 2  # of the marker that every JPEG begins with


def numbered(size: tuple[int, int], count: int) -> Path:
    """Return a folder of `count` JPEGs of `(height, width)`, made if missing.

    They are drawn by a process of their own: the one that measures stays small.

    Raises:
        CommandError: Drawing failed.
    """
    height, width = size
    folder = WORK_DIR / f"numbered-{width}x{height}-{count}"
    if not folder.exists():
        say(f"Writing {count:,} pictures into {folder}")
        part = folder.with_name(folder.name + ".part")
        command = [sys.executable, "-m", "benchmarks.numbered", "--output", str(part)]
        command += ["--size", str(height), str(width), "--count", str(count)]
        run_once(Contender("numbered", command))
        part.rename(folder)
    return folder


def write(folder: Path, size: tuple[int, int], count: int) -> None:
    """Write `count` JPEGs of `(height, width)`, a thousand to a folder."""
    drawn = draw(size, min(count, NUM_DRAWN))
    for number in range(count):
        path = folder / f"{number // PER_FOLDER:04}" / f"{number:07}.jpg"
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(with_number(drawn[number % len(drawn)], number))


def draw(size: tuple[int, int], count: int) -> list[bytes]:
    """Return `count` JPEGs of `(height, width)` that show different things."""
    import numpy as np
    from PIL import Image

    from edgeclf.benchmark.drawn import enlarge

    sources = sorted((SHARED_DIR / "data" / "flowers").rglob("*.jpg"))
    drawn = []
    for number in range(count):
        if sources:
            image = Image.open(sources[number * len(sources) // count]).convert("RGB")
        else:
            patches = np.random.default_rng(number).integers(
                0, 256, (12, 16, 3), np.uint8
            )
            image = Image.fromarray(patches)
        file = io.BytesIO()
        enlarge(image, size[::-1]).save(file, "JPEG", quality=JPEG_QUALITY)
        drawn.append(file.getvalue())
    return drawn


def with_number(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG with a comment behind its first marker."""
    text = f"{number:07}".encode()
    length = (len(text) + 2).to_bytes(2, "big")  # it counts itself
    return jpeg[:START_BYTES] + COMMENT + length + text + jpeg[START_BYTES:]


def main() -> int:
    """Write pictures into a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=positive, nargs=2, required=True)
    parser.add_argument("--count", type=positive, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    write(args.output, tuple(args.size), args.count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
