"""One request for a file over http: where it goes, and how long it may take."""

from __future__ import annotations

import contextlib
import http.client
import os
import queue
import ssl
import threading
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO
from urllib.error import HTTPError, URLError

import edgeclf
from edgeclf.errors import DownloadError
from edgeclf.inputs.connection import plain, printable
from edgeclf.inputs.fetch import RETRIED_STATUS


@dataclass(frozen=True)
class Patience:
    """How long to wait, and how often to try again.

    Attributes:
        answer_s: Seconds for one request up to the answer's headers: name lookup,
            all addresses of the host, TLS and redirects together.
        read_s: Seconds without a single byte after which a connection counts as cut,
            and in which it has to bring `download.LEAST_BYTES_S` for each.
        attempts: How often to ask a server that answers, with errors or in part.
        calls: How often to try to reach a server that does not answer at all.
        pause_s: Wait before the second attempt; it doubles with each further one.
    """

    answer_s: float
    read_s: float
    attempts: int
    calls: int
    pause_s: float


PATIENT = Patience(answer_s=10, read_s=20, attempts=4, calls=3, pause_s=0.5)
BRIEF = Patience(answer_s=4, read_s=20, attempts=4, calls=1, pause_s=0.5)


class PassingFailureError(Exception):
    """One attempt failed in a way that may pass.

    Attributes:
        answered: Whether a server was reached.
        restart: Whether the next attempt must ask for the whole file.
    """

    def __init__(
        self, reason: object, *, answered: bool = True, restart: bool = False
    ) -> None:
        said = plain(" ".join(str(reason).split()))  # a server may have written it
        super().__init__(said or type(reason).__name__)
        self.answered = answered
        self.restart = restart


def mirrored(url: str) -> str:
    """Return `url` with scheme and host of `EDGECLF_MIRROR`, if that is set.

    Path and query are kept, and come after the mirror's own path if it has one:
    with `https://mirror.example/google`, `https://host/a/b.tgz` becomes
    `https://mirror.example/google/a/b.tgz`.

    Raises:
        DownloadError: The variable is not the address of a web server.
    """
    mirror = os.environ.get("EDGECLF_MIRROR", "").strip()
    if not mirror:
        return url
    try:
        parts = urllib.parse.urlsplit(mirror)
        valid = bool(parts.hostname and (parts.port is None or parts.port))
    except ValueError:
        valid = False
    if not valid or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        # the value is not repeated: it may hold a password
        raise DownloadError(
            "Expected EDGECLF_MIRROR to be the address of a server, such as "
            "https://mirror.example/models, without a user name. Received another "
            f"form, {len(mirror)} characters long. Correct it or unset it."
        )
    asked = urllib.parse.urlsplit(url)
    path = parts.path.rstrip("/") + asked.path
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, asked.query, ""))


def ask(url: str, offset: int, patience: Patience) -> http.client.HTTPResponse:
    """Ask for a file from a byte on; the server may answer with the whole file.

    Args:
        url: http or https.
        offset: The first byte that is wanted.
        patience: How long to wait for the answer's headers.

    Returns:
        The answer, status 206 for a part of the file and another 2xx for all of it;
        to be closed by the caller.

    Raises:
        PassingFailureError: It may succeed when it is tried again.
        DownloadError: It will not.
    """
    headers = {
        "User-Agent": f"edgeclf/{edgeclf.__version__}",
        "Accept-Encoding": "identity",
    }
    if offset:
        headers["Range"] = f"bytes={offset}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - see _opener
    try:
        return _open_within(request, patience)
    except DownloadError:
        raise
    except HTTPError as error:
        error.close()
        reason = plain(f"the server answered {error.code} {error.reason}").strip()
        if error.code in RETRIED_STATUS:
            raise PassingFailureError(reason) from error
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            raise PassingFailureError(reason, restart=True) from error
        raise DownloadError(f"Cannot download {url}: {reason}.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, (ssl.SSLCertVerificationError, ValueError)):
            raise DownloadError(f"Cannot download {url}: {cause}.") from error
        silent = isinstance(error, (URLError, TimeoutError))
        raise PassingFailureError(cause, answered=not silent) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, never from https back to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        target = urllib.parse.urlsplit(newurl)
        is_less = target.scheme != "https" and (
            req.type == "https" or target.scheme != "http"
        )
        if is_less or "@" in target.netloc:  # a password, which errors would show
            fp.close()
            raise DownloadError(
                f"Cannot download {req.full_url}: it was redirected to "
                f"{plain(printable(newurl))}, which is not as safe."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https alone; the usual one also reads file:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        _Redirects,
    ):
        opener.add_handler(handler())
    return opener


def _open_within(
    request: urllib.request.Request, patience: Patience
) -> http.client.HTTPResponse:
    """Open `request`, but wait no longer than `patience.answer_s` in all.

    A socket's timeout counts for each address of the host, and not at all while its
    name is looked up, so a thread of its own waits for both. Where it is given up,
    it ends by itself and closes what it got.
    """
    answers: queue.SimpleQueue[http.client.HTTPResponse | Exception]
    answers = queue.SimpleQueue()
    given_up = threading.Event()

    def work() -> None:
        try:
            answers.put(_opener().open(request, timeout=patience.read_s))
        except (OSError, http.client.HTTPException, ValueError) as error:
            answers.put(error)
        if given_up.is_set():
            _close(answers)

    threading.Thread(target=work, name="edgeclf-download", daemon=True).start()
    try:
        answer = answers.get(timeout=patience.answer_s)
    except queue.Empty:
        given_up.set()
        _close(answers)
        raise TimeoutError(f"no answer within {patience.answer_s:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _close(answers: queue.SimpleQueue[http.client.HTTPResponse | Exception]) -> None:
    """Close the answer that came too late, if one did."""
    with contextlib.suppress(queue.Empty):
        answer = answers.get_nowait()
        if not isinstance(answer, Exception) or isinstance(answer, HTTPError):
            answer.close()
