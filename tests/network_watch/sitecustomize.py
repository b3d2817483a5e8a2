"""Put this folder on PYTHONPATH, and Python notes what it asks the system for.

Names that are looked up, addresses that are reached and files that are opened to write
become lines of JSON in the file that `EDGECLF_WATCH` names: of every process, workers
included. What C code does by itself is not seen; `unshare --net` is for that.
"""

from __future__ import annotations

import json
import os
import sys

_LOG = os.environ.get("EDGECLF_WATCH", "")
_NETWORK = frozenset(
    {
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
        "urllib.Request",
    }
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_TEMPORARY = getattr(os, "O_TMPFILE", 0)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    shown: list[object]
    if event in _NETWORK:
        # A socket is shown by its kind of address, what it sends is left out.
        shown = [getattr(item, "family", item) for item in arguments[:2]]
    elif event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or not isinstance(flags, int):
            return
        if not flags & _WRITING or (_TEMPORARY and flags & _TEMPORARY == _TEMPORARY):
            return
        shown = [os.path.abspath(os.fsdecode(path))]  # type: ignore[arg-type]  # noqa: PTH100
    elif event == "sqlite3.connect":
        if arguments[0] == ":memory:":
            return
        shown = [os.path.abspath(os.fsdecode(arguments[0]))]  # type: ignore[arg-type]  # noqa: PTH100
    else:
        return
    line = json.dumps([event, *map(str, shown)]) + "\n"
    os.write(_descriptor, line.encode("utf-8", "surrogateescape"))


if _LOG:
    _descriptor = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    sys.addaudithook(_note)
