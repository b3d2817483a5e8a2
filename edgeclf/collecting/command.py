"""`edgeclf collect`: pictures of a query, a list of addresses or the Unsplash tables.

```
edgeclf collect --query "Gzhel=Gzhel porcelain" --query "Iznik" --output photos
edgeclf collect --urls urls.txt --label Gzhel --output photos
edgeclf collect --unsplash tables/ --output photos --limit 200
```
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf import console
from edgeclf.collecting import licenses, unsplash_options
from edgeclf.collecting.collect import (
    DEFAULT_WORKERS,
    STORED_BEFORE,
    Collected,
    Source,
    collect,
)
from edgeclf.collecting.journal import STORED
from edgeclf.collecting.searches import SOURCES, search
from edgeclf.collecting.store import label_name_problem
from edgeclf.collecting.url_list import read_urls
from edgeclf.collecting.web import Manners, Web
from edgeclf.errors import DatasetError
from edgeclf.inputs.connection import PRIVATE
from edgeclf.inputs.fetch import Limits
from edgeclf.labelling.arguments import positive
from edgeclf.labelling.output import write_json_line

if TYPE_CHECKING:
    from edgeclf.collecting.features import FeatureKeeper

logger = logging.getLogger("edgeclf")

GO_ON = "The pictures that came stay. The same command goes on from here."
DEFAULT_SOURCES = ("openverse", "wikimedia")
DEFAULT_LIMIT = 100  # of a query: searches find thousands
DEFAULT_MAX_MB = 32.0
DEFAULT_TIMEOUT_S = 30.0
_MANNERS = Manners()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when pictures were added, were there from an earlier run, or none was left to
        get, also if others could not be had; 1 when none could be had, or something
        failed; 130 after Ctrl-C.
        (2, as `SystemExit`, for wrong usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        web = _web(options)
        queries = [_query(text, options.label) for text in options.query]
        if options.label is not None:
            _check_label(options.label)
        unsplash_options.check(options)
    except ValueError as error:
        parser.error(str(error))
    if options.label is not None and options.unsplash:
        parser.error("Expected no --label with --unsplash, whose keywords are labels.")
    return console.run(lambda: _collect(options, web, queries), GO_ON)


def _collect(
    options: argparse.Namespace, web: Web, queries: Sequence[tuple[str, str]]
) -> int:
    limit = options.limit
    if limit is None and queries:
        limit = DEFAULT_LIMIT
    keeper = unsplash_options.keeper_of(options)
    with keeper or nullcontext():
        result = collect(
            _sources(options, web, queries, keeper),
            options.output,
            web,
            limit=limit,
            num_workers=options.workers,
            min_side=options.min_side,
            keep=None if keeper is None else keeper.keep,
        )
    _print(options, result)
    return 0 if result.is_success else 1


def _sources(
    options: argparse.Namespace,
    web: Web,
    queries: Sequence[tuple[str, str]],
    keeper: FeatureKeeper | None,
) -> list[Source]:
    """Return what is asked; what is missing for it is said now."""
    if options.urls is not None:
        found = read_urls(options.urls, options.label)
        source = Source(os.fspath(options.urls), found, license_choice=options.license)
        if options.license != licenses.DEFAULT and not any(
            each.license or each.license_url for each in found
        ):
            raise DatasetError(
                f"Expected a column license or license_url in {options.urls} with "
                f"--license {options.license}. Received: no licence of any address."
            )
        return [source]
    if options.unsplash is not None:
        photos = unsplash_options.find_by(options, keeper)
        return [Source(os.fspath(options.unsplash), photos)]
    return [
        Source(
            f"{source}, {words}",
            search(source, words, (label,), web, options.license),
            label,
        )
        for label, words in queries
        for source in options.source
    ]


def _print(options: argparse.Namespace, result: Collected) -> None:
    if options.json:
        write_json_line({"output": os.fspath(options.output), **result.describe()})
        return
    outcomes = sorted(result.outcomes.items(), key=lambda item: (-item[1], item[0]))
    width = max((len(outcome) for outcome, _ in outcomes), default=0)
    for outcome, count in outcomes:
        print(f"{outcome:{width}}  {count}")
    for label, count in sorted(result.counts.items()):
        logger.info("%s: %s", label, console.number_of(count, "picture"))
    if result.failures and result.outcomes.keys() - {STORED, STORED_BEFORE}:
        logger.info("What is not there, and why: %s", result.failures)
    if result.outcomes[PRIVATE]:
        logger.info(
            "Addresses of this machine or the local network are asked only with "
            "--allow_private."
        )
    if not result.counts:
        logger.error("Expected pictures. Received: none.")
    elif options.unsplash is not None:
        logger.info("Next: %s", unsplash_options.retrain_line(options, result.counts))
    else:
        logger.info("Next: edgeclf audit %s", shlex.quote(os.fspath(options.output)))


def _web(options: argparse.Namespace) -> Web:
    """Return what fetches.

    Raises:
        ValueError: An option is out of its range.
    """
    for name in ("max_mb", "timeout"):
        value = getattr(options, name)
        if not 0 < value < math.inf:
            raise ValueError(f"Expected --{name} of more than 0. Received: {value}.")
    limits = Limits(
        size_bytes=max(1, int(options.max_mb * 1e6)),
        total_s=options.timeout,
        connect_s=min(Limits.connect_s, options.timeout),
    )
    manners = Manners(
        per_host=options.per_host,
        pause_s=options.pause,
        attempts=options.attempts,
        backoff_s=options.backoff,
        longest_wait_s=options.max_wait,
    )
    return Web(
        allow_private=options.allow_private,
        manners=manners,
        limits=limits,
        contact=options.contact,
    )


def _query(text: str, label: str | None) -> tuple[str, str]:
    """Return label and words of `LABEL=WORDS`, or of words alone.

    Raises:
        ValueError: One is empty, or the label cannot be a folder's name.
    """
    name, equals, words = text.partition("=")
    name, words = (name.strip(), words.strip()) if equals else ("", text.strip())
    if not words or (equals and not name):
        raise ValueError(f"Expected LABEL=WORDS or WORDS. Received: {text!r}.")
    name = name or label or words
    _check_label(name)
    return name, words


def _check_label(label: str) -> None:
    """Refuse what cannot be the name of a class folder.

    Raises:
        ValueError: It cannot.
    """
    if problem := label_name_problem(label):
        raise ValueError(
            "Expected a label that can be the name of a class folder. "
            f"Received: {label!r} ({problem})."
        )


def _parser() -> console.Parser:
    parser = console.Parser(
        prog="edgeclf collect",
        description="Download pictures into class folders, each once, with a manifest "
        "of their origins and licences. A run that was stopped is gone on with by the "
        "same command.",
    )
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--query",
        action="append",
        default=[],
        metavar="[LABEL=]WORDS",
        help="what to search for; LABEL is the class folder; can be repeated",
    )
    what.add_argument(
        "--urls",
        type=Path,
        metavar="FILE",
        help="addresses, one a line, or a table with the column url and perhaps label",
    )
    what.add_argument(
        "--unsplash", type=Path, metavar="DIR", help="folder of the Unsplash tables"
    )
    add("--output", type=Path, required=True, metavar="DIR", help="of class folders")
    add(
        "--limit",
        type=positive,
        metavar="N",
        help="pictures of each label, those of earlier runs included; default: "
        f"{DEFAULT_LIMIT} of a query, else all",
    )
    add("--label", help="class folder; default: the words, or the list's name")
    add(
        "--source",
        type=console.listed(console.one_of(SOURCES)),
        default=list(DEFAULT_SOURCES),
        metavar="A,B",
        help=f"where to search, of {', '.join(SOURCES)}; default: "
        f"{','.join(DEFAULT_SOURCES)}",
    )
    add(
        "--license",
        choices=licenses.CHOICES,
        default=licenses.DEFAULT,
        help="what must be allowed (default: %(default)s)",
    )
    add("--min_side", type=positive, default=1, metavar="PIXELS", help="of each side")
    add(
        "--max_mb",
        type=float,
        default=DEFAULT_MAX_MB,
        metavar="MB",
        help="of one picture (default: %(default)g)",
    )
    add("--json", action="store_true", help="print what came of it as one line of JSON")
    _add_manners(parser.add_argument_group("how servers are treated").add_argument)
    unsplash_options.add_options(parser)
    return parser


def _add_manners(add: Callable[..., object]) -> None:
    add(
        "--workers",
        type=positive,
        default=DEFAULT_WORKERS,
        metavar="N",
        help="downloads at a time (default: %(default)s)",
    )
    add(
        "--per_host",
        type=positive,
        default=_MANNERS.per_host,
        metavar="N",
        help="connections to one host at a time (default: %(default)s)",
    )
    add(
        "--pause",
        type=float,
        default=_MANNERS.pause_s,
        metavar="S",
        help="seconds between two connections to one host (default: %(default)g)",
    )
    add(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="of one attempt, however slowly bytes drip in (default: %(default)g)",
    )
    add(
        "--attempts",
        type=positive,
        default=_MANNERS.attempts,
        metavar="N",
        help="if what fails may pass (default: %(default)s)",
    )
    add(
        "--backoff",
        type=float,
        default=_MANNERS.backoff_s,
        metavar="S",
        help="before the second attempt; doubles with each (default: %(default)g)",
    )
    add(
        "--max_wait",
        type=float,
        default=_MANNERS.longest_wait_s,
        metavar="S",
        help="the longest that a server may ask to wait (default: %(default)g)",
    )
    add("--contact", help="your address or page, for servers that want to know")
    add(
        "--allow_private",
        action="store_true",
        help="addresses may lead to this machine and the local network",
    )


if __name__ == "__main__":
    sys.exit(main())
