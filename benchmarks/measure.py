"""Time whole processes side by side.

The contenders take turns (A B C A B C ...), so that a machine which slows down, or
neighbours that take its time, touch all of them alike; their times are compared
within a round. Only the standard library is imported: a process starts with the peak
memory of the one that started it (Linux keeps it through `exec`), so whoever measures
must be smaller than what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BYTES_PER_MB = 1_000_000
ERROR_LINES = 15


class CommandError(SystemExit):
    """A measured command failed; its last lines end the benchmark with status 1."""


@dataclass(frozen=True)
class Contender:
    """A command to be measured.

    Attributes:
        name: How the table calls it.
        command: Program and arguments; it runs in the checkout's root.
        before: Called before each run, outside the measurement.
    """

    name: str
    command: Sequence[str]
    before: Callable[[], None] | None = None


@dataclass(frozen=True)
class Run:
    """What one process took.

    Attributes:
        wall_s: From start to end, in seconds.
        cpu_s: User and system time, with that of children it waited for.
        peak_mb: Peak resident set in MB (10^6 bytes) of the process or of its largest
            child, whichever is more; not their sum.
        output: What it wrote to stdout.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str = field(repr=False)


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of repeated measurements."""

    median: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise one value or more."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        middle, low, high = map(digits, (self.median, self.minimum, self.maximum))
        return middle if low == high else f"{middle} ({low}-{high})"


@dataclass(frozen=True)
class Row:
    """One contender's line in the table.

    Attributes:
        name: The contender's.
        wall_s: See `Run`.
        cpu_s: See `Run`.
        peak_mb: See `Run`.
        ratio: Wall time divided by the baseline's of the same round.
        notes: Further cells by column title.
    """

    name: str
    wall_s: Spread
    cpu_s: Spread
    peak_mb: Spread
    ratio: Spread
    notes: dict[str, Any] = field(default_factory=dict)


def run_once(contender: Contender) -> Run:
    """Run a contender's command and wait for it.

    Raises:
        CommandError: The command ended with another status than 0.
    """
    if contender.before is not None:
        contender.before()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            contender.command,
            stdout=output,
            stderr=errors,
            cwd=ROOT,
            env=environment(),
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        text = [_read(output), _read(errors)]
    if process.returncode != 0:
        last_lines = "\n".join("".join(text).splitlines()[-ERROR_LINES:])
        raise CommandError(
            f"{contender.name}: expected exit status 0. "
            f"Received: {process.returncode} from {' '.join(contender.command)}\n"
            f"{last_lines}"
        )
    peak_mb = usage.ru_maxrss * 1024 / BYTES_PER_MB  # Linux counts in KiB
    return Run(wall_s, usage.ru_utime + usage.ru_stime, peak_mb, text[0])


def environment() -> dict[str, str]:
    """Return this process's variables, without what would compile every module anew."""
    dropped = "PYTHONDONTWRITEBYTECODE"
    return {name: value for name, value in os.environ.items() if name != dropped}


def alternate(
    contenders: Sequence[Contender], runs: int, *, warmups: int = 1
) -> dict[str, list[Run]]:
    """Run the contenders in turn, round after round, and show how it goes on stderr.

    Args:
        contenders: With names that differ.
        runs: Rounds to keep, 1 or more.
        warmups: Rounds before them, not kept: they fill the file cache.

    Raises:
        CommandError: A command failed.
    """
    measured: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    for number in range(-warmups, runs):
        title = "warm-up" if number < 0 else f"{number + 1}/{runs}"
        for contender in contenders:
            run = run_once(contender)
            say(f"{title} {contender.name}: {run.wall_s:.3f} s, {run.peak_mb:.0f} MB")
            if number >= 0:
                measured[contender.name].append(run)
    return measured


def summarize(
    measured: Mapping[str, Sequence[Run]],
    baseline: str,
    notes: Mapping[str, dict[str, Any]] | None = None,
) -> list[Row]:
    """Return a row for each contender, compared with `baseline` round by round."""
    base_runs = measured[baseline]
    return [
        Row(
            name,
            wall_s=Spread.of([run.wall_s for run in runs]),
            cpu_s=Spread.of([run.cpu_s for run in runs]),
            peak_mb=Spread.of([run.peak_mb for run in runs]),
            ratio=Spread.of(
                ratios(
                    [run.wall_s for run in runs], [base.wall_s for base in base_runs]
                )
            ),
            notes=(notes or {}).get(name, {}),
        )
        for name, runs in measured.items()
    ]


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Divide what was measured by what the baseline had in the same round."""
    return [value / other for value, other in zip(values, base, strict=True)]


def print_rows(rows: Sequence[Row], baseline: str) -> None:
    """Print rows as a Markdown table: median (smallest-largest)."""
    titles = list(dict.fromkeys(title for row in rows for title in row.notes))
    print_line("", "wall s", "CPU s", "peak MB", f"wall ÷ {baseline}", *titles)
    print_line(*["---"] * (5 + len(titles)))
    for row in rows:
        cells = [row.name, row.wall_s, row.cpu_s, row.peak_mb, row.ratio]
        print_line(*cells, *(row.notes.get(title, "") for title in titles))


def print_line(*cells: object) -> None:
    """Print one line of a Markdown table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def write_json(path: str | None, **content: Any) -> None:
    """Write what was measured, and on which machine; nothing when `path` is None."""
    if path is None:
        return
    document = json.dumps(
        {"machine": machine(), **content},
        default=_plain,
        ensure_ascii=False,
        indent=2,
        sort_keys=True,
    )
    Path(path).write_text(document + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Describe where this runs: processor, cores that may be used, Python, load."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return {
        "processor": names[0].strip() if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def parser(description: str | None, *, runs: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has.

    Args:
        description: The benchmark's module docstring; its first line is shown.
        runs: Default of `--runs`.
    """
    options = argparse.ArgumentParser(
        description=(description or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("--runs", type=positive, default=runs, help="rounds to keep")
    options.add_argument("--architecture", help="else the default of edgeclf retrain")
    options.add_argument("--json", metavar="FILE", help="also write the figures there")
    return options


def positive(text: str) -> int:
    """Parse a whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"Expected 1 or more. Received: {text}.")
    return number


def digits(value: float) -> str:
    """Format a measurement with three digits, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def say(line: str) -> None:
    """Tell on stderr how far it is."""
    print(line, file=sys.stderr, flush=True)


def _plain(record: Any) -> dict[str, Any]:
    content = asdict(record)
    content.pop("output", None)  # a run's output may be long, and says nothing of time
    return content


def _read(file: Any) -> str:
    file.seek(0)
    return str(file.read(), "utf-8", "replace")
