r"""Label pictures from the command line.

```
python -m edgeclf.label_image --model model.tflite --image a.jpg --image photos/
```
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from edgeclf.classifier import DEFAULT_TOP_K, Classifier
from edgeclf.console import Parser, run, sentence
from edgeclf.errors import EdgeclfError
from edgeclf.image import RESIZE_METHODS
from edgeclf.results import Category
from edgeclf.sources import image_arguments

logger = logging.getLogger("edgeclf")

FORMATS = ("text", "json", "csv", "hashtags")
CSV_HEADER = ("image", "rank", "index", "label", "score", "error")

Report = Callable[[str, "list[Category] | None", str], None]
"""Writes one picture's result: its argument, its categories, or None and the error."""


def main(argv: Sequence[str] | None = None) -> int:
    """Label pictures; results on stdout, everything else on stderr.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0 when every picture was labelled, 1 otherwise. (2, as `SystemExit`, for wrong
        usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)
    return run(lambda: _label(parser, options))


def _label(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    try:
        with _classifier(parser, options) as classifier:
            status = _label_all(classifier, options)
        sys.stdout.flush()
    except EdgeclfError:
        raise
    except ValueError as error:
        parser.error(str(error))
    return status


def _classifier(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> Classifier:
    classifier = Classifier(
        _tflite_beside(options.model),
        labels=options.labels,
        num_threads=options.num_threads,
        resize=options.resize,
        input_mean=options.input_mean,
        input_std=options.input_std,
    )
    height, width = classifier.input_size
    for option, given, needed in (
        ("--input_height", options.input_height, height),
        ("--input_width", options.input_width, width),
    ):
        if given not in (None, needed):
            parser.error(
                f"Expected {option} {needed}, the size of the model's input; it can be "
                f"left out. Received: {given}",
            )
    if options.input_layer or options.output_layer:
        logger.info("--input_layer and --output_layer are not needed: ignored.")
    return classifier


def _label_all(classifier: Classifier, options: argparse.Namespace) -> int:
    images = [(name, _images_of(name)) for name in options.image]
    several = sum(1 if isinstance(n, str) else len(n) for _, n in images) > 1
    report = _reporter(options.format, several)
    failed = False
    if (options.allow or options.deny) and classifier.labels is None:
        raise ValueError("Expected a model with labels for --allow and --deny.")
    if options.reject and not classifier.info.record.get("reject"):
        logger.info("--reject has no effect: the model has no limit for unknown.")
    for argument, names in images:
        if isinstance(names, str):
            failed = True
            logger.error("%s", names)
            report(argument, None, names)
            continue
        for name in names:
            try:
                categories = classifier.classify(
                    name,
                    top_k=options.top_k,
                    score_threshold=options.score_threshold,
                    allow=options.allow,
                    deny=options.deny,
                    reject=options.reject,
                )
            except (EdgeclfError, OSError) as exception:
                failed = True
                error = sentence(exception, name)
                logger.error("%s", error)
                report(name, None, error)
            else:
                report(name, categories, "")
            sys.stdout.flush()  # whoever reads the pipe waits for each result
    return 1 if failed else 0


def _images_of(argument: str) -> list[str] | str:
    """Return the pictures that an argument stands for, or why there are none."""
    try:
        return image_arguments(argument) or (
            f"{argument} is a folder without image files."
        )
    except OSError as error:  # a folder that cannot be read: the rest goes on
        return sentence(error)


def _tflite_beside(model: str) -> str:
    """Return `x.tflite` for a missing `x.pb`, as old command lines name the model."""
    stem, ending = os.path.splitext(model)  # noqa: PTH122 - pathlib costs start-up time
    if ending != ".pb" or os.path.exists(model):  # noqa: PTH110
        return model
    if not os.path.exists(stem + ".tflite"):  # noqa: PTH110
        return model
    logger.info("%s is not there: %s.tflite is used.", model, stem)
    return stem + ".tflite"


def _reporter(output_format: str, several: bool) -> Report:
    """Return what writes results to stdout in one of `FORMATS`."""
    if output_format == "json":
        return _json_reporter()
    if output_format == "csv":
        return _csv_reporter()

    def report(name: str, categories: list[Category] | None, _: str) -> None:
        if categories is None:
            return
        if several:
            print(f"{name}:")
        if output_format == "hashtags":
            print(" ".join(_hashtag(category) for category in categories))
            return
        for category in categories:
            print(f"{_label_of(category)} {category.score:.4f}")

    return report


def _label_of(category: Category) -> str:
    return str(category.index) if category.label is None else category.label


def _hashtag(category: Category) -> str:
    """Return `#` and the label's letters and digits; the rest becomes underscores."""
    words = "".join(c if c.isalnum() else " " for c in _label_of(category)).split()
    return "#" + "_".join(words)


def _json_reporter() -> Report:
    import json  # each format imports what it needs: starting is most of the time

    ascii_only = (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")

    def report(name: str, categories: list[Category] | None, error: str) -> None:
        line: dict[str, object] = {"image": name}
        if categories is None:
            line["error"] = error
        else:
            line["categories"] = [vars(category) for category in categories]
        print(json.dumps(line, ensure_ascii=ascii_only))

    return report


def _csv_reporter() -> Report:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_HEADER)

    def report(name: str, categories: list[Category] | None, error: str) -> None:
        if not categories:  # none above the threshold, or the picture is bad
            writer.writerow((name, None, None, None, None, error or None))
        for rank, category in enumerate(categories or (), 1):
            writer.writerow((name, rank, *vars(category).values(), None))

    return report


def _parser() -> Parser:
    parser = Parser(
        prog="label_image",
        description="Label pictures with a model.",
        formatter_class=_help_formatter,
    )
    add = parser.add_argument
    add("--model", "--graph", required=True, metavar="FILE", help="the .tflite file")
    add(
        "--image",
        action="extend",
        nargs="+",
        required=True,
        metavar="PATH",
        help="pictures and folders of pictures; may be repeated",
    )
    add("--labels", metavar="FILE", help="names of the classes, if not the model's own")
    add(
        "--top_k",
        type=_positive,
        metavar="N",
        help=f"how many labels a picture gets at most (default: {DEFAULT_TOP_K}; of a "
        "model that gives several labels, all above their threshold)",
    )
    add("--score_threshold", type=_share, metavar="S", help="least score, 0-1")
    add("--allow", nargs="+", action="extend", metavar="LABEL", help="only these")
    add("--deny", nargs="+", action="extend", metavar="LABEL", help="all but these")
    add("--reject", action="store_true", help="say unknown when the model is unsure")
    add("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    add(
        "--json",
        action="store_const",
        dest="format",
        const="json",
        help="same as --format json: one line for each picture",
    )
    add("--num_threads", type=_positive, metavar="N", help="threads of one inference")
    add("--resize", choices=RESIZE_METHODS, help="default: as the model was trained")
    add("--input_mean", type=float, metavar="X", help="for float models without it")
    add("--input_std", type=float, metavar="X", help="see --input_mean")
    add("--input_height", type=_positive, metavar="N", help="only checked")
    add("--input_width", type=_positive, metavar="N", help="only checked")
    add("--input_layer", metavar="NAME", help="ignored")
    add("--output_layer", metavar="NAME", help="ignored")
    return parser


def _help_formatter(prog: str) -> argparse.HelpFormatter:
    """Give the width, which argparse asks for before any help is wanted.

    It would import shutil, and that bz2 and lzma, to find it out.
    """
    try:
        columns = os.get_terminal_size().columns
    except (ValueError, OSError):  # no terminal
        columns = 80
    return argparse.HelpFormatter(prog, width=columns - 2)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of 1 or more, received {text}"
        )
    return int(text)


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, received {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
