"""`edgeclf label`: label the pictures of a folder, a table or a store into Parquet."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edgeclf.console import Parser, run
from edgeclf.engines.arguments import add_engine_arguments

GO_ON = "The same command goes on where this one stopped."


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgeclf label` and return its exit status."""
    arguments = parse_arguments(argv)
    return run(lambda: _label(arguments), go_on=GO_ON)


def parse_arguments(argv: Sequence[str] | None):  # type: ignore[no-untyped-def]
    """Parse the command line."""
    parser = Parser(prog="edgeclf label", description=__doc__)
    add_engine_arguments(parser)
    return parser.parse_args(argv)


def _label(arguments) -> int:  # type: ignore[no-untyped-def]
    raise NotImplementedError


if __name__ == "__main__":
    sys.exit(main())
