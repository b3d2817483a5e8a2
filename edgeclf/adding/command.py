r"""Add a class to a model, or pictures to one of its classes, on the device itself.

```
edgeclf add_class model.tflite --images new_pictures/ --label Iznik
```
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from edgeclf.adding.add_class import AddClassResult, add_class, check_label
from edgeclf.console import Parser, number_of, run
from edgeclf.errors import LabelError
from edgeclf.labelling.arguments import (
    add_trust_options,
    positive,
    trust_arguments,
)

LEAST_NAMED = 0.005  # a share that is printed as 1 % or more


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0, or 1 when the model, the pictures or the output are at fault. (2, as
        `SystemExit`, for wrong usage.)
    """
    options = _parser().parse_args(argv)

    def command() -> int:
        start = time.monotonic()
        result = add_class(
            options.model,
            options.images,
            options.label,
            options.output,
            num_workers=options.num_workers,
            **trust_arguments(options),
        )
        _print_result(result)
        print(f"Done in {time.monotonic() - start:.1f} s.", file=sys.stderr)
        return 0

    return run(
        command,
        "The model is whole: as it was, or with the class. The same command tells.",
    )


def _print_result(result: AddClassResult) -> None:
    done = "extended by" if result.extended else "learned from"
    print(
        f"{result.label}: {done} {number_of(result.num_pictures, 'picture')}; "
        f"{len(result.labels)} classes now"
    )
    if result.num_recognised is not None:
        others = [f"{count} {rival}" for rival, count in result.taken_for.items()]
        print(
            f"Labelled {result.label} when not shown themselves: "
            f"{result.num_recognised} of {result.num_pictures}"
            + (f"; the others: {', '.join(others)}" if others else "")
        )
    taken = {
        rival: share for rival, share in result.losses.items() if share >= LEAST_NAMED
    }
    if taken:
        listed = ", ".join(f"{share:.0%} of {rival}" for rival, share in taken.items())
        print(f"May now be called {result.label}, by estimate: {listed}")
    if result.num_unknown is not None:
        print(
            f"Unknown with --reject when not shown themselves: {result.num_unknown} of "
            f"{result.num_pictures}"
        )
    print(f"{result.model_path}: {result.size_bytes / 1e6:.2f} MB")
    if result.backup_path is not None:
        print(f"{result.backup_path}: the model as it was")
    report = result.model_path.with_suffix(".html")
    if report.is_file():
        print(f"{report}: describes the model as it was, until the next retraining")


def _parser() -> Parser:
    parser = Parser(
        prog="edgeclf add_class",
        description="Add a class to a model that edgeclf retrain wrote, or pictures to "
        "one of its classes, without its training pictures. Takes seconds, and no "
        "more than the interpreter's packages. A new label goes where it stands in "
        "code point order, as retraining would have it.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="the .tflite file")
    add(
        "--images", required=True, metavar="DIR", help="folder of pictures of the class"
    )
    add(
        "--label",
        required=True,
        type=_label,
        metavar="NAME",
        help="of the class; a name that the model knows gets more pictures",
    )
    add(
        "--output",
        metavar="FILE",
        help="the file to write (default: MODEL itself; what stood there is kept in "
        "MODEL.bak)",
    )
    add(
        "--num_workers",
        type=positive,
        metavar="N",
        help="threads (default: one for each processor)",
    )
    add_trust_options(add)
    return parser


def _label(text: str) -> str:
    try:
        check_label(text)
    except LabelError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


if __name__ == "__main__":
    sys.exit(main())
