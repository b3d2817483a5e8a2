"""What every command shares: lines on stderr, option spelling, exit status."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edgeclf import interrupts
from edgeclf.errors import EdgeclfError, visible
from edgeclf.interrupts import INTERRUPTED as INTERRUPTED


class Parser(argparse.ArgumentParser):
    """An argument parser that takes `--top_k` and `--top-k` alike."""

    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Spell options with underscores before they are looked up."""
        arguments = list(sys.argv[1:] if args is None else args)
        stop = arguments.index("--") if "--" in arguments else len(arguments)
        spelled = [underscored(argument) for argument in arguments[:stop]]
        return super().parse_known_args(spelled + arguments[stop:], namespace)


def underscored(argument: str) -> str:
    """Return `--top-k=5` as `--top_k=5`; anything but a long option unchanged."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    return "--" + name.replace("-", "_") + equals + value


def listed(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return a converter of values with commas between them, for argparse."""

    def parse(text: str) -> list[Any]:
        values = [convert(part.strip()) for part in text.split(",") if part.strip()]
        if not values:
            raise argparse.ArgumentTypeError("expected at least one value")
        return values

    parse.__name__ = f"list of {convert.__name__}"  # what argparse calls it
    return parse


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """Return a converter that lets only these words pass, for argparse."""

    def parse(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(
                f"expected one of {', '.join(choices)}, received {text!r}"
            )
        return text

    return parse


def number_of(count: int, noun: str, nouns: str | None = None) -> str:
    """Return `1 picture`, `2 pictures`; `nouns` where an s is not enough."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def run(command: Callable[[], int], go_on: str = "") -> int:
    """Run a command's body: messages to stderr, one sentence for an expected error.

    Args:
        command: The body; returns the exit status.
        go_on: A sentence for Ctrl-C: what is kept, and how to go on.

    Returns:
        The command's exit status; 1 for an `EdgeclfError` or `OSError`, 130 after
        Ctrl-C, 143 after SIGTERM. The process ends within a second of either.
    """
    try:
        with interrupts.watched(go_on):
            return _run(command, go_on)
    except KeyboardInterrupt as interrupt:  # it came just before the command
        status = interrupts.status_of(interrupt) or INTERRUPTED
        words = f"{interrupts.WORDS[status]} {go_on}".rstrip()
        sys.stderr.write(f"error: {words}\n")
        return status


def _run(command: Callable[[], int], go_on: str) -> int:
    logger = logging.getLogger("edgeclf")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PlainFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any file name prints
    propagate, logger.propagate = logger.propagate, False  # a library may add handlers
    if sys.stdout is None:  # closed by the caller
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    try:
        status = command()
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        # What is still buffered would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        # Modules in C make another error of an interruption while they are imported.
        taken = interrupts.taken() or interrupts.status_of(error)
        if taken is not None:
            with interrupts.saying():
                logger.error("%s", f"{interrupts.WORDS[taken]} {go_on}".rstrip())
            return taken
        if not isinstance(error, (EdgeclfError, OSError)):
            raise
        is_full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        what_to_do = f" Free some space. {go_on}".rstrip() if is_full else ""
        logger.error("%s", sentence(error) + what_to_do)
        return 1
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)


def sentence(error: Exception, name: str | None = None) -> str:
    """Return what went wrong, of the system's errors too, with the file's name.

    Args:
        error: Any error; those of this library are sentences already.
        name: What to call the file. Default: what the error says.
    """
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = name or (os.fsdecode(error.filename) if error.filename else "")
    return f"{name}: {error.strerror}." if name else f"{error.strerror}."


class _PlainFormatter(logging.Formatter):
    """`error: ...` and `warning: ...`; information without a prefix."""

    def format(self, record: logging.LogRecord) -> str:
        message = visible(record.getMessage())  # names of files are in it, and labels
        if record.levelno < logging.WARNING:
            return message
        return f"{record.levelname.lower()}: {message}"


@contextlib.contextmanager
def errors_only() -> Iterator[None]:
    """Log nothing but errors: the rest was said before, or nobody asked for it."""
    logger = logging.getLogger("edgeclf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
