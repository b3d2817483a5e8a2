"""Run a command, kill it at random moments, run it again, and look at what it left.

Moments are drawn uniformly over what an undisturbed run takes: they fall into imports,
into the work and into the writing alike. `EDGECLF_KILLS` says how many of each kind.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from PIL import Image

KILLS = int(os.environ.get("EDGECLF_KILLS", "4"))
LONGEST_S = 300.0  # of a run that is left alone
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class Ended(NamedTuple):
    """How a process ended; `after_s` is how long after its signal, or its start."""

    status: int
    stdout: str
    stderr: str
    after_s: float

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL came before its end."""
        return self.status == -signal.SIGKILL


def edgeclf(*arguments: object) -> list[str]:
    """Return the command line of an edgeclf command in a process of its own."""
    return [sys.executable, "-m", "edgeclf", *map(os.fspath, map(_text, arguments))]


def _text(argument: object) -> str:
    return argument if isinstance(argument, str) else str(argument)


def started(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> subprocess.Popen[str]:
    """Start a command in a session of its own, with SIGINT as a terminal has it."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=cwd,
        env={**os.environ, **(env or {})},
        start_new_session=True,
        preexec_fn=_take_interrupts,
    )


def _take_interrupts() -> None:
    # Shells start what runs in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finished(command: Sequence[str], **options: object) -> Ended:
    """Run a command to its end, undisturbed."""
    return signalled(command, None, 0, **options)


def killed(command: Sequence[str], after_s: float, **options: object) -> Ended:
    """Kill a command with all of its children after some time, as a power cut does."""
    return signalled(command, after_s, signal.SIGKILL, **options)


def signalled(
    command: Sequence[str],
    after_s: float | None,
    number: int,
    *,
    to_group: bool = True,
    **options: object,
) -> Ended:
    """Send a command a signal after some time and wait for its end.

    Args:
        command: Program and arguments.
        after_s: Seconds after its start; None: never.
        number: Of the signal.
        to_group: Whether children get it too, as from a terminal's Ctrl-C.
        options: As for `started`.
    """
    process = started(command, **options)  # type: ignore[arg-type]
    began = time.monotonic()
    try:
        try:
            wait_s = LONGEST_S if after_s is None else after_s
            stdout, stderr = process.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            if after_s is None:
                raise
            began = time.monotonic()
            if to_group:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            stdout, stderr = process.communicate(timeout=LONGEST_S)
        return Ended(process.returncode, stdout, stderr, time.monotonic() - began)
    finally:
        with suppress(ProcessLookupError):  # nothing of it outlives the test
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def signalled_at(
    command: Sequence[str],
    said: str,
    number: int,
    *,
    to_group: bool = True,
    **options: object,
) -> Ended:
    """Send a command a signal when it prints something, and wait for its end.

    Args:
        command: Program and arguments.
        said: A line of its standard output.
        number: Of the signal.
        to_group: Whether children get it too, as from a terminal's Ctrl-C.
        options: As for `started`.
    """
    process = started(command, **options)  # type: ignore[arg-type]
    try:
        before = iter(process.stdout.readline, "")  # type: ignore[union-attr]
        lines = list(_until(said, before))
        began = time.monotonic()
        if to_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        stdout, stderr = process.communicate(timeout=LONGEST_S)
        seconds = time.monotonic() - began
        return Ended(process.returncode, "".join(lines) + stdout, stderr, seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until(said: str, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if line.rstrip() == said:
            return


def moments(times: int, seed: int, within_s: float) -> list[float]:
    """Return as many moments of the first `within_s` seconds."""
    source = random.Random(seed)  # noqa: S311 - no secret
    return [source.uniform(0.0, within_s) for _ in range(times)]


def killed_runs(
    command: Sequence[str],
    times: int,
    seed: int,
    within_s: float,
    **options: object,
) -> Iterator[Ended]:
    """Kill a command at random moments; yield how each run ended, one at a time.

    Who asks for the next one may look at what this one left, run the command again, or
    clear it away. A run that ended before its moment came is yielded too: see
    `Ended.was_killed`.

    Args:
        command: Program and arguments.
        times: How many runs.
        seed: Other seeds, other moments.
        within_s: What an undisturbed run takes.
        options: As for `started`.
    """
    for after_s in moments(times, seed, within_s):
        yield killed(command, after_s, **options)


def files_below(folder: str | os.PathLike[str]) -> list[Path]:
    """Return all files below a folder, in order; hidden ones are among them."""
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def leftovers(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the temporary files and folders that lie below a folder."""
    return sorted(path for path in Path(folder).rglob(".*") if ".part" in path.name)


def content_of(
    folder: str | os.PathLike[str],
    ignored: Iterable[str] = (),
    read: Callable[[Path], bytes] = Path.read_bytes,
) -> dict[str, str]:
    """Return each file below a folder with the SHA-256 of what it says.

    Args:
        folder: Where they lie; temporary leftovers do not count.
        ignored: Patterns of paths below it that do not count either.
        read: What a file says; for those that tell the time, without it.
    """
    root, found = Path(folder), {}
    for path in files_below(root):
        name = path.relative_to(root).as_posix()
        is_left_over = any(
            part.startswith(".") and ".part" in part for part in name.split("/")
        )
        if is_left_over or any(fnmatch(name, pattern) for pattern in ignored):
            continue
        found[name] = hashlib.sha256(read(path)).hexdigest()
    return found


def half_written(folder: str | os.PathLike[str]) -> list[str]:
    """Return what lies under a final name below a folder and is not whole.

    Hidden temporary files, `.x.part`, are no such names: the next run takes them away.
    """
    found = []
    for path in files_below(folder):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") and ".part" in part for part in parts):
            continue
        try:
            _check_whole(path)
        except Exception as error:  # noqa: BLE001 - whatever a reader says
            found.append(f"{path}: {error!r}")
    return found


def _check_whole(path: Path) -> None:
    if path.suffix in (".part", ".tmp", ".temp") or path.name.endswith("~"):
        raise ValueError("a temporary file under a final name")
    content = path.read_bytes()
    if path.suffix in PICTURES:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    elif path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".jsonl":
        [json.loads(line) for line in content.splitlines()]
    elif path.suffix == ".html" and not content.rstrip().endswith(b"</html>"):
        raise ValueError("no end of the page")
    elif path.suffix == ".parquet" and not content[:4] == content[-4:] == b"PAR1":
        raise ValueError("no end of the Parquet file")
    elif path.suffix == ".tflite":
        if content[4:8] != b"TFL3":
            raise ValueError("no flatbuffer")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() is not None:
                raise ValueError("damaged files in the model")
    elif path.suffix in (".csv", ".txt") and content[-1:] not in (b"", b"\n"):
        raise ValueError("the last line is cut off")
