"""`edgeclf label`: label the pictures of a folder, a table or a store into Parquet."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from edgeclf.console import Parser, number_of, run
from edgeclf.engines.arguments import add_engine_arguments, chosen_engine
from edgeclf.labelling.arguments import (
    add_model_options,
    add_picture_options,
    check_arguments,
    check_input_size,
    model_arguments,
    positive,
    share,
    usage_errors,
    workers,
)
from edgeclf.labelling.progress import Progress
from edgeclf.scale.config import LabelConfig, LabelResult
from edgeclf.scale.run import Advance, Job

GO_ON = "The same command goes on where this one stopped."

logger = logging.getLogger("edgeclf")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgeclf label` and return its exit status.

    Returns:
        0 when every picture was labelled; 1 when some have an error, which their rows
        tell, or when a store or a disk did not answer.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    return run(lambda: _label(parser, options), go_on=GO_ON)


def _label(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        with usage_errors(parser):
            check_arguments(options)
            config = _config(options)
            engine = chosen_engine(options, options.workers)
            job = Job(config)
            check_input_size(options, job.input_size)

        def begin(total: int) -> Advance:
            progress = stack.enter_context(Progress(total))
            return progress.advance

        result = job.run(engine, begin)
    _report(result, options)
    return 0 if result.is_complete else 1


def _config(options: argparse.Namespace) -> LabelConfig:
    return LabelConfig(
        source=options.source,
        output=options.output,
        model=options.model,
        labels=options.labels,
        bottleneck=options.bottleneck,
        top_k=options.top_k,
        score_threshold=options.score_threshold,
        allow=options.allow,
        deny=options.deny,
        reject=options.reject,
        region=options.region,
        rotation=options.rotation,
        model_arguments=model_arguments(options),
        column=options.column,
        partition_size=options.partition_size,
        storage_options=options.storage_options,
        allow_private=options.allow_private,
        redo_errors=options.redo_errors,
    )


def _report(result: LabelResult, options: argparse.Namespace) -> None:
    if options.json:
        content = {
            **asdict(result),
            "pictures_per_second": result.pictures_per_second,
        }
        print(json.dumps(content, sort_keys=True))
    else:
        print(_summary(result, options.output))
    if result.num_missing:
        logger.error(
            "%s with %s could not be labelled: %s The same command goes on.",
            number_of(len(result.missing_partitions), "partition"),
            number_of(result.num_missing, "picture"),
            result.failure,
        )


def _summary(result: LabelResult, output: str) -> str:
    kept = result.num_inputs - result.num_done - result.num_missing
    parts = [
        f"{output}: {number_of(result.num_done, 'picture')} labelled",
        f"{result.num_errors:,} of them with an error" if result.num_errors else "",
        f"{kept:,} were there already" if kept else "",
        f"{result.seconds:.1f} s",
        f"{result.pictures_per_second:.1f} pictures/s" if result.num_done else "",
    ]
    return ", ".join(filter(None, parts))


def _parser() -> Parser:
    parser = Parser(
        prog="edgeclf label",
        description="Label the pictures of a folder, a table or a store into Parquet. "
        "Stopped or killed, the same command goes on; it takes new pictures too.",
    )
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="a folder of pictures; a Parquet file or a folder of such, with a column "
        "of paths or pictures; a list of paths, .txt or .csv, - for stdin. Each may be "
        "a URL: s3://, gs://, ...",
    )
    add(
        "--output",
        required=True,
        metavar="DIR",
        help="the folder or URL of the Parquet dataset: path, labels, scores, error",
    )
    add("--labels", metavar="FILE", help="names of the classes, if not the model's own")
    add("--top_k", type=positive, metavar="N", help="how many labels at most")
    add("--score_threshold", type=share, metavar="S", help="least score, 0-1")
    add("--allow", nargs="+", action="extend", metavar="LABEL", help="only these")
    add("--deny", nargs="+", action="extend", metavar="LABEL", help="all but these")
    add("--reject", action="store_true", help="say unknown to what is like no class")
    add(
        "--bottleneck",
        action="store_true",
        help="also write what the model's last layer sees, for searching by likeness",
    )
    add("--column", metavar="NAME", help="of a table: paths, or encoded pictures")
    add(
        "--partition_size",
        type=positive,
        metavar="N",
        help="pictures in one file (default: 1000, of a small source fewer)",
    )
    add(
        "--redo_errors",
        action="store_true",
        help="label those pictures again that have an error",
    )
    add(
        "--storage_options",
        type=_json_object,
        default={},
        metavar="JSON",
        help="""for the store, as fsspec takes them: '{"anon": true}'""",
    )
    add("--json", action="store_true", help="the summary as one JSON object")
    add_picture_options(_with_all_cores(add))
    add_model_options(add)
    add_engine_arguments(parser)
    return parser


def _with_all_cores(add: Any) -> Any:
    """Return an `add_argument` whose `--workers` is as many as there are cores."""

    def adding(name: str, **settings: Any) -> None:
        if name == "--workers":
            text = "pictures at a time (default: as many as there are cores)"
            settings.update(type=workers, default=None, help=text)
        add(name, **settings)

    return adding


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, received {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
