"""Say where the time goes when a model labels pictures on this machine.

```
edgeclf benchmark model.tflite --image a.jpg
```
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeclf.benchmark.drawn import DRAWN, draw
from edgeclf.benchmark.timings import (
    STEPS,
    machine,
    time_invoke,
    time_start,
    time_steps,
)
from edgeclf.classifier import Classifier
from edgeclf.console import Parser, run
from edgeclf.errors import EdgeclfError
from edgeclf.interpreter import num_processors
from edgeclf.labelling.arguments import (
    add_model_options,
    check_input_size,
    help_formatter,
    model_arguments,
    positive,
)
from edgeclf.network import open_network

logger = logging.getLogger("edgeclf")

DEFAULT_RUNS = 50
MAX_STARTS = 5  # of processes, which take long; medians are shown
STARTING = {  # what the lines of a cold start are called
    "process_ms": "python -m edgeclf.label_image, start to end",
    "python_ms": "  Python itself, options, end",
    "import_ms": "  import",
    "load_ms": "  load the interpreter and the model",
    "first_ms": "  label the first picture",
}
VERSIONS = ("python", "edgeclf", "numpy", "pillow")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the figures go to stdout, everything else to stderr.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0, or 1 when the model or a picture cannot be read. (2, as `SystemExit`, for
        wrong usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)

    def command() -> int:
        try:
            figures = measure(options)
        except EdgeclfError:
            raise
        except ValueError as error:
            parser.error(str(error))
        if options.json:
            text = json.dumps(figures, ensure_ascii=False, indent=2, sort_keys=True)
        else:
            text = "\n".join(report(figures))
        sys.stdout.write(text + "\n")
        return 0

    return run(command, "Nothing was changed. The same command measures anew.")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures: times in milliseconds, sizes in bytes.

    Raises:
        EdgeclfError, OSError: The model or a picture cannot be read.
        ValueError: An option does not fit the model.
    """
    model, runs = options.model, options.runs
    settings = model_arguments(options)
    with _pictures(options.image) as pictures, Classifier(model, **settings) as loaded:
        for path in pictures.values():
            loaded.classify(path)  # what cannot be read is said at once
        check_input_size(options, loaded.input_size)
        if loaded.input_size is None:
            raise ValueError(
                "Expected --input_height and --input_width for a model of any size. "
                "Received: neither."
            )
        described = machine()
        starts = min(runs, MAX_STARTS)
        logger.info("Starting %d processes ...", 2 * starts)
        first = next(iter(pictures.values()))
        cold_start = time_start(model, first, settings, starts)
        network = open_network(model, **settings).network
        labelled = {}
        for name, path in pictures.items():
            logger.info("Labelling %s %d times ...", name, runs)
            labelled[name] = time_steps(loaded, network, path, runs)
        logger.info("Trying 1 to %d threads ...", num_processors())
        threads = {
            str(number): time_invoke(model, {**settings, "num_threads": number}, runs)
            for number in range(1, num_processors() + 1)
        }
        return {
            "machine": described,
            "model": {
                "path": model,
                "size_bytes": os.stat(model).st_size,  # noqa: PTH116
                "input_size": loaded.input_size,
                "num_classes": loaded.num_classes,
            },
            "settings": settings,
            "runs": runs,
            "cold_start": cold_start,
            "pictures": labelled,
            "invoke_ms_by_threads": threads,
        }


def report(figures: Mapping[str, Any]) -> list[str]:
    """Return the lines that people read."""
    machine, model = figures["machine"], figures["model"]
    start = figures["cold_start"]
    height, width = model["input_size"]
    versions = ", ".join(f"{name} {machine[name]}" for name in VERSIONS)
    peak = start.get("peak_bytes")
    steps = [f"{name}_ms" for name in ("p50", "p95", *STEPS)]
    rows = [["", *(step.removesuffix("_ms") for step in steps)]]
    for name, times in figures["pictures"].items():
        rows.append([name, *(f"{times[step]:.2f}" for step in steps)])
    return [
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}",
        f"{versions}, {machine['interpreter']}",
        f"{model['path']}: {model['size_bytes'] / 1e6:.2f} MB, "
        f"input {height} x {width}, {model['num_classes']} classes",
        "",
        "Cold start, ms",
        *_aligned([[text, f"{start[name]:.1f}"] for name, text in STARTING.items()]),
        "Peak memory: " + ("not known" if peak is None else f"{peak / 1e6:.1f} MB"),
        "",
        f"Labelling, ms ({figures['runs']} runs)",
        *_aligned(rows),
        "",
        "Model alone, ms",
        *_aligned(
            [
                [f"{number} thread{'s' * (number != '1')}", f"{took:.2f}"]
                for number, took in figures["invoke_ms_by_threads"].items()
            ]
        ),
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with the first column to the left and numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [f"  {row[0]:{widths[0]}}"]
            + [f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]


@contextmanager
def _pictures(paths: Sequence[str] | None) -> Iterator[dict[str, str]]:
    """Yield paths of pictures by name; without any, of such as are drawn."""
    if paths:
        yield {path: path for path in paths}
        return
    with tempfile.TemporaryDirectory() as folder:
        drawn = {name: Path(folder) / f"{name}.jpg" for name in DRAWN}
        for name, path in drawn.items():
            draw(DRAWN[name]).save(path, quality=90)
        yield {name: str(path) for name, path in drawn.items()}


def _parser() -> Parser:
    parser = Parser(
        prog="benchmark",
        description="Say where the time goes.",
        formatter_class=help_formatter,
    )
    add = parser.add_argument
    add(
        "--image",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="pictures to label (default: two that are drawn, 320 x 240 and 12 "
        "megapixels)",
    )
    add("--runs", type=positive, default=DEFAULT_RUNS, metavar="N", help="of each")
    add("--json", action="store_true", help="figures as one JSON object")

    def add_setting(*names: str, **options: Any) -> None:
        if "--model" in names:  # here it stands alone
            add("model", metavar="MODEL", help=options["help"])
        else:
            add(*names, **options)

    add_model_options(add_setting)
    return parser
