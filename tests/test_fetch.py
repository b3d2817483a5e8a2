from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hosting
import pytest
from hosting import Server

from edgeclf.errors import DownloadError
from edgeclf.inputs.connection import Server as Address
from edgeclf.inputs.connection import is_public, printable
from edgeclf.inputs.fetch import LIMITS, Limits, fetch_image

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000
SMALL = Limits(size_bytes=1 << 20)
BRIEF = Limits(total_s=0.6, connect_s=0.4)


@pytest.fixture
def server() -> Iterator[Server]:
    with hosting.running() as running:
        running.files["/a.png"] = PICTURE
        yield running


def fetch(url: str, limits: Limits = SMALL) -> bytes:
    return fetch_image(url, allow_private=True, limits=limits)


def refused(server: Server, *script: hosting.Behaviour, path: str = "/a.png") -> str:
    """What the error says after the address."""
    server.script = list(script)
    url = server.address + path
    with pytest.raises(DownloadError) as caught:
        fetch(url)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"Cannot fetch {url}: ")
    return said.removeprefix(f"Cannot fetch {url}: ")


@pytest.mark.parametrize(
    "behaviour",
    [
        hosting.serve,
        hosting.unannounced,
        hosting.slowly(0.01, 50_000),
        hosting.saying(200, PICTURE, Content_Type="image/png; q=1"),
        hosting.saying(200, PICTURE, Content_Type="application/octet-stream"),
        hosting.raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(PICTURE), PICTURE),
        ),
    ],
)
def test_picture_comes_whole(server: Server, behaviour: hosting.Behaviour) -> None:
    server.script = [behaviour]
    assert fetch(f"{server.address}/a.png") == PICTURE


def test_end_is_where_the_server_said_not_where_it_hangs_up(server: Server) -> None:
    def stays(handler: hosting.Handler, content: bytes) -> None:
        hosting.serve(handler, content)
        handler.wfile.flush()
        handler.server.stopped.wait(10)

    server.script = [stays]
    assert fetch(f"{server.address}/a.png") == PICTURE


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/ł ą/%C5%82.png", "/%C5%82%20%C4%85/%C5%82.png"),
        ("/a?b=c d&e=%20#f", "/a?b=c%20d&e=%20"),
        ("?b", "/?b"),
        ("", "/"),
        ("/d\udcff.png", "/d%FF.png"),
        ("/a\r\nHost: evil\0", "/aHost:%20evil%00"),
    ],
)
def test_path_is_percent_encoded(server: Server, path: str, asked: str) -> None:
    server.normally = hosting.saying(200, PICTURE)
    assert fetch(server.address + path) == PICTURE
    assert server.requests == [(asked, None)]


def test_host_is_ascii() -> None:
    address = Address.of("HTTP://Bücher.Example:81/a")
    assert address[1:] == ("http", "xn--bcher-kva.example", 81, "/a")
    assert Address.of("https://[::1]/")[1:] == ("https", "::1", 443, "/")
    for target in ("//x/a.jpg", "///a.jpg?b=1", "/?b", "/a?b?c/d"):
        assert Address.of(f"http://h{target}").target == target
    assert Address.of("http://h?b").target == "/?b"


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///a.png",
        "http://[::1/a.png",
        "http://host:99999/",
        "http://host:port/",
        "http://a b/",
        "http://a..b/",
        "ftp://host/a.png",
        "file:///etc/passwd",
        "//host/a.png",
        "",
    ],
)
def test_address_that_is_none_is_refused(url: str) -> None:
    expected = re.escape(f"{url}: expected an address such as")
    with pytest.raises(DownloadError, match=expected):
        fetch_image(url)


def test_password_is_refused_and_not_shown() -> None:
    url = "http://user:p@ss:word@host.example/a.png"
    assert printable(url) == "http://host.example/a.png"
    with pytest.raises(DownloadError, match="a user name or password is not") as caught:
        fetch_image(url)
    assert "word@" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",  # noqa: S104
        "localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_local_addresses_are_refused_however_written(server: Server, host: str) -> None:
    port = server.server_address[1]
    with pytest.raises(DownloadError, match="is not a public address"):
        fetch_image(f"http://{host}:{port}/a.png")
    assert server.requests == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("192.0.0.8", False),
        ("192.0.2.1", False),
        ("3fff::1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::1", False),
        ("2002:a00:1::", False),
        ("2001:0:a00:1::", False),
    ],
)
def test_public_addresses_are_told_from_others(text: str, expected: bool) -> None:
    assert is_public(text) is expected


def test_redirects_are_followed(server: Server) -> None:
    server.script = [
        hosting.redirect_to("/b/c.png"),
        hosting.redirect_to("../ł.png".encode().decode("latin-1")),
        hosting.saying(308, Location=f"{server.address}/a.png"),
    ]
    assert fetch(f"{server.address}/x") == PICTURE
    assert [path for path, _ in server.requests] == [
        "/x",
        "/b/c.png",
        "/%C5%82.png",
        "/a.png",
    ]


def test_redirects_in_a_circle_end(server: Server) -> None:
    said = refused(server, *[hosting.redirect_to("/a.png")] * 9)
    assert said == "it was redirected more than 5 times."
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file:///etc/passwd", "redirected to file:///etc/passwd, which is not"),
        ("ftp://u:pw@host/a", "redirected to ftp://host/a, which is not as safe"),
        ("", "redirected to nowhere, which"),
        ("http://[::1/", r"redirected to http://\[::1/, which"),
        ("http://u:pw@host/a", "user name or password"),
    ],
)
def test_redirects_elsewhere_are_refused(
    server: Server, location: str, said: str
) -> None:
    server.script = [hosting.redirect_to(location)]
    with pytest.raises(DownloadError, match=said) as caught:
        fetch(f"{server.address}/a.png")
    assert "pw" not in str(caught.value)


class Internet:
    """Names and routes as they would be outside; every public address leads here.

    Attributes:
        names: What a lookup of a name answers, one after the other.
        connected: The addresses that were connected to.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.connected: list[str] = []
        look_up, connect = socket.getaddrinfo, socket.socket.connect

        def answer(host: str, port: int, **options: int) -> list[tuple[object, ...]]:
            if host not in self.names:
                return list(look_up(host, port, **options))
            addresses = self.names[host].pop(0)
            return [(socket.AF_INET, 1, 6, "", (text, port)) for text in addresses]

        def route(self_: socket.socket, address: tuple[str, int]) -> None:
            self.connected.append(address[0])
            if address[0].startswith("9."):
                raise OSError(113, "No route to host")
            connect(self_, ("127.0.0.1", address[1]))

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        monkeypatch.setattr(socket.socket, "connect", route)


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    return Internet(monkeypatch)


def test_redirect_to_a_private_address_is_refused(
    server: Server, internet: Internet
) -> None:
    internet.names["a.example"] = [["8.8.8.8"]]
    server.script = [hosting.redirect_to(f"{server.address}/a.png")]
    with pytest.raises(
        DownloadError, match=r"127\.0\.0\.1:\d+/a\.png: it leads to 127\.0"
    ):
        fetch_image(f"http://a.example:{server.server_address[1]}/x")
    assert [path for path, _ in server.requests] == ["/x"]


def test_one_private_address_of_a_name_is_enough_to_refuse_it(
    server: Server, internet: Internet
) -> None:
    internet.names["a.example"] = [["8.8.8.8", "10.0.0.1"]]
    with pytest.raises(DownloadError, match=r"it leads to 10\.0\.0\.1, which is not"):
        fetch_image(f"http://a.example:{server.server_address[1]}/a.png")
    assert internet.connected == []


def test_connection_goes_to_the_address_that_was_checked(
    server: Server, internet: Internet
) -> None:
    internet.names["a.example"] = [["9.9.9.9", "8.8.8.8"], ["10.0.0.1"]]
    url = f"http://a.example:{server.server_address[1]}/a.png"
    assert fetch_image(url) == PICTURE
    assert internet.connected == ["9.9.9.9", "8.8.8.8"]
    assert internet.names["a.example"] == [["10.0.0.1"]]


def test_lookup_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"(lookup took too long|more than 0\.6 s)"):
        fetch("http://a.example/a.png", BRIEF)
    assert time.monotonic() - started < 2
    released.set()


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (hosting.status(404), "the server answered 404 Not Found."),
        (hosting.saying(204), "the server answered 204 No Content."),
        (
            hosting.saying(200, b"<html>", Content_Type="text/html; charset=utf-8"),
            "expected a picture, received text/html.",
        ),
        (
            hosting.saying(200, b"x", Content_Type="a\x1b[31m"),
            "expected a picture, received a?[31m.",
        ),
        (
            hosting.saying(200, b"x", Content_Encoding="gzip"),
            "expected a plain answer, received gzip.",
        ),
        (hosting.saying(200), "expected a picture, received 0 bytes."),
        (hosting.endless, "it is larger than 1048576 bytes."),
        (
            hosting.saying(200, b"x", Content_Length=str(1 << 40)),
            "it is larger than 1048576 bytes.",
        ),
    ],
)
def test_answer_without_picture_is_refused(
    server: Server, behaviour: hosting.Behaviour, said: str
) -> None:
    assert refused(server, behaviour) == said
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        hosting.silent,
        hosting.stall_after(1000),
        hosting.slowly(0.1, 10),
        hosting.raw(b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 90, pause_s=0.1),
    ],
)
def test_slow_server_is_cut_however_it_drips(
    server: Server, behaviour: hosting.Behaviour
) -> None:
    server.normally = behaviour
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"a\.png: it took more than 0\.6 s\.$"):
        fetch(f"{server.address}/a.png", BRIEF)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (hosting.status(503), "the server answered 503 Service Unavailable."),
        (
            hosting.cut_after(1000),
            f"the connection was cut after 1000 of {len(PICTURE)} bytes.",
        ),
        (hosting.reset, "Connection reset by peer."),
        (hosting.raw(), "the server hung up without an answer."),
        (hosting.raw(b"hello\r\n\r\n"), "the answer is not http."),
        (
            hosting.raw(b"HTTP/1.1 200 OK\r\nA: ", b"a" * 100_000, b"\r\n\r\n"),
            "got more than 65536 bytes when reading header line.",
        ),
        (
            hosting.raw(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000, b"\r\n"),
            "got more than 100 headers.",
        ),
        (
            hosting.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz"),
            "the connection was cut.",
        ),
    ],
)
def test_what_may_pass_is_tried_once_more(
    server: Server,
    behaviour: hosting.Behaviour,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeclf.inputs.fetch.PAUSE_S", 0.01)
    server.script = [behaviour]
    assert fetch(f"{server.address}/a.png") == PICTURE
    assert refused(server, behaviour, behaviour) == said
    assert len(server.requests) == 4


def test_host_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match=f":{port}/: Connection refused"):
        fetch(f"http://127.0.0.1:{port}/")


def test_certificate_must_be_trusted_and_of_this_name(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hosting.running(certificate) as server:
        server.files["/a.png"] = PICTURE
        url = f"https://localhost:{server.server_address[1]}/a.png"
        with pytest.raises(DownloadError, match="is not trusted: self-signed"):
            fetch(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch(url) == PICTURE
        with pytest.raises(DownloadError, match="is not trusted: IP address mismatch"):
            fetch(f"{server.address}/a.png")
        server.script = [hosting.redirect_to("http://localhost/a.png")]
        with pytest.raises(DownloadError, match="to http://localhost/a"):
            fetch(url)


def test_ctrl_c_ends_a_download(server: Server) -> None:
    server.script = [hosting.silent]
    code = (
        "import sys; from edgeclf.inputs.fetch import fetch_image\n"
        "print('go', flush=True)\n"
        f"fetch_image('{server.address}/a.png', allow_private=True)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        while not server.requests:
            time.sleep(0.01)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert time.monotonic() - started < 2
    assert said.endswith("KeyboardInterrupt\n")


def test_limits_are_those_of_the_documentation() -> None:
    assert Limits(64 << 20, 30, 10, 5) == LIMITS
