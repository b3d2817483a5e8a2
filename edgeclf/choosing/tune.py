"""Find settings that suit the pictures, and say how much of the gain is noise.

```
edgeclf tune --image_dir photos
```
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import os
import sys
import time
from collections.abc import Sequence

from edgeclf import console
from edgeclf.choosing.folds import NUM_FOLDS, Folds
from edgeclf.choosing.halving import Result, Search, search
from edgeclf.choosing.options import SHARED, add_shared, joined, retrain_line
from edgeclf.choosing.settings import Setting, list_settings, reference
from edgeclf.console import listed, one_of
from edgeclf.data.tag_source import TAG_SOURCES
from edgeclf.labelling.output import write_json_line
from edgeclf.training.config import (
    DEFAULT_LEARNING_RATE,
    DEFAULT_STEPS,
    SOLVERS,
    RetrainConfig,
)
from edgeclf.training.views import DEFAULT_VIEWS

logger = logging.getLogger("edgeclf")

VIEWS = (1, 4, DEFAULT_VIEWS, 2 * DEFAULT_VIEWS)
LEARNING_RATES = (DEFAULT_LEARNING_RATE, 10 * DEFAULT_LEARNING_RATE)
STEPS = (DEFAULT_STEPS // 4, DEFAULT_STEPS)
MAX_MINUTES = 10.0
_TUNED = ("solver", "views", "learning_rate", "how_many_training_steps")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgeclf tune`: the table and the line to run to stdout, all else to stderr.

    Returns:
        0, or 1 when it failed. (2, as `SystemExit`, for wrong usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        for name in TAG_SOURCES:
            if getattr(options, name) is not None:
                raise ValueError(
                    "Expected --image_dir, a folder of class folders: of tags nothing "
                    "is to be tuned, edgeclf retrain itself chooses their settings by "
                    f"unseen pictures. Received: --{name}."
                )
        if not 0 < options.max_minutes < math.inf:
            raise ValueError(
                f"Expected positive max_minutes. Received: {options.max_minutes}."
            )
        shared = RetrainConfig(
            output_graph=os.devnull,
            architecture=options.architecture,
            **{name: getattr(options, name) for name in SHARED},
        )
        own = reference(shared)
        settings = list_settings(
            options.solvers,
            options.views,
            [] if options.no_descent else options.learning_rates,
            options.steps,
        )
        for setting in settings:
            setting.configure(shared)  # refuses rates, steps and views below 1
    except ValueError as error:
        parser.error(str(error))

    def command() -> int:
        started = time.monotonic()
        most = max(setting.views for setting in [own, *settings])
        folds = Folds(dataclasses.replace(shared, views=most))
        found = search(folds, settings, own, 60 * options.max_minutes)
        if not found.is_finished:
            logger.warning(
                "The time of %g minutes (--max_minutes) was over before the search.",
                options.max_minutes,
            )
        chosen = choose(found, own)
        line = line_for(shared, chosen, own)
        if options.json:
            report = {
                "num_pictures": len(folds),
                "num_folds": NUM_FOLDS,
                "is_finished": found.is_finished,
                "seconds": time.monotonic() - started,
                "reference": vars(own),
                "best": vars(found.best.setting),
                "keep_defaults": chosen is own,
                "settings": [result.describe() for result in found.results],
                "command": line,
            }
            write_json_line(report)
        else:
            lines = [*_table(found), "", *explain(found, own, len(folds)), line]
            sys.stdout.write("\n".join(lines) + "\n")
        return 0

    return console.run(
        command,
        "Bottlenecks stay in the cache. The same command searches anew.",
    )


def choose(found: Search, own: Setting) -> Setting:
    """Return the best setting if it is better than the defaults by more than noise."""
    best = found.best
    return own if best.is_noise or best.difference >= 0 else best.setting


def line_for(shared: RetrainConfig, chosen: Setting, own: Setting) -> str:
    """Return the command line that trains with a setting."""
    config = shared if chosen == own else chosen.configure(shared)
    return retrain_line(config, ["architecture", *_TUNED, *SHARED])


def explain(found: Search, own: Setting, num_pictures: int) -> list[str]:
    """Return what was found, and whether it is more than noise."""
    best = found.best
    on = f"over {num_pictures} pictures in {NUM_FOLDS} folds"
    if best.setting == own:
        return [f"Nothing is better than the defaults ({own}), {on}."]
    gain = (
        f"{best.setting} has a loss {-best.difference:.3f} below that of the defaults "
        f"({own}), {on}; the standard error of that difference is "
        f"{best.standard_error:.3f}"
    )
    if best.is_noise:
        return [f"{gain}: that is noise. Keep the defaults:"]
    return [f"{gain}: more than noise. Run:"]


def _table(found: Search) -> list[str]:
    """Return the settings as lines, best first."""
    rows = [
        ["setting", "pictures %", "loss", "accuracy %", "to defaults", "std. error"]
    ]
    rows += [_row(result) for result in found.results]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [f"{row[0]:{widths[0]}}"]
            + [f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]


def _row(result: Result) -> list[str]:
    if not math.isfinite(result.scores.loss):
        return [str(result.setting), f"{result.share:.0%}", "failed", "", "", ""]
    return [
        str(result.setting),
        f"{100 * result.share:.0f}",
        _number(result.scores.loss),
        f"{100 * result.scores.accuracy:.1f}",
        _number(result.difference, "+"),
        _number(result.standard_error),
    ]


def _number(value: float, sign: str = "") -> str:
    """Return three digits, in a short form too where gradient descent ran wild."""
    return f"{value:{sign}.3f}" if abs(value) < 1e3 else f"{value:{sign}.0e}"


def _parser() -> console.Parser:
    parser = console.Parser(
        prog="edgeclf tune",
        description="Try solvers, views and gradient descent on cached bottlenecks of "
        "the training and validation pictures, a few pictures first, and print the "
        "line to run. Solvers choose their own strength or shrinkage each time. Test "
        "pictures are not looked at.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--image_dir", help="folder of class folders")
    for name in TAG_SOURCES:  # refused with the reason
        add(f"--{name}", help=argparse.SUPPRESS)
    add("--architecture", help="zoo name or path to a .tflite")
    add(
        "--solvers",
        "--heads",
        type=listed(one_of(SOLVERS)),
        default=joined(SOLVERS),
        metavar="A,B",
        help="what fits the head",
    )
    add(
        "--views",
        type=listed(int),
        default=joined(VIEWS),
        metavar="N,M",
        help="views of a picture, the plain one included",
    )
    add(
        "--learning_rates",
        type=listed(float),
        default=joined(LEARNING_RATES),
        metavar="X,Y",
        help="of gradient descent",
    )
    add(
        "--steps",
        type=listed(int),
        default=joined(STEPS),
        metavar="N,M",
        help="of gradient descent",
    )
    add("--no_descent", action="store_true", help="try no gradient descent")
    add(
        "--max_minutes",
        type=float,
        default=MAX_MINUTES,
        metavar="M",
        help="for the search, once the bottlenecks are there",
    )
    add("--json", action="store_true", help="one line of JSON on stdout")
    add_shared(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
