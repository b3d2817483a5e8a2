"""Label a folder of photos with one worker and with two.

Whole processes of `edgeclf label_image`, in turn. The photos are the shared flowers,
enlarged, or drawn where those are not at hand.

    python -m benchmarks.workers --model FILE.tflite
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

from benchmarks import measure
from benchmarks.datasets import SHARED_DIR, WORK_DIR
from benchmarks.measure import CommandError, Contender, run_once, say

# (height, width) and how many: 2,000 of the flowers' size, and as many seconds of more.
PHOTOS = {(240, 320): 2000, (1536, 2048): 300, (3000, 4000): 150}
JPEG_QUALITY = 85
GRID = (12, 16)


def photos(size: tuple[int, int], count: int) -> Path:
    """Return a folder of `count` JPEGs of `(height, width)`, made if missing.

    They are drawn by a process of their own: the one that measures stays small.

    Raises:
        CommandError: Drawing failed.
    """
    height, width = size
    folder = WORK_DIR / f"photos-{width}x{height}-{count}"
    if not folder.exists():
        say(f"Drawing {count} photos into {folder}")
        part = folder.with_name(folder.name + ".part")
        command = [sys.executable, "-m", "benchmarks.workers", "--draw", str(part)]
        sides = [str(height), str(width), str(count)]
        run_once(Contender("draw", [*command, *sides]))
        part.rename(folder)
    return folder


def draw(folder: Path, size: tuple[int, int], count: int) -> None:
    """Write `count` JPEGs of `(height, width)`."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted((SHARED_DIR / "data" / "flowers").rglob("*.jpg"))
    for number in range(count):
        if sources:
            image = Image.open(sources[number % len(sources)]).convert("RGB")
        else:
            pixels = random.Random(number).randbytes(GRID[0] * GRID[1] * 3)  # noqa: S311
            image = Image.frombytes("RGB", GRID[::-1], pixels)
        image = image.resize(size[::-1], Image.Resampling.BICUBIC)
        image.save(folder / f"{number:06}.jpg", quality=JPEG_QUALITY)


def compare(args: argparse.Namespace, size: tuple[int, int], count: int) -> bool:
    """Measure one size of photos and print its table.

    Returns:
        Whether all contenders wrote the same.
    """
    folder = photos(size, count)
    command = [sys.executable, "-m", "edgeclf.label_image", "--model", str(args.model)]
    command += ["--json", "--image", str(folder), "--workers"]
    contenders = [
        Contender(f"{workers} workers", [*command, str(workers)])
        for workers in args.workers
    ]
    measured = measure.alternate(contenders, args.runs)
    base = contenders[0].name
    notes = {
        name: {
            "photos/s": measure.Spread.of([count / run.wall_s for run in runs]),
            f"times as fast as {base}": measure.Spread.of(
                [
                    first.wall_s / run.wall_s
                    for first, run in zip(measured[base], runs, strict=True)
                ]
            ),
        }
        for name, runs in measured.items()
    }
    rows = measure.summarize(measured, base, notes)
    print(f"\n{count:,} photos of {size[1]} x {size[0]} pixels\n")
    measure.print_rows(rows, base)
    return len({run.output for runs in measured.values() for run in runs}) == 1


def main() -> int:
    """Measure, print a table for each size."""
    parser = measure.parser(__doc__, runs=5)
    parser.add_argument("--model", type=Path, help="with its own labels")
    parser.add_argument("--workers", type=measure.positive, nargs="+", default=[1, 2])
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the photos' number"
    )
    parser.add_argument("--draw", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.draw:
        folder, *numbers = args.draw
        height, width, count = map(int, numbers)
        draw(Path(folder), (height, width), count)
        return 0
    if args.model is None:
        from benchmarks.label_image import decor_model

        args.model = decor_model(args.architecture)[0]
    args.model = os.path.realpath(args.model)
    say(f"{measure.machine()}")
    for size, count in PHOTOS.items():
        if not compare(args, size, max(1, round(count * args.scale))):
            raise CommandError("Expected the same labels from all. Received: others.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
