"""Label many pictures: a plain loop, one machine, and Ray with one and two nodes.

All have the same cores, and take turns. Each labels photos of 0.5 megapixel and writes
its results in parts. The steady rate is told from the times of the second half of them,
without the last ones: workers start one after the other, and do not end at once. What
is left of the time is starting. The Ray cluster stands when the time begins. Then the
number of pictures grows a hundredfold, small ones, for which what is done around the
work counts most.

    python -m benchmarks.scale --model FILE.tflite --json scale.json

`benchmarks.paper` works out from that file what a hundred million pictures cost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks import measure
from benchmarks.datasets import WORK_DIR
from benchmarks.label_image import PEERS, decor_model
from benchmarks.measure import (
    CommandError,
    Contender,
    Spread,
    digits,
    print_line,
    run_once,
    say,
)
from benchmarks.numbered import numbered
from benchmarks.processes import Watch
from benchmarks.ray_nodes import cluster

PHOTO_SIZE = (612, 816)  # (height, width): 0.5 megapixel
SMALL_SIZE = (120, 160)
PARTITION = 50  # photos in a part of the results
SMALL_PARTITION = 50
OUTPUT = WORK_DIR / "scale"
BASE, LOCAL, ONE_NODE, TWO_NODES = "plain loop", "local", "Ray, 1 node", "Ray, 2 nodes"
TARGETS = {LOCAL: 10, ONE_NODE: 25, TWO_NODES: 25}  # percent that it may take more
MAX_GROWTH = 5  # percent that a picture may take more among many than among few

# Returns the command that labels a folder into another, given a cluster's address.
Command = Callable[[Path, str], Sequence[str]]


@dataclass(frozen=True)
class Way:
    """One of the ways to label.

    Attributes:
        name: How the tables call it.
        command: See `Command`.
        nodes: Of the Ray cluster that it needs; 0 for none.
    """

    name: str
    command: Command
    nodes: int = 0

    def surroundings(self, cores: int) -> AbstractContextManager[str]:
        """Start what it needs, and give the address; "" for none.

        Args:
            cores: All that the cluster's nodes have together.
        """
        if not self.nodes:
            return contextlib.nullcontext("")
        return cluster(self.nodes, max(1, cores // self.nodes))


@dataclass(frozen=True)
class Labelled:
    """What labelling a folder took.

    Attributes:
        count: Pictures in it.
        wall_s: From start to end, in seconds.
        cpu_s: User and system time of all processes, the cluster's too.
        driver_cpu_s: That of the process that was started, alone.
        driver_mb: Its peak resident set in MB (10^6 bytes).
        worker_mb: That of the largest of the others that work.
        output_bytes: Size of what was written.
        picture_s: Wall time of one picture in seconds, while all workers work.
        picture_cpu_s: Time of all processors for it then.
    """

    count: int
    wall_s: float
    cpu_s: float
    driver_cpu_s: float
    driver_mb: float
    worker_mb: float
    output_bytes: int
    picture_s: float
    picture_cpu_s: float


@dataclass(frozen=True)
class Steady:
    """What pictures take when all has started.

    Attributes:
        per_core_s: Pictures in a second of wall time on each core.
        per_cpu_s: Pictures in a second of processor time.
        start_s: What is left of the wall time: starting, and ending.
    """

    per_core_s: float
    per_cpu_s: float
    start_s: float

    @classmethod
    def of(cls, run: Labelled, cores: int) -> Steady:
        """Take it from a run."""
        return cls(
            1 / run.picture_s / cores,
            1 / run.picture_cpu_s,
            run.wall_s - run.count * run.picture_s,
        )


def steady_times(parts: Sequence[float], cores: int) -> tuple[int, float, float]:
    """Return how many parts were written between which times, by all workers.

    Args:
        parts: When each part was written.
        cores: How many workers. They end within the last two parts of each, and start
            within the first half of all parts.

    Raises:
        CommandError: There are too few parts.
    """
    first, last = len(parts) // 2, len(parts) - 1 - 2 * cores
    if first >= last:
        raise CommandError(
            f"Expected more than {4 * cores + 2} parts of results, to tell a rate "
            f"from. Received: {len(parts)}. Label more pictures."
        )
    in_order = sorted(parts)
    return last - first, in_order[first], in_order[last]


def ways(model: Path, cores: int) -> list[Way]:
    """Return the ways to label, the plain loop first."""
    loop = [sys.executable, str(PEERS / "plain_loop.py"), str(model)]

    def plain(folder: Path, address: str) -> Sequence[str]:
        return [*loop, str(folder), str(OUTPUT), str(cores), partition(folder)]

    label = [sys.executable, "-m", "edgeclf", "label", "--model", str(model)]
    label += ["--output", str(OUTPUT), "--partition_size"]

    def local(folder: Path, address: str) -> Sequence[str]:
        return [*label, partition(folder), "--workers", str(cores), str(folder)]

    def ray(folder: Path, address: str) -> Sequence[str]:
        return [
            *(*label, partition(folder), "--engine", "ray", "--address", address),
            *("--workers", str(cores), str(folder)),
        ]

    return [
        Way(BASE, plain),
        Way(LOCAL, local),
        Way(ONE_NODE, ray, 1),
        Way(TWO_NODES, ray, 2),
    ]


def partition(folder: Path) -> str:
    """Return how many pictures of a folder are worked on at a time."""
    is_small = folder.name.startswith(f"numbered-{SMALL_SIZE[1]}x")
    return str(SMALL_PARTITION if is_small else PARTITION)


def label(way: Way, address: str, folder: Path, count: int, cores: int) -> Labelled:
    """Label a folder of `count` pictures.

    Raises:
        CommandError: It failed, a picture could not be labelled, or they were too few.
    """
    shutil.rmtree(OUTPUT, ignore_errors=True)
    command = way.command(folder, address)
    with Watch() as watch:
        run = run_once(Contender(way.name, command))
    line = " ".join(command)
    (driver,) = (
        process
        for process in watch.seen.values()
        if (process.parent, process.command) == (os.getpid(), line)
    )
    workers = [
        process.peak_mb
        for process in watch.seen.values()
        if process.parent == driver.pid or process.command.startswith("ray::")
    ]
    written = [path.stat().st_mtime for path in OUTPUT.glob("part-*")]
    num_parts, first, last = steady_times(written, cores)
    num_steady = num_parts * int(partition(folder))
    result = Labelled(
        count,
        run.wall_s,
        watch.cpu_s() if way.nodes else run.cpu_s,
        driver.cpu_s,
        driver.peak_mb,
        max(workers, default=0.0),
        sum(path.stat().st_size for path in OUTPUT.rglob("*") if path.is_file()),
        (last - first) / num_steady,
        watch.cpu_s_between(first, last) / num_steady,
    )
    say(
        f"{way.name}, {count:,} pictures: {run.wall_s:.2f} s, {result.cpu_s:.2f} s of "
        f"processors, {result.driver_mb:.0f} and {result.worker_mb:.0f} MB"
    )
    return result


def label_folders(
    way: Way, folders: Iterable[tuple[int, Path]], cores: int
) -> list[Labelled]:
    """Label one folder after the other, on one cluster where one is needed."""
    with way.surroundings(cores) as address:
        return [label(way, address, folder, count, cores) for count, folder in folders]


def compare(
    chosen: Sequence[Way], count: int, runs: int, cores: int
) -> dict[str, list[Labelled]]:
    """Label photos in every way, in turn; one run warms up."""
    folders = [(count, numbered(PHOTO_SIZE, count))]
    measured: dict[str, list[Labelled]] = {way.name: [] for way in chosen}
    label_folders(chosen[0], folders, cores)  # fills the file cache
    for number in range(runs):
        say(f"Round {number + 1} of {runs}")
        for way in chosen:
            measured[way.name] += label_folders(way, folders, cores)
    return measured


def print_comparison(measured: dict[str, list[Labelled]], cores: int) -> None:
    """Print a row for each way, and how much more than the plain loop it takes."""
    steady = {
        name: [Steady.of(run, cores) for run in runs] for name, runs in measured.items()
    }
    print_line(
        *("", "photos/s a core", "photos a CPU-second", "time more than plain"),
        *("CPU time more", "start, s", "driver MB", "worker MB"),
    )
    print_line(*["---"] * 8)
    for name, values in steady.items():
        more = [
            f"{overhead(values, steady[BASE], field):+.1f} %"
            for field in ("per_core_s", "per_cpu_s")
        ]
        print_line(
            name,
            Spread.of([each.per_core_s for each in values]),
            Spread.of([each.per_cpu_s for each in values]),
            *more,
            Spread.of([each.start_s for each in values]),
            *(digits(max(getattr(run, f) for run in measured[name])) for f in MEMORY),
        )
    for name, percent in TARGETS.items():
        if name in steady:
            found = overhead(steady[name], steady[BASE], "per_core_s")
            print(f"\n{name}: {found:+.1f} % a photo; meant to be {percent} % at most.")


MEMORY = ("driver_mb", "worker_mb")


def overhead(values: Sequence[Steady], base: Sequence[Steady], field: str) -> float:
    """Return how much more a photo takes than in the plain loop, percent.

    Args:
        values: Of each round.
        base: Of the plain loop in the same rounds.
        field: Rate to compare.
    """
    ratios = measure.ratios(
        [getattr(each, field) for each in base],
        [getattr(each, field) for each in values],
    )
    return 100 * (Spread.of(ratios).median - 1)


def print_growth(name: str, runs: Sequence[Labelled]) -> None:
    """Print a row for each number of pictures, and how straight the line is."""
    print(f"\n{name}, pictures of {SMALL_SIZE[1]} x {SMALL_SIZE[0]} pixels\n")
    print_line("pictures", "wall s", "pictures/s", "driver MB", "worker MB")
    print_line(*["---"] * 5)
    for run in runs:
        cells = (run.wall_s, 1 / run.picture_s, run.driver_mb, run.worker_mb)
        print_line(f"{run.count:,}", *map(digits, cells))
    if len(runs) > 1:
        few, many = runs[-2:]
        slower = 100 * (many.picture_s / few.picture_s - 1)
        print(
            f"\nOf {many.count:,} pictures one takes {slower:+.1f} % more time than of "
            f"{few.count:,}; meant to be {MAX_GROWTH} % more at most."
        )


def main() -> int:
    """Measure, print the tables."""
    parser = measure.parser(__doc__, runs=2)
    parser.add_argument("--model", type=Path, help="with its own labels")
    parser.add_argument(
        "--photos",
        type=measure.positive,
        default=3000,
        help="how many",
    )
    parser.add_argument(
        "--sizes",
        type=measure.positive,
        nargs="*",
        default=[1000, 10_000, 100_000],
        help="numbers of small pictures; none: no growth is measured",
    )
    parser.add_argument(
        "--cores",
        type=measure.positive,
        default=len(os.sched_getaffinity(0)),
        help="workers, and processors of the Ray cluster",
    )
    args = parser.parse_args()
    model = Path(os.path.realpath(args.model or decor_model(args.architecture)[0]))
    say(f"{measure.machine()}")
    chosen = ways(model, args.cores)
    if not find_spec("ray"):
        say("Ray is left out: it is not installed.")
        chosen = [way for way in chosen if not way.nodes]
    measured = compare(chosen, args.photos, args.runs, args.cores)
    print_comparison(measured, args.cores)
    small = [(count, numbered(SMALL_SIZE, count)) for count in sorted(args.sizes)]
    growth = {}
    for way in chosen[1:3] if small else ():
        growth[way.name] = label_folders(way, small, args.cores)
        print_growth(way.name, growth[way.name])
    measure.write_json(
        args.json,
        benchmark="scale",
        cores=args.cores,
        photo_bytes=photo_bytes(numbered(PHOTO_SIZE, args.photos)),
        measured=measured,
        growth=growth,
    )
    return 0


def photo_bytes(folder: Path) -> float:
    """Return the mean size of the files in a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*.jpg")]
    return sum(sizes) / len(sizes)


if __name__ == "__main__":
    sys.exit(main())
