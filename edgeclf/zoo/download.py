"""Fetch a file over http: checked, and resumed after an interruption."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import time
import urllib.parse
from http import HTTPStatus
from io import FileIO

from edgeclf.errors import DownloadError, MissingExtraError
from edgeclf.zoo import cache
from edgeclf.zoo.hosted import HostedModel
from edgeclf.zoo.request import PATIENT, PassingFailureError, Patience, ask, mirrored

MAX_ARCHIVE_BYTES = 1 << 30
CHUNK_BYTES = 1 << 16
PROGRESS_BYTES = 1 << 20  # a connection that was cut after so much is no failure
LEAST_BYTES_S = 1 << 10  # what brings less for `Patience.read_s` is as good as cut

_logger = logging.getLogger("edgeclf")


def fetch(model: HostedModel, part: FileIO, patience: Patience = PATIENT) -> None:
    """Complete `part` to the archive of `model`, and check it.

    What `part` holds already is kept if the server can go on from there; the
    checksum at the end tells whether it belonged to the same file, and if not,
    the whole is fetched once more from the start.

    Args:
        model: What to fetch, from its own address or from `EDGECLF_MIRROR`.
        part: An open file to read and append to (`a+b`, unbuffered).
        patience: Waits and attempts.

    Raises:
        DownloadError: The server cannot be reached, does not have the file or
            answers with another one, or `part` cannot be written.
    """
    url = mirrored(model.url)
    if _size(part) and _sha256(part) == model.sha256:
        return
    resumed = _transfer(url, part, model.name, patience)
    received = _sha256(part)
    if resumed and received != model.sha256:
        _truncate(part)
        _transfer(url, part, model.name, patience)
        received = _sha256(part)
    if received != model.sha256:
        size_bytes = _size(part)
        _truncate(part)
        raise DownloadError(
            f"Expected SHA-256 {model.sha256} for {url}. Received: {received} "
            f"({size_bytes} bytes), which was thrown away. The file was changed on "
            "its way, or the server has another one."
        )


def _transfer(url: str, part: FileIO, name: str, patience: Patience) -> bool:
    """Append to `part` until it is complete; return whether it was ever resumed."""
    resumed = False
    failures = 0
    while True:
        offset = _size(part)
        resumed = resumed or offset > 0
        try:
            with ask(url, offset, patience) as response:
                _receive(response, part, offset, name, patience.read_s)
            return resumed
        except PassingFailureError as error:
            moved = _size(part) - offset >= PROGRESS_BYTES
            failures = 1 if moved else failures + 1
            allowed = patience.attempts if error.answered else patience.calls
            if failures >= allowed:
                raise DownloadError(f"Cannot download {url}: {error}.") from error
            if error.restart:
                _truncate(part)
            pause_s = patience.pause_s * 2 ** (failures - 1)
            _logger.info("%s: %s; trying again in %g s.", name, error, pause_s)
            time.sleep(pause_s)


def _receive(
    response: http.client.HTTPResponse,
    part: FileIO,
    offset: int,
    name: str,
    window_s: float,
) -> None:
    """Write the answer's body to the end of `part`, with a progress bar."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingExtraError(
            "Downloading needs the package tqdm. Install it with: "
            'pip install "edgeclf[train]"'
        ) from error

    start, total = _announced(response, offset)
    if start != offset:  # the server does not do ranges
        _truncate(part)
    verb = "Resuming the download of" if start else "Downloading"
    size = f"{total / 1e6:.1f} MB" if total else "size unknown"
    host = urllib.parse.urlsplit(response.url).netloc
    _logger.info("%s %s (%s) from %s.", verb, name, size, host)
    with tqdm(
        desc=name,
        total=total,
        initial=start,
        unit="B",
        unit_scale=True,
        disable=None,
        leave=False,
    ) as bar:
        pace = _Pace(window_s)
        while total is None or start < total:
            try:
                chunk = response.read1(CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise PassingFailureError(f"the connection was cut: {error}") from error
            if not chunk:
                break
            start += len(chunk)
            if start > MAX_ARCHIVE_BYTES:
                raise _too_large(response.url, start)
            _append(part, chunk)
            bar.update(len(chunk))
            pace.check(len(chunk))
    if total is not None and start < total:
        raise PassingFailureError(
            f"the connection was cut after {start} of {total} bytes"
        )


class _Pace:
    """Notices a connection that drips: each byte alone would come in time.

    Args:
        window_s: Over how many seconds the pace is looked at.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._began = time.monotonic()
        self._size_bytes = 0

    def check(self, size_bytes: int) -> None:
        """Count what came.

        Raises:
            PassingFailureError: Too little has come for a whole window.
        """
        self._size_bytes += size_bytes
        passed_s = time.monotonic() - self._began
        if passed_s < self._window_s:
            return
        if self._size_bytes < LEAST_BYTES_S * passed_s:
            raise PassingFailureError(
                f"the connection brought {self._size_bytes} bytes in {passed_s:.0f} s"
            )
        self._began, self._size_bytes = time.monotonic(), 0


def _announced(
    response: http.client.HTTPResponse, offset: int
) -> tuple[int, int | None]:
    """Return where the body starts in the file, and the file's size if announced."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    start = 0
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        header = response.headers.get("Content-Range", "")
        numbers = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", header.strip())
        if not numbers or int(numbers[1]) != offset or numbers[3] == "*":
            reason = f"the server answered with another range ({header!r})"
            raise PassingFailureError(reason, restart=True)
        start, total = offset, int(numbers[3])
    if total is not None and total > MAX_ARCHIVE_BYTES:
        raise _too_large(response.url, total)
    return start, total


def _too_large(url: str, size_bytes: int) -> DownloadError:
    return DownloadError(
        f"Expected at most {MAX_ARCHIVE_BYTES} bytes from {url}. "
        f"Received: {size_bytes} bytes or more."
    )


def _size(part: FileIO) -> int:
    return os.fstat(part.fileno()).st_size


def _sha256(part: FileIO) -> str:
    digest = hashlib.sha256()
    part.seek(0)
    while chunk := part.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _append(part: FileIO, chunk: bytes) -> None:
    """Write at the end; unbuffered, so that a killed process leaves what it has."""
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[part.write(rest) :]
    except OSError as error:
        _truncate(part)  # a full disk is not to stay full
        raise cache.unwritable(part.name, error) from error


def _truncate(part: FileIO) -> None:
    part.seek(0)
    part.truncate()
