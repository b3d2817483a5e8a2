r"""Turn pictures into vectors from the command line, and compare pictures by them.

```
python -m edgeclf.embed --model model.tflite --image photos/ --output vectors.npz
python -m edgeclf.embed --model model.tflite --compare a.jpg b.jpg
python -m edgeclf.embed --model model.tflite --image photos/ --similar_to a.jpg
```
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from edgeclf.console import Parser, run
from edgeclf.decoder import ImageSource
from edgeclf.embedder import Embedder, cosine_similarity
from edgeclf.errors import ImageError
from edgeclf.files import check_writable, replacing
from edgeclf.labelling import vectors_output
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
    usage_errors,
)
from edgeclf.labelling.opening import open_each
from edgeclf.labelling.progress import Progress
from edgeclf.labelling.vectors_output import Report, Vector
from edgeclf.labelling.workers import outcomes
from edgeclf.sources import STDIN, Input

logger = logging.getLogger("edgeclf")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the vectors of pictures, or how alike pictures are.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0 when every picture was read, 1 otherwise. (2, as `SystemExit`, for wrong
        usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)
    return run(
        lambda: _embed(parser, options),
        "Nothing half-written is left. The same command begins anew.",
    )


def _embed(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        with usage_errors(parser):
            _check_usage(options)
            open_one = partial(Embedder, options.model, **model_arguments(options))
            embedders = open_each(stack, open_one, options.workers)
            check_input_size(options, embedders[0].input_size)
            queries = [_query(name, options) for name in _query_names(options)]
        if options.compare:
            return _compare(embedders[0], queries, options)
        if options.similar_to is not None:
            return _rank(embedders, queries[0], options)
        return _write(embedders, options)


def _check_usage(options: argparse.Namespace) -> None:
    check_arguments(options)
    if (options.image is None) == (options.compare is None):
        raise ValueError("Expected --image or --compare, one of them.")
    check_stdin([*(options.image or ()), *_query_names(options)])
    if options.compare is not None and options.similar_to is not None:
        raise ValueError("Expected --compare or --similar_to, not both.")
    if options.top_k is not None and options.similar_to is None:
        raise ValueError("Expected --top_k only with --similar_to.")
    if options.output == STDIN:
        options.output = None
    if not _query_names(options):
        options.format = vectors_output.format_of(options.output, options.format)
    elif options.output or options.normalize or options.format not in (None, "json"):
        raise ValueError(
            "Expected --output, --format and --normalize only where vectors are "
            "written, not with --compare or --similar_to."
        )
    if options.output is not None:
        _check_output(options)


def _check_output(options: argparse.Namespace) -> None:
    """Refuse to write over what is read, so far as it is known yet."""
    read = [options.model, *options.image]
    if STDIN not in options.image:
        read += [picture.name for picture in inputs_of(options.image, options)]
    for path in read:
        if _is_output(path, options):
            raise ValueError(_refusal(path))
    check_writable(options.output)


def _is_output(path: str, options: argparse.Namespace) -> bool:
    return (
        options.output is not None
        and Path(path).exists()
        and os.path.realpath(path) == os.path.realpath(options.output)
    )


def _refusal(path: str) -> str:
    return f"Expected another file for --output than {path}, which is read."


def _compare(
    embedder: Embedder, queries: Sequence[Input], options: argparse.Namespace
) -> int:
    first, second = (_query_vector(embedder, query, options) for query in queries)
    similarity = float(cosine_similarity(first, second))
    _write_similarity(options, {"images": options.compare}, "", similarity)
    return 0


def _rank(embedders: list[Embedder], query: Input, options: argparse.Namespace) -> int:
    """Write the pictures by falling similarity; equal ones in their order."""
    wanted = _query_vector(embedders[0], query, options)
    found: list[tuple[float, str]] = []

    def report(name: str, vector: Vector | None, _: str) -> None:
        if vector is not None:
            found.append((float(cosine_similarity(wanted, vector)), name))

    status = _report_all(embedders, options, report)
    found.sort(key=lambda pair: -pair[0])
    for similarity, name in found[: options.top_k]:
        _write_similarity(options, {"image": name}, f"{name} ", similarity)
    return status


def _write(embedders: list[Embedder], options: argparse.Namespace) -> int:
    if options.format == vectors_output.ARRAYS:
        return _write_arrays(embedders, options)
    depth = embedders[0].depth
    if options.output is None:
        report = vectors_output.line_reporter(options.format, sys.stdout, depth)
        return _report_all(embedders, options, report)
    # A file name that is not UTF-8 is an escape in JSON, as on stdout, else its bytes.
    errors = "backslashreplace" if options.format == "json" else "surrogateescape"
    with (
        replacing(options.output) as path,
        path.open("w", encoding="utf-8", errors=errors, newline="") as file,
    ):
        report = vectors_output.line_reporter(options.format, file, depth)
        return _report_all(embedders, options, report)


def _write_arrays(embedders: list[Embedder], options: argparse.Namespace) -> int:
    names: list[str] = []
    vectors: list[Vector] = []

    def report(name: str, vector: Vector | None, _: str) -> None:
        if vector is not None:
            names.append(name)
            vectors.append(vector)

    status = _report_all(embedders, options, report)
    if not vectors:
        raise ImageError(
            f"Expected one picture at least to write {options.output}. Received: none "
            "that can be read."
        )
    vectors_output.write_arrays(options.output, names, vectors)
    return status


def _report_all(
    embedders: list[Embedder], options: argparse.Namespace, report: Report
) -> int:
    """Hand over the vector of each picture; return the exit status."""
    inputs = inputs_of(options.image, options)
    embed = [_embedding(embedder, options) for embedder in embedders]
    failed = False
    with Progress(inputs.len_hint()) as progress:
        for outcome in outcomes(inputs, embed):
            if _is_output(outcome.name, options):  # a line of stdin
                raise ImageError(_refusal(outcome.name))
            if outcome.error:
                failed = True
                with progress.hidden(sys.stderr):
                    logger.error("%s", outcome.error)
            with progress.hidden(sys.stdout):
                report(outcome.name, outcome.result, outcome.error)
            progress.advance()
    return 1 if failed else 0


def _embedding(
    embedder: Embedder, options: argparse.Namespace
) -> Callable[[ImageSource], Vector]:
    """Return what turns a picture into its vector, as the options say."""
    return partial(
        embedder.embed,
        region=options.region,
        rotation=options.rotation,
        normalize=options.normalize,
    )


def _query_names(options: argparse.Namespace) -> list[str]:
    """Return the arguments that stand for one picture each."""
    if options.similar_to is not None:
        return [options.similar_to]
    return list(options.compare or ())


def _query(name: str, options: argparse.Namespace) -> Input:
    """Return the picture that an argument stands for.

    Raises:
        ValueError: It stands for several.
    """
    inputs = inputs_of([name], options)
    if inputs.len_hint() != 1:
        raise ValueError(f"Expected one picture to compare with. Received: {name}")
    (picture,) = inputs
    return picture


def _query_vector(
    embedder: Embedder, query: Input, options: argparse.Namespace
) -> Vector:
    """Return the vector of a picture without which there is nothing to do.

    Raises:
        ImageError: There is none.
    """
    (outcome,) = outcomes([query], [_embedding(embedder, options)])
    if outcome.error:
        raise ImageError(outcome.error)
    vector: Vector = outcome.result
    return vector


def _write_similarity(
    options: argparse.Namespace, line: dict[str, object], prefix: str, value: float
) -> None:
    if options.format == "json":
        from edgeclf.labelling.output import write_json_line

        write_json_line({**line, "similarity": value})
    else:
        sys.stdout.write(f"{prefix}{value:.4f}\n")


def _parser() -> Parser:
    parser = Parser(
        prog="embed",
        description="Turn pictures into vectors (the bottleneck that a model's head "
        "reads), or tell by them how alike pictures are.",
        formatter_class=help_formatter,
    )
    add = parser.add_argument
    add(
        "--image",
        action="extend",
        nargs="+",
        metavar="PATH",
        help="pictures, as for label_image",
    )
    add(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="write the cosine similarity of two pictures, -1 to 1",
    )
    add(
        "--similar_to",
        metavar="QUERY",
        help="write the pictures of --image by falling similarity to this one",
    )
    add("--top_k", type=positive, metavar="N", help="how many with --similar_to")
    add("--normalize", action="store_true", help="vectors of length 1")
    add(
        "--format",
        choices=vectors_output.FORMATS,
        help="lines (json, csv), or arrays and names in one NumPy file (npz); default: "
        "by --output's ending, else json",
    )
    add(
        "--json",
        action="store_const",
        dest="format",
        const="json",
        help="JSON lines, of similarities too",
    )
    add("--output", metavar="FILE", help="default: -, which is stdout")
    add_picture_options(add)
    add_model_options(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
