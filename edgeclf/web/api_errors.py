"""Every status that the API answers an error with: an example, and what to do.

The page of the API shows it, and the `type` of a problem leads there.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """Errors of one status.

    Attributes:
        title: Of most of them.
        detail: Of one, as an example.
        what_to_do: About all of them.
    """

    title: str
    detail: str
    what_to_do: str


ERRORS = {
    400: Kind(
        "Malformed body",
        "Expected JSON in UTF-8. Received: a body that is not (expected value at line "
        "1 column 1).",
        "The body is not what its Content-Type says, or was cut short.",
    ),
    401: Kind(
        "Token needed",
        "Expected the header `Authorization: Bearer TOKEN`. Received: none. In a "
        "browser, log in at /login first.",
        "Send the token that the server was started with.",
    ),
    403: Kind(
        "Asked for by another site",
        "Expected a request from a page of this server, or from a program. Received: "
        "one from a page of another site (its Origin is not this Host). Open this "
        "server's own page and do it there.",
        "Send the request from a page of this server, or from a program.",
    ),
    404: Kind(
        "Not Found",
        "There is nothing at this address. /api lists all that there is.",
        "Check the address. Where it is right, the server has no such thing, or no "
        "model yet.",
    ),
    405: Kind(
        "Method Not Allowed",
        "Expected POST for this address. /api tells what it takes.",
        "Use the method that is given here.",
    ),
    408: Kind(
        "Took too long to arrive",
        "Expected the whole request within 60 s. Received: a part. Send fewer or "
        "smaller pictures.",
        "Send smaller pictures, or fewer at a time.",
    ),
    409: Kind(
        "Under way",
        "This project is being trained already. Wait for it, or cancel it.",
        "What you ask for is at odds with what is there. Look at that again first.",
    ),
    413: Kind(
        "Request too large",
        "Expected 64 MB or fewer in one request. Received: more. Send fewer or "
        "smaller pictures, or start the server with a larger --max_mb.",
        "Send fewer pictures at a time, or smaller ones.",
    ),
    414: Kind(
        "Address too long",
        "Expected an address of 4,096 bytes or fewer. Received: 6,165.",
        "Send less in the address.",
    ),
    415: Kind(
        "Unsupported type",
        "Expected multipart/form-data, application/json, or a picture itself "
        "(image/*). Received: text/plain.",
        "Set Content-Type to what the body is.",
    ),
    421: Kind(
        "Another server was meant",
        "Expected a name of this server as Host. Received another one. If it is this "
        "server's, start it with --hostname NAME.",
        "Use the address that the server said when it was started.",
    ),
    422: Kind(
        "No readable picture",
        "notes.txt is not a picture in a format that Pillow reads. Convert it to JPEG "
        "or PNG, or leave it out.",
        "The detail says which value or picture, and why. Where no picture could be "
        "read, `results` has the error of each.",
    ),
    429: Kind(
        "Too many wrong tokens",
        "Expected the token. Received too many wrong ones. Try again in 30 s.",
        "Wait as many seconds as `Retry-After` says, and check the token.",
    ),
    431: Kind(
        "Headers too long",
        "Expected 16,384 bytes of headers or fewer. Received: 20,480.",
        "Send fewer or shorter headers; in a browser, delete old cookies.",
    ),
    500: Kind(
        "Internal error",
        "The server failed at this. Its log says why.",
        "This is a fault of the server's: look into its log, and report it.",
    ),
    503: Kind(
        "Busy",
        "The server has more pictures to work on than it can queue. Send yours again "
        "in 2 s.",
        "Send the same again after as many seconds as `Retry-After` says.",
    ),
    507: Kind(
        "Disk full",
        "The server's disk is full: what was not answered as done is not done. Free "
        "some space and try again.",
        "Free some space on the server's disk.",
    ),
}
