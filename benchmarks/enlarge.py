"""Save a picture enlarged, with noise of its own, as a JPEG or PNG.

A process of its own, as one that has held 12 megapixels is no longer smaller than what
it measures.

    python -m benchmarks.enlarge SOURCE PATH WIDTH HEIGHT GRAIN
"""

from __future__ import annotations

import sys

from PIL import Image

from edgeclf.benchmark.drawn import enlarge


def main() -> int:
    """Save the picture."""
    source, path, *numbers = sys.argv[1:]
    width, height, grain = map(int, numbers)
    with Image.open(source) as image:
        enlarge(image.convert("RGB"), (width, height), grain).save(path, quality=90)
    return 0


if __name__ == "__main__":
    sys.exit(main())
