"""Compare backbones, views, heads and types of model on one split.

```
edgeclf compare --image_dir photos --architectures a,b --max_latency_ms 5
edgeclf compare --unsplash tables --architectures keras/vgg16,keras/xception
```
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeclf import console, files
from edgeclf.benchmark.timings import machine
from edgeclf.choosing.candidates import Candidate, list_candidates
from edgeclf.choosing.comparison import compare
from edgeclf.choosing.options import SHARED, add_shared, retrain_line
from edgeclf.choosing.outcome import Outcome
from edgeclf.choosing.page import render
from edgeclf.choosing.recommend import (
    SIGNIFICANCE,
    Budget,
    Recommendation,
    explain_misfit,
    recommend,
)
from edgeclf.choosing.table import as_csv, as_text, settings_in_common
from edgeclf.console import listed, one_of
from edgeclf.labelling.output import write_json_line
from edgeclf.training.config import SOLVERS, RetrainConfig
from edgeclf.training.quantize import QUANTIZE_MODES
from edgeclf.training.tag_options import TAG_OPTIONS, add_tag_options
from edgeclf.training.views import DEFAULT_VIEWS

logger = logging.getLogger("edgeclf")

# More than for a model that is to be used: here differences are to show.
TESTING_PERCENTAGE = 30.0
_SHARED = (*SHARED, *TAG_OPTIONS)
CANDIDATE = ("architecture", "solver", "views", "quantize")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgeclf compare`: the table to stdout, all else to stderr.

    Returns:
        0, or 1 when a candidate failed or none fits the budget. (2, as `SystemExit`,
        for wrong usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)
    folder = Path(options.output_dir)
    try:
        budget = Budget(options.max_latency_ms, options.max_size_mb)
        candidates = list_candidates(
            options.architectures, options.views, options.solvers, options.quantize
        )
        shared = RetrainConfig(
            output_graph=folder / "model.tflite",
            no_report=True,
            **{name: getattr(options, name) for name in _SHARED},
        )
        if not 0 < options.significance <= 1:
            raise ValueError(
                "Expected significance above 0 and at most 1. Received: "
                f"{options.significance}."
            )
        if not shared.testing_percentage:
            raise ValueError(
                "Expected testing_percentage above 0: candidates are compared on test "
                "pictures. Received: 0."
            )
        for candidate in candidates:
            candidate.configure(shared, folder)  # refuses unknown names
    except ValueError as error:
        parser.error(str(error))

    def command() -> int:
        outcomes, split = compare(shared, candidates, folder, budget)
        choice = recommend(outcomes, budget, options.significance)
        notes = _notes(outcomes, budget, choice, shared, folder)
        report = {
            "image_dir": shared.source,
            "split_file": str(split),
            "seed": shared.seed,
            "budget": vars(budget),
            "candidates": [outcome.describe() for outcome in outcomes],
            "recommendation": choice.describe() if choice else None,
            "machine": machine(),
        }
        _write(folder, outcomes, choice, notes, report)
        if choice is None and (options.json or options.csv):
            logger.error("%s", explain_misfit(outcomes, budget))
        if options.json:
            write_json_line(report)
        elif options.csv:
            sys.stdout.write(as_csv(outcomes))
        else:
            sys.stdout.write("\n".join([as_text(outcomes), "", *notes]) + "\n")
        failed = any(outcome.error is not None for outcome in outcomes)
        return int(failed or choice is None)

    return console.run(
        command,
        f"What is trained stays in {folder}. The same command goes on with the rest.",
    )


def _notes(
    outcomes: Sequence[Outcome],
    budget: Budget,
    choice: Recommendation | None,
    shared: RetrainConfig,
    folder: Path,
) -> list[str]:
    """Return what is said below the table."""
    common = settings_in_common(outcomes)
    notes = [f"All with: {common}."] if common else []
    notes.append(
        "ms: one inference, median, on this machine; nine of ten are done within the "
        "next figure. train s: less where bottlenecks were in the cache already."
    )
    if shared.is_multi_label:
        notes.append(
            "Of tags accuracy is binary accuracy, the share of pairs of picture and "
            "tag that are right, and loss is binary cross-entropy; candidates are "
            "ranked by micro-F1, which the interval is of."
        )
    close = budget.close_calls(outcomes)
    if close:
        timings = ", ".join(
            f"{o.candidate.name} ({o.latency_p10_ms:.2f}-{o.latency_p90_ms:.2f} ms)"
            for o in close
        )
        notes.append(
            f"A close call: --max_latency_ms {budget.max_latency_ms:g} lies between "
            f"the fast and the slow timings of {timings}. Repeat the command on a "
            "quiet machine; it then only times again."
        )
    if choice is None:
        return [*notes, explain_misfit(outcomes, budget)]
    notes += choice.sentences()
    return [*notes, _retrain_again(choice.chosen.candidate, shared, folder)]


def _retrain_again(candidate: Candidate, shared: RetrainConfig, folder: Path) -> str:
    """Return the line that trains the candidate, on more of the pictures if it may."""
    config = candidate.configure(shared, folder)
    names = [name for name in _SHARED if name != "testing_percentage"]
    usual = RetrainConfig.testing_percentage
    is_more = shared.split_file is None and shared.testing_percentage > usual
    start = "Train it on more pictures" if is_more else "Train it"
    return f"{start}: {retrain_line(config, [*CANDIDATE, *names])}"


def _write(
    folder: Path,
    outcomes: Sequence[Outcome],
    choice: Recommendation | None,
    notes: Sequence[str],
    report: dict[str, Any],
) -> None:
    """Write the comparison as a page, as JSON and as CSV."""
    chosen = choice.chosen if choice else None
    title = f"{console.number_of(len(outcomes), 'candidate')} compared"
    page = folder / "comparison.html"
    files.write_together(
        {
            page: files.encoded(render(outcomes, chosen, title, notes)),
            folder / "comparison.json": files.encoded(_as_json(report)),
            folder / "comparison.csv": files.encoded(as_csv(outcomes)),
        }
    )
    logger.info("Table and plots: %s", page)


def _as_json(report: dict[str, Any]) -> str:
    text = json.dumps(report, ensure_ascii=False, indent=2, sort_keys=True)
    return text + "\n"


def _parser() -> console.Parser:
    parser = console.Parser(
        prog="edgeclf compare",
        description="Train every mix of backbones, solvers, views and types of model "
        "on one split, measure the written files, and recommend the simplest that is "
        "not significantly worse than the best. What is finished is not trained "
        "again when the command is repeated.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--image_dir", help="folder of class folders, or of the pictures of tags")
    add(
        "--architectures",
        required=True,
        type=listed(str),
        metavar="A,B",
        help="zoo names (keras/vgg16, keras/inception_v3 and keras/xception among "
        "them) and paths of .tflite files",
    )
    add(
        "--views",
        type=listed(int),
        default=str(DEFAULT_VIEWS),
        metavar="N,M",
        help="views of a picture, the plain one included",
    )
    add(
        "--solvers",
        "--heads",
        type=listed(one_of(SOLVERS)),
        default=RetrainConfig.solver,
        metavar="A,B",
        help=f"what fits the head: {', '.join(SOLVERS)}",
    )
    add(
        "--quantize",
        type=listed(one_of(QUANTIZE_MODES)),
        default=RetrainConfig.quantize,
        metavar="A,B",
        help=f"types of the model: {', '.join(QUANTIZE_MODES)}",
    )
    add("--output_dir", default="comparison", help="for models, figures and the page")
    add(
        "--max_latency_ms",
        type=float,
        metavar="MS",
        help="recommend within this time for one picture, measured on this machine",
    )
    add(
        "--max_size_mb",
        type=float,
        metavar="MB",
        help="recommend within this size of the file",
    )
    add(
        "--significance",
        type=float,
        default=SIGNIFICANCE,
        metavar="P",
        help="recommend a simpler model if the best one's lead has at least this "
        "p-value. By default a lead counts from one standard error on; with 0.05 from "
        "two on",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one line of JSON on stdout")
    form.add_argument("--csv", action="store_true", help="CSV on stdout")
    add_tag_options(parser)
    add_shared(parser, testing_percentage=TESTING_PERCENTAGE)
    return parser


if __name__ == "__main__":
    sys.exit(main())
