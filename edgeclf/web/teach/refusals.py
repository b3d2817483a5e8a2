"""What teaching answers where it does not do what it is asked for."""

from __future__ import annotations

import errno
from http import HTTPStatus

from edgeclf.console import sentence
from edgeclf.web.problems import ProblemError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def missing(noun: str, name: str) -> ProblemError:
    """Return the problem of something that is not there (404)."""
    return ProblemError(
        HTTPStatus.NOT_FOUND,
        f"No such {noun}",
        f"Expected a {noun} that is there. Received: {name[:100]!r}. It may have been "
        "renamed or deleted in the meantime; load the page again.",
    )


def conflict(detail: str) -> ProblemError:
    """Return the problem of something that is in the way (409)."""
    return ProblemError(HTTPStatus.CONFLICT, "In the way", detail)


def taken(name: str) -> ProblemError:
    """Return the problem of a name that there is already (409)."""
    return conflict(
        f"Expected a name that is free. Received: {name}, which there is already. "
        "Choose another one."
    )


def unprocessable(detail: str) -> ProblemError:
    """Return the problem of something that cannot be used (422)."""
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid values", detail)


def of_disk(error: OSError) -> ProblemError:
    """Return the problem of files that cannot be changed: 507 of a full disk."""
    if error.errno in _FULL:
        return ProblemError(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "Disk full",
            "The server's disk is full: what was not answered as done is not done. "
            "Free some space and try again.",
        )
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Disk error",
        "The server cannot change its files: "
        f"{sentence(OSError(error.errno, error.strerror or str(error)))}",
    )
