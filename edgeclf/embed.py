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
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from edgeclf.console import Parser, run
from edgeclf.embedder import Embedder, cosine_similarity
from edgeclf.errors import EdgeclfError, ImageError
from edgeclf.files import check_writable, replacing
from edgeclf.labelling import vectors_output
from edgeclf.labelling.arguments import (
    add_model_options,
    add_picture_options,
    check_arguments,
    check_input_size,
    help_formatter,
    inputs_of,
    model_arguments,
    positive,
)
from edgeclf.labelling.progress import Progress
from edgeclf.labelling.vectors_output import Report, Vector
from edgeclf.labelling.workers import outcomes

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
    return run(lambda: _embed(parser, options))


def _embed(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    try:
        _check_usage(options)
        with ExitStack() as stack:
            embedders = [
                stack.enter_context(Embedder(options.model, **model_arguments(options)))
                for _ in range(options.workers)
            ]
            check_input_size(options, embedders[0].input_size)
            if options.compare:
                return _compare(embedders[0], options)
            if options.similar_to is not None:
                return _rank(embedders, options)
            return _write(embedders, options)
    except EdgeclfError:
        raise
    except ValueError as error:
        parser.error(str(error))


def _check_usage(options: argparse.Namespace) -> None:
    check_arguments(options)
    if (options.image is None) == (options.compare is None):
        raise ValueError("Expected --image or --compare, one of them.")
    compares = options.compare is not None or options.similar_to is not None
    if options.compare is not None and options.similar_to is not None:
        raise ValueError("Expected --compare or --similar_to, not both.")
    if options.top_k is not None and options.similar_to is None:
        raise ValueError("Expected --top_k only with --similar_to.")
    if not compares:
        options.format = vectors_output.format_of(options.output, options.format)
    elif options.output or options.normalize or options.format not in (None, "json"):
        raise ValueError(
            "Expected --output, --format and --normalize only where vectors are "
            "written, not with --compare or --similar_to."
        )
    if options.output is not None:
        check_writable(options.output)


def _compare(embedder: Embedder, options: argparse.Namespace) -> int:
    first, second = (_query(embedder, name, options) for name in options.compare)
    similarity = float(cosine_similarity(first, second))
    _write_similarity(options, {"images": options.compare}, "", similarity)
    return 0


def _rank(embedders: list[Embedder], options: argparse.Namespace) -> int:
    """Write the pictures by falling similarity; equal ones in their order."""
    query = _query(embedders[0], options.similar_to, options)
    found: list[tuple[float, str]] = []

    def report(name: str, vector: Vector | None, _: str) -> None:
        if vector is not None:
            found.append((float(cosine_similarity(query, vector)), name))

    status = _report_all(embedders, options, report)
    found.sort(key=lambda pair: -pair[0])
    for similarity, name in found[: options.top_k]:
        _write_similarity(options, {"image": name}, f"{name} ", similarity)
    return status


def _write(embedders: list[Embedder], options: argparse.Namespace) -> int:
    if options.format in vectors_output.ARRAY_FORMATS:
        return _write_arrays(embedders, options)
    depth = embedders[0].depth
    if options.output is None:
        report = vectors_output.line_reporter(options.format, sys.stdout, depth)
        return _report_all(embedders, options, report)
    with (
        replacing(options.output) as path,
        path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
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
    vectors_output.write_arrays(options.output, options.format, names, vectors)
    return status


def _report_all(
    embedders: list[Embedder], options: argparse.Namespace, report: Report
) -> int:
    """Hand over the vector of each picture; return the exit status."""
    inputs = inputs_of(options.image, options)
    embed = [
        partial(
            embedder.embed,
            region=options.region,
            rotation=options.rotation,
            normalize=options.normalize,
        )
        for embedder in embedders
    ]
    failed = False
    with Progress(inputs.len_hint()) as progress:
        for outcome in outcomes(inputs, embed):
            if outcome.error:
                failed = True
                with progress.hidden(sys.stderr):
                    logger.error("%s", outcome.error)
            with progress.hidden(sys.stdout):
                report(outcome.name, outcome.result, outcome.error)
            progress.advance()
    return 1 if failed else 0


def _query(embedder: Embedder, name: str, options: argparse.Namespace) -> Vector:
    """Return the vector of one picture, without which there is nothing to do.

    Raises:
        EdgeclfError, OSError: There is none.
        ValueError: `name` stands for several pictures.
    """
    inputs = inputs_of([name], options)
    if inputs.len_hint() != 1:
        raise ValueError(f"Expected one picture to compare with. Received: {name}")
    (picture,) = inputs
    return embedder.embed(
        picture.read(), region=options.region, rotation=options.rotation
    )


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
        help="lines (json, csv) or an array; default: by --output's ending, else json",
    )
    add(
        "--json",
        action="store_const",
        dest="format",
        const="json",
        help="JSON lines, of similarities too",
    )
    add("--output", metavar="FILE", help="default: stdout")
    add_picture_options(add)
    add_model_options(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
