"""The options that commands which read pictures share, and what they stand for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from edgeclf.errors import EdgeclfError
from edgeclf.image import RESIZE_METHODS
from edgeclf.sources import STDIN, Inputs
from edgeclf.tflite.memory import MAX_MODEL_MB
from edgeclf.tflite.source import checked_sha256

MAX_WORKERS = 64
ROTATIONS = (0, 90, 180, 270)


def add_model_options(add: Callable[..., Any], *, required: bool = True) -> None:
    """Add what says which model runs, and how, to a parser's `add_argument`."""
    add(
        "--model", "--graph", required=required, metavar="FILE", help="the .tflite file"
    )
    add("--num_threads", type=positive, metavar="N", help="threads of one inference")
    add("--resize", choices=RESIZE_METHODS, help="default: as the model was trained")
    add("--input_mean", type=float, metavar="X", help="for float models without it")
    add("--input_std", type=float, metavar="X", help="see --input_mean")
    add(
        "--input_height",
        type=positive,
        metavar="N",
        help="for models of any size; of others only checked",
    )
    add("--input_width", type=positive, metavar="N", help="see --input_height")
    add("--delegate", metavar="LIB", help="an accelerator, such as libedgetpu.so.1")
    add(
        "--delegate_options",
        nargs="+",
        action="extend",
        default=[],
        type=_key_and_value,
        metavar="KEY=VALUE",
        help="of --delegate",
    )
    add_trust_options(add)


def add_trust_options(add: Callable[..., Any]) -> None:
    """Add what a model must be before it is used, to a parser's `add_argument`."""
    add(
        "--require_sha256",
        type=sha256,
        metavar="HEX",
        help="use the model only if its file has this SHA-256, all 64 digits",
    )
    add(
        "--max_model_mb",
        type=positive,
        metavar="N",
        help=f"most memory of the model, in MB (default: {MAX_MODEL_MB}): one that "
        "would take more is refused",
    )


def add_picture_options(add: Callable[..., Any]) -> None:
    """Add what says which part of the pictures counts, and how many run at a time."""
    add(
        "--region",
        nargs=4,
        type=_edge,
        metavar=("L", "T", "R", "B"),
        help="left, top, right and bottom of what counts: whole numbers are pixels, "
        "others (0.1 0 0.9 1) shares of the picture",
    )
    add("--rotation", type=int, choices=ROTATIONS, default=0, help="clockwise, first")
    add(
        "--workers",
        type=workers,
        default=1,
        metavar="N",
        help="pictures at a time (default: %(default)s); as many as there are cores",
    )
    add(
        "--allow_private",
        action="store_true",
        help="URLs may lead to this machine and the local network",
    )


def check_arguments(options: argparse.Namespace) -> None:
    """Refuse values that the options' types let through.

    Raises:
        ValueError: A value is outside its range, or options do not fit.
    """
    if options.delegate_options and options.delegate is None:
        raise ValueError("Expected --delegate_options only with --delegate.")
    if options.region is not None:
        left, top, right, bottom = options.region
        is_pixels = all(isinstance(edge, int) for edge in options.region)
        if not (
            0 <= left < right
            and 0 <= top < bottom
            and (is_pixels or max(right, bottom) <= 1)
        ):
            raise ValueError(
                "Expected --region LEFT TOP RIGHT BOTTOM with left < right and top < "
                "bottom: whole numbers (pixels), or shares of the picture in [0, 1]. "
                f"Received: {' '.join(map(str, options.region))}"
            )


def check_stdin(arguments: Iterable[str | None]) -> None:
    """Refuse what would read stdin twice.

    Raises:
        ValueError: `-` is there twice.
    """
    if [*arguments].count(STDIN) > 1:
        raise ValueError("Expected - (stdin) once. Received: it twice.")


@contextmanager
def usage_errors(parser: argparse.ArgumentParser) -> Iterator[None]:
    """End the process with status 2 on a `ValueError` that is none of edgeclf's own.

    Meant for what checks options and opens models, not for what reads pictures.
    """
    try:
        yield
    except EdgeclfError:
        raise
    except ValueError as error:
        parser.error(str(error))


def model_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `Classifier`, `Embedder` and their like take besides the model."""
    size = (options.input_height, options.input_width)
    return {
        "num_threads": options.num_threads,
        "resize": options.resize,
        "input_mean": options.input_mean,
        "input_std": options.input_std,
        "input_size": None if None in size else size,
        "delegate": options.delegate,
        "delegate_options": dict(options.delegate_options) or None,
        **trust_arguments(options),
    }


def trust_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_trust_options` got, as `Classifier` and its like take it."""
    return {"sha256": options.require_sha256, "max_model_mb": options.max_model_mb}


def check_input_size(
    options: argparse.Namespace, input_size: tuple[int, int] | None
) -> None:
    """Check `--input_height` or `--input_width` when only one of them is given.

    Args:
        options: With what the user gave.
        input_size: `(height, width)` of the model's input; None if it takes any.

    Raises:
        ValueError: It is not the model's.
    """
    if input_size is None:
        if (options.input_height is None) != (options.input_width is None):
            raise ValueError(
                "Expected --input_height and --input_width together for a model of "
                "any size. Received: one of them."
            )
        return
    for option, given, needed in (
        ("--input_height", options.input_height, input_size[0]),
        ("--input_width", options.input_width, input_size[1]),
    ):
        if given not in (None, needed):
            raise ValueError(
                f"Expected {option} {needed}, the size of the model's input; it can be "
                f"left out. Received: {given}"
            )


def inputs_of(arguments: list[str], options: argparse.Namespace) -> Inputs:
    """Return the pictures that the arguments of `--image` stand for.

    Raises:
        ValueError: `-` is given twice.
    """
    stdin: BinaryIO | None = None
    if STDIN in arguments and options.workers > 1 and sys.stdin is not None:
        # A file of its own: Python cannot end while a thread waits in sys.stdin.
        with suppress(OSError):  # of what a caller has put there instead
            stdin = os.fdopen(sys.stdin.fileno(), "rb", closefd=False)
    return Inputs(arguments, allow_private=options.allow_private, stdin=stdin)


def help_formatter(prog: str) -> argparse.HelpFormatter:
    """Give the width, which argparse asks for before any help is wanted.

    It would import shutil, and that bz2 and lzma, to find it out.
    """
    try:
        columns = os.get_terminal_size().columns
    except (ValueError, OSError):  # no terminal
        columns = 80
    return argparse.HelpFormatter(prog, width=columns - 2)


def positive(text: str) -> int:
    """Parse a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of 1 or more, received {text}"
        )
    return int(text)


def sha256(text: str) -> str:
    """Parse a SHA-256; a part of one is refused."""
    try:
        return checked_sha256(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def workers(text: str) -> int:
    """Parse a number of workers: each has a model in memory."""
    if (number := positive(text)) > MAX_WORKERS:
        raise argparse.ArgumentTypeError(
            f"expected {MAX_WORKERS} at most, received {text}"
        )
    return number


def share(text: str) -> float:
    """Parse a number in [0, 1]."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, received {text}")
    return number


def seconds(text: str) -> float:
    """Parse a finite number of 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, received {text}")
    return number


def _edge(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a number, received {text}"
        ) from None


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, received {text}")
    return key, value
