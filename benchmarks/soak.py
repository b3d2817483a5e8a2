"""Does a process that labels pictures for days grow? Formats mixed, some damaged.

Threads share one `Classifier`. The last line says how much the process has grown
since the first twentieth of the pictures (20,000: since 1,000).

    python -m benchmarks.soak --model FILE.tflite
"""

from __future__ import annotations

import gc
import io
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from benchmarks import measure
from benchmarks.label_image import decor_model
from benchmarks.measure import BYTES_PER_MB

FORMATS = ("JPEG", "JPEG", "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MODES = ("RGB", "RGB", "L", "RGBA", "P", "CMYK")
DAMAGED = 0.1  # share of pictures cut short or with bytes changed
VARIANTS = 200  # that come again and again
MEASUREMENTS = 20
LIMIT_MB = 5 * (1 << 20) / BYTES_PER_MB


def pictures(side: int) -> list[bytes]:
    """Return encoded pictures of at most `side` pixels a side, the same every time."""
    numbers = random.Random(0)  # noqa: S311 - not for secrets
    return [_picture(numbers, side) for _ in range(VARIANTS)]


def _picture(numbers: random.Random, side: int) -> bytes:
    from PIL import Image

    grid = Image.frombytes("RGB", (8, 8), numbers.randbytes(192))
    size = (numbers.randint(side // 2, side), numbers.randint(side // 2, side))
    image = grid.resize(size, Image.Resampling.BICUBIC).convert(numbers.choice(MODES))
    file = io.BytesIO()
    try:
        image.save(file, numbers.choice(FORMATS))
    except (OSError, ValueError):  # a mode that the format does not have
        file = io.BytesIO()
        image.convert("RGB").save(file, "JPEG")
    content = bytearray(file.getvalue())
    if numbers.random() < DAMAGED:
        for _ in range(8):
            content[numbers.randrange(len(content))] = numbers.randrange(256)
        del content[numbers.randrange(len(content)) :]
    return bytes(content)


def resident_mb() -> float:
    """Return this process's resident set now, in MB of 10^6 bytes."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    (resident,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(resident) * 1024 / BYTES_PER_MB


def soak(
    model: Path, count: int, side: int, threads: int
) -> Iterator[tuple[int, float]]:
    """Label `count` pictures; yield how many so far, and the resident MB."""
    from edgeclf import Classifier, EdgeclfError

    files = pictures(side)
    refused = 0
    with (
        Classifier(model, num_threads=1) as classifier,
        ThreadPoolExecutor(threads) as executor,
    ):

        def is_labelled(number: int) -> bool:
            try:
                return bool(classifier.classify(files[number % len(files)]))
            except EdgeclfError:
                return False

        numbers = iter(range(count))
        done = 0
        while batch := list(islice(numbers, max(1, count // MEASUREMENTS))):
            labelled = list(executor.map(is_labelled, batch))
            refused += labelled.count(False)
            done += len(batch)
            yield done, resident_mb()
    measure.say(f"{count - refused} labelled, {refused} refused")


def main() -> int:
    """Measure, print the table; 1 if the process has grown by 5 MiB or more."""
    parser = measure.parser(__doc__, runs=1)
    parser.add_argument("--model", type=Path, help="else one for the decors is made")
    parser.add_argument("--pictures", type=measure.positive, default=20_000)
    parser.add_argument("--side", type=measure.positive, default=320, metavar="PIXELS")
    parser.add_argument("--threads", type=measure.positive, default=1)
    args = parser.parse_args()
    args.model = args.model or decor_model(args.architecture)[0]
    started = time.perf_counter()
    sizes = list(soak(args.model, args.pictures, args.side, args.threads))
    seconds = time.perf_counter() - started
    measure.print_line("pictures", "resident MB")
    measure.print_line("---", "---")
    for done, megabytes in sizes:
        measure.print_line(done, f"{megabytes:.1f}")
    first = sizes[0]
    growth_mb = sizes[-1][1] - first[1]
    print(
        f"\n{args.pictures:,} pictures by {args.threads} thread(s) in {seconds:.0f} s: "
        f"{growth_mb:+.1f} MB since picture {first[0]:,}"
    )
    measure.write_json(
        args.json, benchmark="soak", resident_mb=sizes, growth_mb=growth_mb
    )
    return int(growth_mb >= LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
