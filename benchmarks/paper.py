"""Work out what many pictures cost, from what `benchmarks.scale` has measured.

    python -m benchmarks.paper scale.json

No picture is labelled: these are products and quotients, and the table says of how many
cores something else than decoding and inference sets the pace.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import BYTES_PER_MB, digits, positive, print_line
from benchmarks.scale import LOCAL, ONE_NODE, TWO_NODES, Labelled, Steady

PICTURES = 100_000_000
CORES = (1, 16, 256, 1024)
CORES_EACH = 16  # of a machine, as clouds rent them
PARTITION = 1000  # pictures in a file of results, when there are many
PICTURE_REQUESTS = 2  # its size, then its content
REQUESTS_EACH = 3  # its inputs are written and read, its results written
# Requests a second that S3 answers at least for one prefix. Source: Amazon S3 User
# Guide, "Best practices design patterns: optimizing Amazon S3 performance".
GETS_PER_PREFIX = 5500
# Names that one request lists, and the time that it is taken to last.
# Source: Amazon S3 API Reference, ListObjectsV2, max-keys; the time is an assumption.
NAMES_PER_LIST = 1000
LIST_S = 0.1
HOUR_S = 3600


@dataclass(frozen=True)
class Measured:
    """What one picture takes.

    Attributes:
        core_s: Of one core, wall time in seconds.
        driver_s: Of the process that lists pictures and hands them out, processor time.
        read_bytes: Size of its file.
        written_bytes: Its part of the results.
        worker_mb: Memory of a worker in MB (10^6 bytes), however many pictures.
        driver_mb: Memory of the driver, likewise.
    """

    core_s: float
    driver_s: float
    read_bytes: float
    written_bytes: float
    worker_mb: float
    driver_mb: float

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Measured:
        """Take it from the content of a file of `benchmarks.scale --json`."""
        runs = [Labelled(**run) for run in furthest(figures["measured"])]
        rates = [Steady.of(run, figures["cores"]).per_core_s for run in runs]
        growth = [Labelled(**run) for run in furthest(figures["growth"])]
        few, many = growth[-2:]
        return cls(
            core_s=1 / median(rates),
            driver_s=per_picture(few, many, "driver_cpu_s"),
            read_bytes=figures["photo_bytes"],
            written_bytes=per_picture(few, many, "output_bytes"),
            worker_mb=max(run.worker_mb for run in runs),
            driver_mb=max(run.driver_mb for run in growth),
        )


def furthest(measured: Mapping[str, Any]) -> Any:
    """Return what was measured on most nodes: without Ray, on this machine alone."""
    name = next(name for name in (TWO_NODES, ONE_NODE, LOCAL) if name in measured)
    return measured[name]


def per_picture(few: Labelled, many: Labelled, field: str) -> float:
    """Return how much more of something one picture more takes."""
    more = getattr(many, field) - getattr(few, field)
    return float(more / (many.count - few.count))


def totals(one: Measured, count: int) -> list[tuple[str, str]]:
    """Return what `count` pictures take, whatever the number of cores."""
    return [
        ("core-hours of labelling", f"{count * one.core_s / HOUR_S:,.0f}"),
        ("hours of the driver", f"{count * one.driver_s / HOUR_S:.1f}"),
        ("read, TB", f"{count * one.read_bytes / 1e12:.1f}"),
        ("results, GB", f"{count * one.written_bytes / 1e9:.1f}"),
        ("requests for pictures", f"{PICTURE_REQUESTS * count:,}"),
        ("requests for parts", f"{REQUESTS_EACH * count // PARTITION:,}"),
        ("requests that list", f"{count // NAMES_PER_LIST:,}"),
        (
            f"memory of a machine of {CORES_EACH} cores, GB",
            f"{CORES_EACH * one.worker_mb * BYTES_PER_MB / 1e9:.1f}",
        ),
        ("memory of the driver, GB", f"{one.driver_mb * BYTES_PER_MB / 1e9:.2f}"),
    ]


def row(one: Measured, count: int, cores: int) -> Sequence[str]:
    """Return what labelling `count` pictures on `cores` cores asks of everything else.

    The driver lists first, and hands out while the workers work: both are its hours.
    """
    rate = cores / one.core_s
    work_hours = count / rate / HOUR_S
    driver_hours = count * one.driver_s / HOUR_S
    list_hours = count / NAMES_PER_LIST * LIST_S / HOUR_S
    slowest = max(
        (work_hours, "decoding and inference"),
        (driver_hours, "the driver"),
        (list_hours, "listing a store"),
    )
    return (
        f"{cores:,}",
        f"{-(-cores // CORES_EACH)}",
        f"{rate:,.0f}",
        f"{work_hours:,.1f}",
        f"{driver_hours:.1f}",
        f"{list_hours:.1f}",
        digits(rate * one.read_bytes * 8 / 1e9),
        f"{PICTURE_REQUESTS * rate / GETS_PER_PREFIX:.1f}",
        slowest[1],
    )


def main() -> int:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("figures", type=Path, help="of benchmarks.scale --json")
    parser.add_argument("--pictures", type=positive, default=PICTURES)
    args = parser.parse_args()
    one = Measured.of(json.loads(args.figures.read_text("utf-8")))
    print(
        f"One picture: {1000 * one.core_s:.2f} ms of a core, "
        f"{1e6 * one.driver_s:.0f} us of the driver, {one.read_bytes / 1000:.0f} kB "
        f"read, {one.written_bytes:.0f} bytes written.\n"
    )
    print_line(f"{args.pictures:,} pictures", "")
    print_line("---", "---")
    for name, value in totals(one, args.pictures):
        print_line(name, value)
    print()
    print_line(
        *("cores", f"machines of {CORES_EACH}", "pictures/s", "hours of labelling"),
        *("hours of the driver", "hours to list a store", "network, Gbit/s"),
        *("prefixes of S3", "the slowest"),
    )
    print_line(*["---"] * 9)
    for cores in CORES:
        print_line(*row(one, args.pictures, cores))
    return 0


if __name__ == "__main__":
    sys.exit(main())
