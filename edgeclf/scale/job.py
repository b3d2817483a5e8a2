"""What a folder of results was begun with: `_edgeclf/job.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from edgeclf.errors import DatasetError, EdgeclfError
from edgeclf.files import lock, sweep
from edgeclf.scale.places import Store, is_url, joined

FOLDER = "_edgeclf"
FILE = f"{FOLDER}/job.json"
VERSION = 1  # of the folder's layout

# Folders of results in which temporary files may be left, by a process that was killed.
_WRITTEN = ("", FOLDER, f"{FOLDER}/inputs")


class Begun(NamedTuple):
    """What a folder of results was begun with.

    Attributes:
        answers: Everything that decides what is written.
        source: As the user wrote it; names of inputs begin with it.
        folder: The absolute folder that it is relative to.
        partition_size: Of the first partitions.
    """

    answers: Mapping[str, Any]
    source: str
    folder: str
    partition_size: int


def read_job(store: Store, output: str) -> Begun | None:
    """Return what a folder of results was begun with; None for a new folder.

    Raises:
        DatasetError: There is something else in it.
        OSError: It cannot be read.
    """
    names = store.names(output)
    if FOLDER in names:
        with suppress(FileNotFoundError):  # killed before anything was begun
            return _parsed(joined(output, FILE), store.read(joined(output, FILE)))
    if any(name != FOLDER and not _is_left_over(name) for name in names):
        raise DatasetError(
            "Expected a new or empty folder as --output, or one that edgeclf label "
            f"has written to. Received: {output}, which holds something else."
        )
    return None


def _parsed(path: str, text: bytes) -> Begun:
    try:
        content = json.loads(text)
        if content.pop("layout") == VERSION:
            return Begun(**content)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise DatasetError(
            f"Expected {path} as edgeclf label writes it. Received: {error!r}"
        ) from error
    raise DatasetError(
        f"Expected results of this version of edgeclf. Received: {path} of another one."
    )


def write_job(store: Store, output: str, job: Begun) -> None:
    """Begin a folder of results.

    Raises:
        OSError: It cannot be written.
    """
    text = json.dumps({**job._asdict(), "layout": VERSION}, sort_keys=True, indent=1)
    store.write(joined(output, FILE), f"{text}\n".encode())


def check_same(
    output: str, begun: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuse to go on with other answers than those that are there.

    Args:
        output: What errors call the folder.
        begun: What decided the answers when it was begun.
        wanted: What decides them now.

    Raises:
        DatasetError: They differ; it says in what.
    """
    # As JSON has them: lists, not tuples.
    wanted = json.loads(json.dumps(wanted))
    names = sorted({*begun, *wanted})
    differing = [name for name in names if begun.get(name) != wanted.get(name)]
    if differing:
        then = ", ".join(f"{name}={_shown(begun.get(name))}" for name in differing)
        now = ", ".join(f"{name}={_shown(wanted.get(name))}" for name in differing)
        raise DatasetError(
            f"Expected what {output} was begun with: {then}. Received: {now}. "
            "Give another --output for other answers."
        )


@contextmanager
def held(output: str) -> Iterator[None]:
    """Keep other processes of this machine from a folder of results, and tidy it.

    Other machines are not kept away, nor anybody from a store. Who lists the same
    inputs writes the same; with new ones in between, numbers would be given twice.

    Raises:
        EdgeclfError: Another process has it.
        OSError: It cannot be made.
    """
    if is_url(output):
        yield
        return
    folder = Path(output, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not lock(descriptor):
            raise EdgeclfError(
                f"Another process labels into {output} at the moment. Wait for its "
                "end: then the same command goes on."
            )
        for below in _WRITTEN:
            sweep(Path(output, below))
        try:
            yield
        finally:
            for below in _WRITTEN:
                sweep(Path(output, below))
    finally:
        with suppress(OSError):
            folder.rmdir()  # where nothing was begun
        os.close(descriptor)


def _is_left_over(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}..."
