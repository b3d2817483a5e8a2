"""Send a server pictures, from several clients at once; the times go to stdout as JSON.

It shares the processors with what it measures, and is kept cheap: threads that write a
request made once into a connection that stays open, and read no more than the status
and the length of the answer. Only the standard library is imported.

    python -m benchmarks.load http://127.0.0.1:8000/v1/classify a.jpg --clients 8
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import positive

BOUNDARY = "d6f1c2b8a94e"
TIMEOUT_S = 60
OK, REFUSED, BUSY = 200, 422, 503


def request(url: str, picture: bytes, name: str = "picture.jpg") -> bytes:
    """Return a request with one picture, as a browser's form sends it."""
    parts = urlsplit(url)
    body = b"".join(
        (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; '
            f'filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'.encode(),
            picture,
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        )
    )
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """One connection that is kept; a new one where the server has closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._socket: socket.socket | None = None

    def send(self, content: bytes) -> int:
        """Send a request, read the answer, return its status.

        Raises:
            OSError: The connection failed.
            ValueError: The answer is none.
        """
        if self._socket is None:
            self._socket = socket.create_connection(self._address, TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(content)
            return self._answer(self._socket)
        except (OSError, ValueError):
            self.close()
            raise

    def _answer(self, connection: socket.socket) -> int:
        received = b""
        while b"\r\n\r\n" not in received:
            received += _more(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        (length,) = (int(x[15:]) for x in lines if x.startswith(b"content-length:"))
        while len(body) < length:
            body += _more(connection)
        if b"connection: close" in lines:
            self.close()
        return int(lines[0].split()[1])

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(1 << 16)
    if not piece:
        raise ValueError("Expected a whole answer. Received: the end.")
    return piece


class Load:
    """What came of requests that several clients sent at once.

    Attributes:
        latencies_ms: Of each answer with status 200, in milliseconds.
        statuses: How many answers had which status; 0: no answer.
    """

    def __init__(self, url: str, requests: Sequence[bytes], clients: int) -> None:
        self.latencies_ms: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._url = url
        self._requests = requests
        self._clients = clients
        self._lock = threading.Lock()

    def run(self, seconds: float, rate: float | None = None) -> float:
        """Send requests for a while; return the seconds until the last was answered.

        Args:
            seconds: No request is begun after that.
            rate: Requests per second of all clients together. Default: as many as are
                answered.
        """
        started = time.perf_counter()
        threads = [
            threading.Thread(target=self._send, args=(number, started, seconds, rate))
            for number in range(self._clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - started

    def _send(
        self, number: int, started: float, seconds: float, rate: float | None
    ) -> None:
        client = Client(self._url)
        latencies, statuses = [], Counter[int]()
        turn = number  # each client has every so many-th place in the plan
        while True:
            if rate is not None:
                pause = started + turn / rate - time.perf_counter()
                if pause > 0:
                    time.sleep(pause)
            begun = time.perf_counter()
            if begun - started >= seconds:
                break
            try:
                status = client.send(self._requests[turn % len(self._requests)])
            except (OSError, ValueError):
                status = 0
            if status == OK:
                latencies.append(1000 * (time.perf_counter() - begun))
            statuses[status] += 1
            turn += self._clients
        client.close()
        with self._lock:
            self.latencies_ms += latencies
            self.statuses += statuses


def main() -> int:
    """Send, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--clients", type=positive, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, help="else as many as are answered")
    args = parser.parse_args()
    requests = [request(args.url, path.read_bytes()) for path in args.pictures]
    load = Load(args.url, requests, args.clients)
    took_s = load.run(args.seconds, args.rate)
    json.dump(
        {
            "latencies_ms": load.latencies_ms,
            "statuses": load.statuses,
            "seconds": took_s,
        },
        sys.stdout,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
