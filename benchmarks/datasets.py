"""The pictures that benchmarks run on, made once under `benchmarks/work`.

python -m benchmarks.datasets --count 1000 --output DIR
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from benchmarks.measure import ROOT, CommandError, Contender, positive, run_once, say

WORK_DIR = ROOT / "benchmarks" / "work"
SHARED_DIR = ROOT.parent / "shared"
DECOR_DIR = SHARED_DIR / "data" / "decor"
NUM_CLASSES = 10
IMAGE_SIZE = (240, 240)  # (height, width)
GRID = 8  # a picture is a random grid of colours, enlarged


def decor_products(label: str = "decor") -> Path:
    """Return the folder of 285 decor products in class folders, made if missing.

    Args:
        label: "decor" for 7 classes, "country" for 4.

    Raises:
        CommandError: The decor pictures are not beside the checkout, or
            `edgeclf prepare_data` failed.
    """
    folder, source = WORK_DIR / label, DECOR_DIR
    if not any(folder.glob("*/*")):
        if not source.is_dir():
            raise CommandError(
                f"Expected the decor pictures in {source}. Received: no such folder. "
                "Put them there, see benchmarks/README.md, or give the benchmark other "
                "pictures: its --help says how."
            )
        say(f"Preparing {folder}")
        options = [
            "--csv",
            f"{source / 'decor.csv'}",
            "--images",
            f"{source / 'images'}",
        ]
        options += ["--label_column", label, "--type", "product"]
        command = [sys.executable, "-m", "edgeclf", "prepare_data", *options]
        run_once(Contender("prepare_data", [*command, "--output", str(folder)]))
    return folder


def flowers() -> Path:
    """Return the folder of 700 flowers in 5 class folders.

    Raises:
        CommandError: It is not beside the checkout.
    """
    folder = SHARED_DIR / "data" / "flowers"
    if not folder.is_dir():
        raise CommandError(
            f"Expected the flowers in {folder}. Received: no such folder. Put them "
            "there, or give the benchmark other pictures: its --help says how."
        )
    return folder


def generated(count: int) -> Path:
    """Return a folder of `count` generated pictures in 10 classes, made if missing.

    They are drawn by a process of their own: the one that measures stays small.

    Raises:
        CommandError: Drawing failed.
    """
    folder = WORK_DIR / f"generated-{count}"
    if not (folder / "complete").exists():
        say(f"Drawing {count} pictures into {folder}")
        command = [sys.executable, "-m", "benchmarks.datasets", "--count", str(count)]
        run_once(Contender("datasets", [*command, "--output", str(folder)]))
        (folder / "complete").touch()
    return folder / "images"


def draw(folder: Path, count: int) -> None:
    """Draw `count` JPEGs into class folders; each class has a colour of its own."""
    from PIL import Image

    height, width = IMAGE_SIZE
    for number in range(count):
        class_index = number % NUM_CLASSES
        numbers = random.Random(number)  # noqa: S311 - not for secrets
        hue = (class_index * 256 // NUM_CLASSES + numbers.randrange(-20, 20)) % 256
        grid = numbers.randbytes(GRID * GRID * 3)
        image = Image.frombytes("HSV", (GRID, GRID), grid)
        bands = (Image.new("L", (GRID, GRID), hue), *image.split()[1:])
        image = Image.merge("HSV", bands).convert("RGB")
        path = folder / f"class {class_index}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)


def main() -> int:
    """Draw generated pictures into `OUTPUT/images`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=positive, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    draw(args.output / "images", args.count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
