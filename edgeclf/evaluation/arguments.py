"""The options of `edgeclf evaluate`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeclf.console import Parser
from edgeclf.data.splits import SPLITS, TEST
from edgeclf.data.tag_source import DEFAULT_MIN_CONFIDENCE, TAG_SOURCES
from edgeclf.evaluation.report_files import VALUES_ENDING
from edgeclf.image import RESIZE_METHODS
from edgeclf.labelling.arguments import add_trust_options, positive


def parse(argv: Sequence[str] | None) -> tuple[Parser, argparse.Namespace]:
    """Return the parser, for further complaints, and the options.

    `image_dir` is DIR, wherever it stands.

    Args:
        argv: The arguments; None for those of the process.

    Raises:
        SystemExit: Wrong usage, with status 2.
    """
    parser = _parser()
    # DIR may stand behind options; it is not needed, and so not waited for otherwise.
    options = parser.parse_intermixed_args(_names_as_paths(argv))
    if options.folder is not None and options.image_dir is not None:
        parser.error("Expected DIR or --image_dir. Received: both.")
    options.image_dir = options.folder or options.image_dir
    if all(getattr(options, name) is None for name in ("image_dir", *TAG_SOURCES)):
        parser.error(
            "Expected DIR, the folder of the pictures, or --tags_csv, --unsplash or "
            "--tag_folders. Received: none of them."
        )
    for name in ("min_confidence", "allow_private"):
        if getattr(options, name) not in (None, False) and options.unsplash is None:
            parser.error(f"Expected --unsplash too, the tables of --{name}.")
    if options.split is not None and options.split_file is None:
        parser.error("Expected --split_file too, the table of --split.")
    if options.report is not None and options.no_report:
        parser.error("Expected --report or --no_report. Received: both.")
    if options.report is not None and options.report.suffix == VALUES_ENDING:
        parser.error(
            "Expected an HTML file in --report: the figures go to a file of that name "
            f"that ends in {VALUES_ENDING}. Received: {options.report}."
        )
    return parser, options


def _names_as_paths(argv: Sequence[str] | None) -> list[str]:
    """Return the arguments; names behind `--` that look like options do no more.

    Intermixed arguments are read twice, and the second time `--` is gone.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    stop = arguments.index("--") if "--" in arguments else len(arguments)
    names = arguments[stop + 1 :]
    return arguments[:stop] + [
        f".{os.sep}{name}" if name.startswith("-") else name for name in names
    ]


def _parser() -> Parser:
    parser = Parser(
        prog="edgeclf evaluate",
        description="Measure a model on a folder with one folder of pictures per "
        "class, or of several labels a picture on pictures with tags, and write a "
        "report: one HTML file, with JSON and a picture of a matrix beside it.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="the .tflite file")
    add(
        "folder",
        type=Path,
        nargs="?",
        metavar="DIR",
        help="folder of class folders, or of a model of tags of folders that are "
        "called like tags; with --tags_csv or --unsplash where the pictures lie",
    )
    add("--image_dir", type=Path, metavar="DIR", help="the same")
    add("--tags_csv", type=Path, metavar="FILE", help="table of files and their tags")
    add("--unsplash", type=Path, metavar="DIR", help="folder of the Unsplash tables")
    add("--tag_folders", type=Path, metavar="DIR", help="folder of folders of tags")
    add(
        "--min_confidence",
        type=float,
        metavar="X",
        help="of the Unsplash tables, percent that an AI service must be sure of; "
        f"default: {DEFAULT_MIN_CONFIDENCE:g}",
    )
    add("--synonyms", type=Path, metavar="FILE", help="which tags mean the same")
    add(
        "--allow_private",
        action="store_true",
        help="let photos that were collected with --no_store be fetched from private "
        "addresses",
    )
    add(
        "--multi_label",
        action="store_true",
        help="the scores are independent, and a label is given from 0.5 on: for other "
        "makers' models, edgeclf's own say so themselves",
    )
    add("--labels", type=Path, metavar="FILE", help="if not the model's own")
    add(
        "--report",
        type=Path,
        metavar="FILE",
        help="the HTML file; default: the model's path with .html, or with "
        ".evaluation.html where the report of its training stands",
    )
    add("--no_report", action="store_true", help="write nothing")
    add("--no_heat_maps", action="store_true", help="do not draw where evidence lies")
    add("--json", action="store_true", help="print the report as one line of JSON")
    add(
        "--split_file",
        type=Path,
        metavar="FILE",
        help="CSV (file,split): only the pictures of --split, as retrain writes it",
    )
    add("--split", choices=SPLITS, help=f"default: {TEST}")
    add("--num_threads", type=positive, metavar="N", help="threads of one inference")
    add(
        "--num_workers",
        type=positive,
        metavar="N",
        help="threads that read pictures; default: one per processor",
    )
    add("--resize", choices=RESIZE_METHODS, help="default: as the model was trained")
    add("--input_mean", type=float, metavar="X", help="for float models without it")
    add("--input_std", type=float, metavar="X", help="see --input_mean")
    add_trust_options(add)
    return parser
