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
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgeclf.classifier import DEFAULT_TOP_K, Classifier
from edgeclf.console import Parser, run
from edgeclf.decoder import ImageSource
from edgeclf.labelling.arguments import (
    add_model_options,
    add_picture_options,
    check_arguments,
    check_input_size,
    check_stdin,
    help_formatter,
    inputs_of,
    model_arguments,
    positive,
    seconds,
    share,
    usage_errors,
)
from edgeclf.labelling.opening import open_each
from edgeclf.labelling.output import FORMATS, Report, reporter
from edgeclf.labelling.progress import Progress
from edgeclf.labelling.workers import PICTURE_ERRORS, outcomes, picture_error
from edgeclf.results import Category
from edgeclf.sources import Input

logger = logging.getLogger("edgeclf")

if TYPE_CHECKING:
    from edgeclf.labelling.keepers import Keep

SHOW_FOLDER = "shown"  # of --show without a place

Label = Callable[[ImageSource], "list[Category]"]


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
    return run(lambda: _label(parser, options), _go_on(options))


def _go_on(options: argparse.Namespace) -> str:
    """Return what is said after Ctrl-C."""
    if options.sort_into is options.show is options.heatmap is None:
        return "What was labelled is whole. The same command begins anew."
    return (
        "What was written stays. The same command labels anew, and writes no picture "
        "twice."
    )


def _label(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        with usage_errors(parser):
            _check_usage(options)
            options.model = _tflite_beside(options.model)
            classifiers = _classifiers(options, stack)
        pictures, total = _pictures(options, stack)
        with usage_errors(parser):
            keepers = _keepers(options, stack, classifiers[0], total)
        labellers = _labellers(options, classifiers)
        report = reporter(options.format, several=total != 1)
        progress = stack.enter_context(Progress(total))
        return _label_all(options, pictures, labellers, keepers, report, progress)


def _check_usage(options: argparse.Namespace) -> None:
    check_arguments(options)
    check_stdin(options.image or ())
    if options.camera is None and (options.every is not None or options.smooth):
        raise ValueError("Expected --every and --smooth only with --camera.")
    places: dict[str, str] = {}
    # What is read must not be written over, nor one drawing over the other.
    for option in ("model", "labels", "camera", "show", "heatmap", "sort_into"):
        path = getattr(options, option)
        place = None if path is None else os.path.realpath(path)
        if place is not None and places.setdefault(place, option) != option:
            raise ValueError(
                f"Expected --{places[place]} and --{option} to differ. "
                f"Received: {path} for both."
            )
    if options.camera is not None and options.workers > 1:
        raise ValueError(
            "Expected --workers only with --image: frames come one by one."
        )


def _label_all(
    options: argparse.Namespace,
    pictures: Iterable[Input],
    labellers: Sequence[Label],
    keepers: Sequence[Keep],
    report: Report,
    progress: Progress,
) -> int:
    failed = False
    # Ctrl-C is how a camera's run ends.
    stop = nullcontext() if options.camera is None else suppress(KeyboardInterrupt)
    with stop:
        for outcome in outcomes(pictures, labellers):
            errors = [outcome.error] if outcome.error else []
            with progress.hidden(sys.stdout):
                report(outcome.name, outcome.result, outcome.error)
            if outcome.source is not None and outcome.result is not None:
                errors += _kept(keepers, outcome.name, outcome.source, outcome.result)
            if errors:
                failed = True
                with progress.hidden(sys.stderr):
                    for error in errors:
                        logger.error("%s", error)
            progress.advance()
    return 1 if failed else 0


def _classifiers(options: argparse.Namespace, stack: ExitStack) -> list[Classifier]:
    """Return a classifier for each worker."""
    pixel = np.zeros((1, 1, 3), np.uint8)

    def open_one() -> Classifier:
        classifier = Classifier(
            options.model, labels=options.labels, **model_arguments(options)
        )
        if options.reject and classifier.has_reject_rule and not options.smooth:
            classifier.examine(pixel)  # a damaged rule is no picture's error
        return classifier

    classifiers = open_each(stack, open_one, options.workers)
    classifier = classifiers[0]
    check_input_size(options, classifier.input_size)
    if options.input_layer or options.output_layer:
        logger.info("--input_layer and --output_layer are not needed: ignored.")
    if options.allow or options.deny:
        if classifier.labels is None:
            raise ValueError("Expected a model with labels for --allow and --deny.")
        # Refuses unknown names now: later errors are the pictures'.
        classifier.classify(pixel, allow=options.allow, deny=options.deny)
    if options.reject and not classifier.info.record.get("reject"):
        logger.info("--reject has no effect: the model has no limit for unknown.")
    elif options.reject and options.smooth and classifier.has_reject_rule:
        logger.info("--reject goes by the score alone: --smooth has a mean of those.")
    return classifiers


def _pictures(
    options: argparse.Namespace, stack: ExitStack
) -> tuple[Iterable[Input], int | None]:
    """Return the pictures, and how many they are if that is known."""
    if options.camera is None:
        inputs = inputs_of(options.image, options)
        return inputs, inputs.len_hint()
    from edgeclf.inputs.camera import Camera  # rare

    return stack.enter_context(Camera(options.camera, options.every or 0.0)), None


def _labellers(
    options: argparse.Namespace, classifiers: Sequence[Classifier]
) -> list[Label]:
    view = {"region": options.region, "rotation": options.rotation}
    choice = {
        "top_k": _top_k(options, classifiers[0]),
        "score_threshold": options.score_threshold,
        "allow": options.allow,
        "deny": options.deny,
        "reject": options.reject,
    }
    if not options.smooth:
        return [partial(each.classify, **choice, **view) for each in classifiers]
    from edgeclf.inputs.camera import Smoother

    smooth, (classifier,) = Smoother(options.smooth), classifiers

    def label(frame: ImageSource) -> list[Category]:
        scores = smooth(classifier.scores(frame, **view))
        return classifier.categories(scores, **choice)

    return [label]


def _top_k(options: argparse.Namespace, classifier: Classifier) -> int | None:
    """Return how many labels at most: those after the best class are no hashtags."""
    chosen = options.top_k is not None or options.score_threshold is not None
    if options.format == "hashtags" and not chosen and not classifier.multi_label:
        return 1
    top_k: int | None = options.top_k
    return top_k


def _keepers(
    options: argparse.Namespace,
    stack: ExitStack,
    classifier: Classifier,
    total: int | None,
) -> list[Keep]:
    if options.sort_into is options.show is options.heatmap is None:
        return []
    from edgeclf.labelling.keepers import keepers  # rare

    return keepers(options, stack, classifier, total)


def _kept(
    keepers: Iterable[Keep], name: str, source: ImageSource, categories: list[Category]
) -> list[str]:
    """Do more with a picture; return what went wrong, the rest being done."""
    errors = []
    for keep in keepers:
        try:
            keep(name, source, categories)
        except PICTURE_ERRORS as error:
            errors.append(picture_error(name, error))
    return errors


def _tflite_beside(model: str) -> str:
    """Return `x.tflite` for a missing `x.pb`, as old command lines name the model."""
    stem, ending = os.path.splitext(model)  # noqa: PTH122 - pathlib costs start-up time
    if ending != ".pb" or os.path.exists(model):  # noqa: PTH110
        return model
    if not os.path.exists(stem + ".tflite"):  # noqa: PTH110
        return model
    logger.info("%s is not there: %s.tflite is used.", model, stem)
    return stem + ".tflite"


def _parser() -> Parser:
    parser = Parser(
        prog="label_image",
        description="Label pictures with a model.",
        formatter_class=help_formatter,
    )
    one = parser.add_mutually_exclusive_group(required=True).add_argument
    one(
        "--image",
        action="extend",
        nargs="+",
        metavar="PATH",
        help="pictures, folders of them, patterns such as 'photos/**/*.jpg', .txt "
        "files of paths, http(s) addresses; - is stdin: paths, one a line, or a "
        "picture. May be repeated",
    )
    one("--camera", metavar="N|PATH", help="a camera's number or device, or a video")
    add = parser.add_argument
    add(
        "--every", type=seconds, metavar="S", help="seconds between the camera's frames"
    )
    add("--smooth", type=positive, metavar="N", help="mean of the scores of N frames")
    add("--labels", metavar="FILE", help="names of the classes, if not the model's own")
    add(
        "--top_k",
        type=positive,
        metavar="N",
        help=f"how many labels a picture gets at most (default: {DEFAULT_TOP_K}, as "
        "hashtags 1 unless there is --score_threshold; of a model that gives several "
        "labels, all above their threshold)",
    )
    add("--score_threshold", type=share, metavar="S", help="least score, 0-1")
    add("--allow", nargs="+", action="extend", metavar="LABEL", help="only these")
    add("--deny", nargs="+", action="extend", metavar="LABEL", help="all but these")
    add("--reject", action="store_true", help="say unknown to what is like no class")
    add("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    add(
        "--json",
        action="store_const",
        dest="format",
        const="json",
        help="same as --format json: one line for each picture",
    )
    add(
        "--sort_into",
        metavar="DIR",
        help="copy each picture into DIR/<label>/; the original stays",
    )
    add(
        "--show",
        nargs="?",
        const=SHOW_FOLDER,
        metavar="OUT",
        help="draw the picture with its labels: a .png or .jpg file for one picture, "
        "a folder for several (without OUT: the folder %(const)s)",
    )
    add(
        "--heatmap",
        metavar="OUT",
        help="draw where the best label's evidence is; see --show",
    )
    add_picture_options(add)
    add_model_options(add)
    add("--input_layer", metavar="NAME", help="ignored")
    add("--output_layer", metavar="NAME", help="ignored")
    return parser


if __name__ == "__main__":
    sys.exit(main())
