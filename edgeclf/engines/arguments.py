"""The options of commands that run on an engine: `--engine`, `--address`."""

from __future__ import annotations

import argparse

from edgeclf.engines.engine import Engine

ENGINES = ("local", "ray")


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--engine` and `--address`."""
    group = parser.add_argument_group("where the work is done")
    group.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help="this machine's processors, or a Ray cluster, extra [ray] (%(default)s)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the cluster that this machine is part of, or auto; default: one is "
        "started here",
    )


def chosen_engine(arguments: argparse.Namespace, num_workers: int | None) -> Engine:
    """Return the engine that the arguments choose.

    Args:
        arguments: Parsed by what `add_engine_arguments` was called with.
        num_workers: How many workers; None for one per processor.

    Raises:
        MissingExtraError: Ray is needed and not installed.
        ValueError: `--address` was given without `--engine ray`.
    """
    if arguments.engine == "ray":
        from edgeclf.engines.ray_engine import RayEngine

        return RayEngine(arguments.address, num_workers)
    if arguments.address is not None:
        raise ValueError(
            "Expected --engine ray with --address, which names a Ray cluster. "
            f"Received: --engine {arguments.engine}."
        )
    from edgeclf.engines.local import LocalEngine

    return LocalEngine(num_workers)
